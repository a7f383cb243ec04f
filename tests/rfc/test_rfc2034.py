"""RFC 2034, ENHANCEDSTATUSCODES, with the codes of RFC 3463."""

from _dialogue import Driver, config, play

from smtpcore.extensions import ENHANCEDSTATUSCODES

SETTINGS = config(extensions=(ENHANCEDSTATUSCODES,))
GREETED = """
    C: EHLO dbc.mtview.ca.us
    S: 250-mx.example.org
    S: 250 ENHANCEDSTATUSCODES
"""


def test_5_the_example() -> None:
    play(
        GREETED
        + """
        C: MAIL FROM:<ned@innosoft.com>
        S: 250 2.1.0 Sender ok
        C: RCPT TO:<dan@innosoft.com>
        S: 250 2.1.5 Recipient ok
        C: RCPT TO:<nosuchuser@innosoft.com>
        A: RcptTo reject 550 5.1.1 Mailbox "nosuchuser" does not exist
        S: 550 5.1.1 Mailbox "nosuchuser" does not exist
        C: RCPT TO:<remoteuser@isi.edu>
        A: RcptTo reject 551 5.7.1 Forwarding to remote hosts disabled
        S: 551 5.7.1 Forwarding to remote hosts disabled
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: text
        C: .
        S: 250 2.0.0 Message accepted
        C: QUIT
        S: 221 2.0.0 mx.example.org closing connection
        """,
        SETTINGS,
    )


def test_4_a_reply_of_the_application_without_a_code_gets_one() -> None:
    # "all 2xx, 4xx, and 5xx responses ... MUST" carry one
    play(
        GREETED
        + """
        C: MAIL FROM:<ned@innosoft.com>
        A: MailFrom accept 250 Go on
        S: 250 2.0.0 Go on
        C: RCPT TO:<dan@innosoft.com>
        A: RcptTo reject 450 Not now
        S: 450 4.0.0 Not now
        C: RCPT TO:<dan@innosoft.com>
        A: RcptTo reject 550 Not ever
        S: 550 5.0.0 Not ever
        C: RCPT TO:<dan@innosoft.com>
        S: 250 2.1.5 Recipient ok
        C: DATA
        A: BodyBegin accept 354 Go on
        S: 354 Go on
        """,
        SETTINGS,
    )


def test_4_none_in_the_greeting_nor_in_the_reply_to_ehlo() -> None:
    # "This includes all responses ... except" the greeting "and any response to the HELO or EHLO command"
    play(
        """
        A: Connected reject 554 5.3.2 Not here
        S: 554 Not here
        CLOSED
        """,
        SETTINGS,
        greet=False,
    )
    play(
        """
        C: EHLO dbc.mtview.ca.us
        A: Hello reject 550 5.7.1 Not you
        S: 550 Not you
        C: HELO dbc.mtview.ca.us
        A: Hello accept 250 2.0.0 Hello
        S: 250 Hello
        """,
        SETTINGS,
    )


def test_4_on_each_line() -> None:
    driver = Driver(SETTINGS)
    driver.say("EHLO dbc.mtview.ca.us")
    lines = driver.say("VRFY x", "NOOP", "FOO", "RSET", "EXPN y", "HELP", "DATA").decode().split("\r\n")[:-1]
    assert [line.split(" ")[1] for line in lines] == ["2.5.2", "2.0.0", "5.5.1", "2.0.0", "5.5.1", "2.0.0", "5.5.1"]


def test_not_enabled() -> None:
    play(
        """
        C: EHLO dbc.mtview.ca.us
        S: 250 mx.example.org
        C: MAIL FROM:<ned@innosoft.com>
        S: 250 Sender ok
        C: RCPT TO:<dan@innosoft.com>
        A: RcptTo reject 550 5.1.1 No such user
        S: 550 No such user
        """,
        config(extensions=()),
    )
