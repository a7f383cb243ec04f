"""RFC 6531, SMTPUTF8."""

import pytest
from _dialogue import Driver, accept_all, config, play

from smtpcore import Domain, Mailbox, MailFrom, RcptTo, Reply, ServerConnection, ServerEvent, Verify
from smtpcore.extensions import EIGHTBITMIME, SMTPUTF8

SETTINGS = config(extensions=(EIGHTBITMIME, SMTPUTF8))
GREETED = """
    C: EHLO client.example
    S: 250-mx.example.org
    S: 250-8BITMIME
    S: 250 SMTPUTF8
"""


def test_3_a_transaction_in_utf_8() -> None:
    driver = play(
        GREETED
        + """
        C: MAIL FROM:<jőe@exämple.org> SMTPUTF8
        S: 250 Sender ok
        C: RCPT TO:<用户@例子.example>
        S: 250 Recipient ok
        C: RCPT TO:<"ü ö"@xn--exmple-cua.org>
        S: 250 Recipient ok
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: Subject: ü
        C: .
        S: 250 Message accepted
        """,
        SETTINGS,
    )
    assert driver.seen(MailFrom)[0].path == Mailbox("jőe", "exämple.org")
    assert driver.seen(RcptTo)[1].path.host == Domain("exämple.org")
    assert driver.body == "Subject: ü\r\n".encode()


@pytest.mark.catalogue("E10")
def test_3_4_addresses_are_ascii_without_the_parameter() -> None:
    play(
        GREETED
        + """
        C: MAIL FROM:<jőe@example.org>
        S: 553 Address is not ASCII, nor UTF-8 with SMTPUTF8
        C: MAIL FROM:<joe@example.org>
        S: 250 Sender ok
        C: RCPT TO:<jőe@example.org>
        S: 553 Address is not ASCII, nor UTF-8 with SMTPUTF8
        C: RCPT TO:<joe@exämple.org>
        S: 553 Address is not ASCII, nor UTF-8 with SMTPUTF8
        C: RCPT TO:<joe@example.org>
        S: 250 Recipient ok
        C: RSET
        S: 250 Ok
        C: MAIL FROM:<joe@example.org> SMTPUTF8
        S: 250 Sender ok
        C: RCPT TO:<jőe@example.org>
        S: 250 Recipient ok
        """,
        SETTINGS,
    )


def test_3_4_the_parameter_takes_no_value() -> None:
    play(
        GREETED
        + """
        C: MAIL FROM:<joe@example.org> SMTPUTF8=YES
        S: 501 Syntax: MAIL FROM:<address> [parameters]
        """,
        SETTINGS,
    )


def test_3_7_1_ehlo_stays_ascii() -> None:
    play(
        """
        C: EHLO exämple.org
        S: 501 Syntax: EHLO domain
        C: EHLO xn--exmple-cua.org
        S: 250-mx.example.org
        S: 250-8BITMIME
        S: 250 SMTPUTF8
        """,
        SETTINGS,
    )


def test_3_7_4_2_verify() -> None:
    def answer(conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, Verify):
            conn.accept(event, Reply(250, "Jőe <jőe@example.org>"))
        else:
            accept_all(conn, event)

    driver = Driver(config(extensions=(EIGHTBITMIME, SMTPUTF8), verify=True), answer=answer)
    driver.say("EHLO client.example")
    assert driver.say("VRFY jőe SMTPUTF8") == "250 Jőe <jőe@example.org>\r\n".encode()
    # "If the client does not say SMTPUTF8, ... " the reply is ASCII.
    assert driver.say("VRFY joe") == b"250 J\\x{151}e <j\\x{151}e@example.org>\r\n"
    assert driver.say("EXPN joe  smtputf8") == "250 Jőe <jőe@example.org>\r\n".encode()
    assert driver.codes("VRFY jőe") == ["553"]
    assert driver.seen(Verify) == [Verify("VRFY", "jőe", True), Verify("VRFY", "joe"), Verify("EXPN", "joe", True)]


@pytest.mark.catalogue("E10", "A7")
@pytest.mark.parametrize(
    "octets",
    [b"\xc3\x28", b"\xc0\xaf", b"\xe2\x82", b"\xed\xa0\x80", b"\xe9", b"\xf4\x90\x80\x80", b"\x8d\x8a", b"\xff"],
)
def test_3_3_utf_8_to_the_letter(octets: bytes) -> None:
    driver = Driver(SETTINGS)
    driver.say("EHLO client.example")
    assert driver.feed(b"MAIL FROM:<a" + octets + b"@example.org> SMTPUTF8\r\n").startswith(b"553 ")
    driver.say("MAIL FROM:<> SMTPUTF8")
    assert driver.feed(b"RCPT TO:<a" + octets + b"@example.org>\r\n").startswith(b"553 ")
    assert driver.feed(b"VRFY a" + octets + b" SMTPUTF8\r\n").startswith(b"553 ")
    assert driver.feed(b"NOOP " + octets + b"\r\n").startswith(b"500 ")
    assert driver.feed(b"NO" + octets + b"OP\r\n").startswith(b"500 ")
    assert not driver.seen(RcptTo)


def test_3_3_other_commands_in_utf_8() -> None:
    play(
        GREETED
        + """
        C: NOOP ü
        S: 250 Ok
        C: FOO ü
        S: 500 Command not recognized
        C: FÖÖ ü
        S: 500 Commands are ASCII, or UTF-8 where SMTPUTF8 permits it
        """,
        SETTINGS,
    )


def test_not_enabled() -> None:
    play(
        """
        C: EHLO client.example
        S: 250 mx.example.org
        C: MAIL FROM:<jőe@exämple.org> SMTPUTF8
        S: 553 Address is not ASCII, nor UTF-8 with SMTPUTF8
        C: MAIL FROM:<joe@example.org> SMTPUTF8
        S: 555 Unsupported parameter: SMTPUTF8
        C: VRFY joe SMTPUTF8
        S: 252 Cannot VRFY user, but will accept message and attempt delivery
        C: NOOP ü
        S: 500 Commands are ASCII, or UTF-8 where SMTPUTF8 permits it
        """,
        config(extensions=()),
    )


def test_a_client_that_said_helo_has_no_utf_8() -> None:
    play(
        """
        C: HELO client.example
        S: 250 mx.example.org
        C: MAIL FROM:<jőe@exämple.org> SMTPUTF8
        S: 555 Unsupported parameter: SMTPUTF8
        """,
        SETTINGS,
    )
