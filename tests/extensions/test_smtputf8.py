import pytest
from extension_play import MAIL_OK, MAIL_SYNTAX, connect, mail, offers, session

from smtpcore import LocalProtocolError, MailFrom, RcptTo
from smtpcore.extensions import EIGHTBITMIME, SMTPUTF8


def test_offer() -> None:
    # RFC 6531 3.1 (3): "the EHLO response MUST NOT contain any parameters for this keyword".
    assert offers(connect(EIGHTBITMIME, SMTPUTF8)) == ["8BITMIME", "SMTPUTF8"]


def test_needs_8bitmime() -> None:
    with pytest.raises(LocalProtocolError, match="SMTPUTF8 needs 8BITMIME"):
        connect(SMTPUTF8)


def test_parameter() -> None:
    said, params = mail("SMTPUTF8", EIGHTBITMIME, SMTPUTF8)
    assert said == MAIL_OK
    assert params is not None
    assert params.smtputf8
    assert mail("SMTPUTF8=1", EIGHTBITMIME, SMTPUTF8)[0] == MAIL_SYNTAX


@pytest.mark.catalogue("E10")
def test_addresses_in_utf_8_with_the_parameter_alone() -> None:
    driver = session(EIGHTBITMIME, SMTPUTF8)
    assert driver.codes("MAIL FROM:<é@b.example>") == ["553 5.6.7"]
    assert driver.codes("MAIL FROM:<a@b.example>", "RCPT TO:<é@d.example>", "RSET") == [
        "250 2.1.0",
        "553 5.6.7",
        "250 2.0.0",
    ]
    assert driver.codes("MAIL FROM:<é@b.example> SMTPUTF8", "RCPT TO:<ü@é.example>") == ["250 2.1.0", "250 2.1.5"]
    assert driver.seen(MailFrom)[-1].path.local_part == "é"
    assert driver.seen(RcptTo)[-1].path.domain == "é.example"


def test_addresses_in_utf_8_where_it_is_not_offered() -> None:
    driver = session(EIGHTBITMIME)
    assert driver.codes("MAIL FROM:<é@b.example> SMTPUTF8") == ["553 5.6.7"]


@pytest.mark.parametrize("text", ["", "1", "a b"])
def test_hear(text: str) -> None:
    assert SMTPUTF8.hear(text) == ""


def test_unmet() -> None:
    reply = SMTPUTF8.params[0].unmet(True)
    assert reply is not None
    assert (reply.code, str(reply.status)) == (550, "5.6.7")
