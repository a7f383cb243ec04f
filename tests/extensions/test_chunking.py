import pytest
from extension_play import connect, offers, session

from smtpcore import Phase
from smtpcore.extensions import CHUNKING


def test_offer() -> None:
    assert offers(connect(CHUNKING)) == ["CHUNKING"]


def test_a_message_in_chunks() -> None:
    driver = session(CHUNKING)
    driver.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
    assert driver.feed(b"BDAT 3\r\na\r\n") == b"250 2.0.0 3 octets received\r\n"
    assert driver.feed(b"bdat 0 Last\r\n") == b"250 2.0.0 Message accepted\r\n"
    assert driver.body == b"a\r\n"


def test_data_may_be_used_instead() -> None:
    # RFC 3030 2 (5): "MUST continue to support the regular SMTP DATA command".
    driver = session(CHUNKING)
    driver.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
    assert driver.codes("DATA") == ["354"]


@pytest.mark.catalogue("F7")
def test_length_that_cannot_be_read() -> None:
    driver = session(CHUNKING)
    driver.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
    assert driver.codes("BDAT -1") == ["501 5.5.4"]
    assert driver.conn.phase is Phase.CLOSED
