"""RFC 2920, PIPELINING: commands in groups."""

import pytest
from _dialogue import Driver, config, play

from smtpcore import BodyBegin, Cause, Closed, Deviation, EarlyInput, RcptTo, Refused
from smtpcore.extensions import AUTH, EIGHTBITMIME, PIPELINING, STARTTLS
from smtpcore.sasl import PLAIN

SETTINGS = config(extensions=(PIPELINING, EIGHTBITMIME))
GREETED = """
    C: EHLO dbc.mtview.ca.us
    S: 250-mx.example.org
    S: 250-PIPELINING
    S: 250 8BITMIME
"""


def test_4_the_first_example() -> None:
    play(
        GREETED
        + """
        C: MAIL FROM:<mrose@dbc.mtview.ca.us>
        C: RCPT TO:<ned@innosoft.com>
        C: RCPT TO:<dan@innosoft.com>
        C: RCPT TO:<kvc@innosoft.com>
        C: DATA
        S: 250 Sender ok
        S: 250 Recipient ok
        S: 250 Recipient ok
        S: 250 Recipient ok
        S: 354 End data with <CR><LF>.<CR><LF>
        C: message
        C: .
        C: QUIT
        S: 250 Message accepted
        S: 221 mx.example.org closing connection
        CLOSED
        """,
        SETTINGS,
    )


def test_4_all_recipients_refused() -> None:
    # The RFC's second example, whose server accepts DATA without a recipient; this one refuses it.
    play(
        GREETED
        + """
        C: MAIL FROM:<mrose@dbc.mtview.ca.us>
        C: RCPT TO:<nsb@thumper.bellcore.com>
        C: RCPT TO:<galvin@tis.com>
        C: DATA
        A: RcptTo reject 550 remote mail to <nsb@thumper.bellcore.com> not allowed
        A: RcptTo reject 550 remote mail to <galvin@tis.com> not allowed
        S: 250 Sender ok
        S: 550 remote mail to <nsb@thumper.bellcore.com> not allowed
        S: 550 remote mail to <galvin@tis.com> not allowed
        S: 503 Bad sequence of commands
        C: QUIT
        S: 221 mx.example.org closing connection
        """,
        SETTINGS,
    )


def test_4_the_third_example_two_recipients_of_four() -> None:
    driver = play(
        GREETED
        + """
        C: MAIL FROM:<mrose@dbc.mtview.ca.us> BODY=8BITMIME
        C: RCPT TO:<a@innosoft.com>
        C: RCPT TO:<b@innosoft.com>
        C: RCPT TO:<c@innosoft.com>
        C: RCPT TO:<d@innosoft.com>
        C: DATA
        A: RcptTo accept
        A: RcptTo reject 550 No such user
        A: RcptTo accept
        A: RcptTo reject 450 Busy
        S: 250 Sender ok
        S: 250 Recipient ok
        S: 550 No such user
        S: 250 Recipient ok
        S: 450 Busy
        S: 354 End data with <CR><LF>.<CR><LF>
        """,
        SETTINGS,
    )
    envelope = driver.conn.envelope
    assert envelope is not None
    assert [each.path.local for each in envelope.recipients] == ["a", "c"]


def test_3_1_a_message_and_the_next_group() -> None:
    # "RSET, MAIL FROM, SEND FROM, SOML FROM, SAML FROM, and RCPT TO can all appear anywhere in a pipelined command
    # group", and the end of a message is followed by the next group.
    driver = play(
        GREETED
        + """
        C: MAIL FROM:<a@one.example>
        C: RCPT TO:<b@example.org>
        C: RSET
        C: MAIL FROM:<c@one.example>
        C: RCPT TO:<d@example.org>
        C: DATA
        S: 250 Sender ok
        S: 250 Recipient ok
        S: 250 Ok
        S: 250 Sender ok
        S: 250 Recipient ok
        S: 354 End data with <CR><LF>.<CR><LF>
        C: first
        C: .
        C: MAIL FROM:<e@one.example>
        C: RCPT TO:<f@example.org>
        C: DATA
        S: 250 Message accepted
        S: 250 Sender ok
        S: 250 Recipient ok
        S: 354 End data with <CR><LF>.<CR><LF>
        """,
        SETTINGS,
    )
    assert len(driver.seen(BodyBegin)) == 2


