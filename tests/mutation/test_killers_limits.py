"""What mutants of the limits showed that no other test looks at."""

import pytest

from smtpcore._errors import LocalProtocolError
from smtpcore._limits import ClientLimits, ClientTimeouts, Limits, rows
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
CLIENT_FLOORS = {
    "reply_line_octets": 512,
    "reply_lines": 1,
    "reply_octets": 512,
    "buffered_octets": 512,
    "outcome_characters": 64,
    "capabilities": 32,
    "command_octets": 512,
    "auth_octets": 12288,
    "pipelined_octets": 512,
    "chunk_octets": 1,
    "unanswered_chunks": 1,
}
CLIENT_DEFAULTS = {
    "reply_line_octets": 4096,
    "reply_lines": 1000,
    "reply_octets": 65536,
    "buffered_octets": 65536,
    "outcome_characters": 512,
    "capabilities": 200,
    "command_octets": 2048,
    "auth_octets": 12288,
    "pipelined_octets": 16384,
    "chunk_octets": 262_144,
    "unanswered_chunks": 4,
}
# RFC 5321 4.5.3.2, where it says one.
CLIENT_TIMEOUTS = {
    "greeting": 300.0,
    "command": 300.0,
    "mail": 300.0,
    "rcpt": 300.0,
    "data": 120.0,
    "block": 180.0,
    "dot": 600.0,
    "quit": 10.0,
    "write": 60.0,
    "tls": 60.0,
    "session": 14400.0,
}


def test_floors() -> None:
    assert {row.name: row.floor for row in rows()} == FLOORS


@pytest.mark.parametrize("name", [name for name, floor in FLOORS.items() if floor == 0])
def test_none_at_all(name: str) -> None:
    """What no RFC grants may be nothing."""
    assert getattr(evolve(Limits(), **{name: 0}), name) == 0
    with pytest.raises(LocalProtocolError, match=f"{name} must be at least 0: to work at all"):
        evolve(Limits(), **{name: -1})


def test_a_client_s_floors_and_defaults() -> None:
    assert {row.name: row.floor for row in rows(ClientLimits)} == CLIENT_FLOORS
    assert {row.name: row.default for row in rows(ClientLimits)} == CLIENT_DEFAULTS


def test_a_client_s_memory() -> None:
    """A reply that is being read and its lines, what waits, what went ahead, and a chunk beside the one before."""
    limits = ClientLimits()
    of_reply = limits.reply_line_octets + limits.reply_octets + 64 * limits.reply_lines
    assert limits.memory() == of_reply + limits.buffered_octets + 8 * limits.pipelined_octets + 2 * limits.chunk_octets


def test_a_client_s_timeouts() -> None:
    timeouts = ClientTimeouts()
    assert {name: getattr(timeouts, name) for name in CLIENT_TIMEOUTS} == CLIENT_TIMEOUTS


@pytest.mark.parametrize("name", CLIENT_TIMEOUTS)
@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_client_waits_for_some_time(name: str, seconds: float) -> None:
    with pytest.raises(LocalProtocolError, match=f"{name} must be above 0"):
        evolve(ClientTimeouts(), **{name: seconds})
