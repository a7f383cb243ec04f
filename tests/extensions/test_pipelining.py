import pytest
from extension_play import connect, offers, session

from smtpcore import Extension
from smtpcore.extensions import PIPELINING


def test_offer() -> None:
    assert offers(connect(PIPELINING)) == ["PIPELINING"]


@pytest.mark.parametrize("extensions", [(), (PIPELINING,)])
def test_a_group_is_read_whether_offered_or_not(extensions: tuple[Extension, ...]) -> None:
    commands = ("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "RCPT TO:<>", "DATA")
    assert session(*extensions).codes(*commands) == ["250 2.1.0", "250 2.1.5", "501 5.1.3", "354"]