def test_3_2_replies_keep_the_order_of_the_commands() -> None:
    driver = Driver(SETTINGS)
    driver.say("EHLO client.example")
    lines = ["MAIL FROM:<a@b.example>", "FOO", "RCPT TO:<x@y.example>", "RCPT TO:<", "NOOP", "VRFY x", "RSET", "DATA"]
    assert driver.codes(*lines) == ["250", "500", "250", "501", "250", "252", "250", "503"]


def test_3_2_a_server_without_the_keyword_reads_groups_all_the_same() -> None:
    play(
        """
        C: EHLO client.example
        S: 250 mx.example.org
        C: MAIL FROM:<a@client.example>
        C: RCPT TO:<b@example.org>
        S: 250 Sender ok
        S: 250 Recipient ok
        """,
        config(extensions=()),
    )


# --- what may not be followed before its reply --------------------------------------------------------

ENDS_GROUP = [
    ((), b"EHLO client.example\r\n"),
    (("EHLO client.example",), b"HELO client.example\r\n"),
    (("EHLO client.example", "MAIL FROM:<>", "RCPT TO:<b@example.org>"), b"DATA\r\n"),
    (("EHLO client.example",), b"AUTH PLAIN\r\n"),
    (("EHLO client.example",), b"STARTTLS\r\n"),
]
STRICT = config(extensions=(PIPELINING, AUTH, STARTTLS), mechanisms=(PLAIN,), cleartext_auth=True)


@pytest.mark.catalogue("F10", "A16")
@pytest.mark.parametrize(("before", "command"), ENDS_GROUP)
def test_3_1_input_behind_the_end_of_a_group_is_refused(before: tuple[str, ...], command: bytes) -> None:
    driver = Driver(STRICT)
    for line in before:
        driver.say(line)
    assert driver.feed(command + b"NOOP\r\n") == (
        b"554 Input sent before the reply that it depends on, closing connection\r\n"
    )
    assert driver.events[-1] == Closed(Cause.PROTOCOL, "early input")
    assert driver.seen(Refused)


@pytest.mark.catalogue("F10")
@pytest.mark.parametrize(("before", "command"), ENDS_GROUP[:4])
def test_3_1_input_behind_the_end_of_a_group_is_reported(before: tuple[str, ...], command: bytes) -> None:
    driver = Driver(
        config(
            extensions=(PIPELINING, AUTH, STARTTLS),
            mechanisms=(PLAIN,),
            cleartext_auth=True,
            early_input=EarlyInput.REPORT,
        )
    )
    for line in before:
        driver.say(line)
    driver.feed(command + b"NOOP\r\n")
    assert driver.seen(Deviation) == [Deviation("early input")]
    assert not driver.seen(Closed)


@pytest.mark.catalogue("F10")
@pytest.mark.parametrize("policy", [EarlyInput.REJECT, EarlyInput.REPORT])
def test_input_before_the_greeting(policy: EarlyInput) -> None:
    driver = Driver(config(early_input=policy), start=False)
    driver.feed(b"EHLO client.example\r\n")
    if policy is EarlyInput.REJECT:
        assert driver.out.startswith(b"554 ")
        assert driver.events[-1] == Closed(Cause.PROTOCOL, "early input")
    else:
        assert driver.out.startswith(b"220 ")
        assert Deviation("early input") in driver.events
        assert driver.conn.hello is not None


def test_a_refused_data_with_its_message_behind_it_ends_the_session() -> None:
    # Else the lines of the message would be read as commands.
    driver = Driver(config(early_input=EarlyInput.REPORT))
    driver.say("EHLO client.example")
    assert driver.codes("DATA", "RSET") == ["503 5.5.1", "554 5.5.0"]
    assert driver.events[-1] == Closed(Cause.PROTOCOL, "early input")
    assert not driver.seen(RcptTo)
