"""What mutants of the limits showed that no other test looks at."""

import pytest

from smtpcore._errors import LocalProtocolError
from smtpcore._limits import Limits, rows
from smtpcore._value import evolve

FLOORS = {
    "command_octets": 512,
    "auth_octets": 12288,
    "swallowed_octets": 12288,
    "buffered_octets": 12288,
    "output_octets": 512,
    "recipients": 100,
    "message_octets": 65536,
    "discard_octets": 0,
    "chunks": 1,
    "transactions": 1,
    "errors": 0,
    "junk_commands": 1,
    "unknown_before_hello": 0,
    "auth_attempts": 1,
}


def test_floors() -> None:
    assert {row.name: row.floor for row in rows()} == FLOORS


@pytest.mark.parametrize("name", [name for name, floor in FLOORS.items() if floor == 0])
def test_none_at_all(name: str) -> None:
    """What no RFC grants may be nothing."""
    assert getattr(evolve(Limits(), **{name: 0}), name) == 0
    with pytest.raises(LocalProtocolError, match=f"{name} must be at least 0: to work at all"):
        evolve(Limits(), **{name: -1})
