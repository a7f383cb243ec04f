"""RFC 6152, 8BITMIME."""

from _dialogue import config, play

from smtpcore import Body, MailFrom
from smtpcore.extensions import EIGHTBITMIME

SETTINGS = config(extensions=(EIGHTBITMIME,))
GREETED = """
    C: EHLO dbc.mtview.ca.us
    S: 250-mx.example.org
    S: 250 8BITMIME
"""


def test_4_the_example() -> None:
    driver = play(
        GREETED
        + r"""
        C: MAIL FROM:<mrose@dbc.mtview.ca.us> BODY=8BITMIME
        S: 250 Sender ok
        C: RCPT TO:<mrose@dbc.mtview.ca.us>
        S: 250 Recipient ok
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C~ \xe9\x80\x8d\x8a.\x8d\x8a\r\n.\r\n
        S: 250 Message accepted
        C: QUIT
        S: 221 mx.example.org closing connection
        """,
        SETTINGS,
    )
    assert driver.seen(MailFrom)[0].params.body is Body.EIGHT_BIT_MIME
    assert driver.body == b"\xe9\x80\x8d\x8a.\x8d\x8a\r\n"


def test_2_the_values() -> None:
    driver = play(
        GREETED
        + """
        C: MAIL FROM:<a@dbc.mtview.ca.us> body=7bit
        S: 250 Sender ok
        C: RSET
        S: 250 Ok
        C: MAIL FROM:<a@dbc.mtview.ca.us> BODY=9BIT
        S: 501 Syntax: MAIL FROM:<address> [parameters]
        C: MAIL FROM:<a@dbc.mtview.ca.us> BODY
        S: 501 Syntax: MAIL FROM:<address> [parameters]
        C: MAIL FROM:<a@dbc.mtview.ca.us> BODY=7BIT BODY=8BITMIME
        S: 501 Syntax: MAIL FROM:<address> [parameters]
        """,
        SETTINGS,
    )
    assert driver.seen(MailFrom)[0].params.body is Body.SEVEN_BIT


def test_not_enabled() -> None:
    play(
        """
        C: EHLO dbc.mtview.ca.us
        S: 250 mx.example.org
        C: MAIL FROM:<a@dbc.mtview.ca.us> BODY=8BITMIME
        S: 555 Unsupported parameter: BODY
        """,
        config(extensions=()),
    )
