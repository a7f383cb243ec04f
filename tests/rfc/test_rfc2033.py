"""RFC 2033, LMTP."""

import pytest
from _dialogue import Driver, config, play

from smtpcore import LMTP, Abort, BodyAborted, BodyEnd, Cause, Closed, Hello, Limits, LocalProtocolError, Reply
from smtpcore.extensions import ENHANCEDSTATUSCODES, PIPELINING, SIZE

SETTINGS = config(extensions=(PIPELINING, ENHANCEDSTATUSCODES, SIZE), limits=Limits(message_octets=65536))
GREETED = """
    C: LHLO foo.edu
    S: 250-mx.example.org
    S: 250-PIPELINING
    S: 250-ENHANCEDSTATUSCODES
    S: 250 SIZE 65536
"""
OPEN = (
    GREETED
    + """
    C: MAIL FROM:<chris@bar.com>
    C: RCPT TO:<pat@foo.edu>
    C: RCPT TO:<jones@foo.edu>
    C: RCPT TO:<green@foo.edu>
    C: DATA
    A: RcptTo accept
    A: RcptTo reject 550 5.1.1 No such user here
    A: RcptTo accept
    S: 250 2.1.0 Sender ok
    S: 250 2.1.5 Recipient ok
    S: 550 5.1.1 No such user here
    S: 250 2.1.5 Recipient ok
    S: 354 End data with <CR><LF>.<CR><LF>
"""
)


@pytest.mark.catalogue("H16")
def test_4_2_the_example() -> None:
    driver = play(
        OPEN
        + """
        C: Blah blah blah...
        C: ...etc. etc. etc.
        C: .
        A: BodyEnd settle 250 2.1.5 pat delivered | 452 4.2.2 green is over quota
        S: 250 2.1.5 pat delivered
        S: 452 4.2.2 green is over quota
        C: QUIT
        S: 221 2.0.0 mx.example.org closing connection
        """,
        SETTINGS,
        dialect=LMTP,
    )
    assert driver.events[-1] == Closed(Cause.QUIT)


def test_4_1_lhlo_takes_the_place_of_ehlo() -> None:
    # "The HELO and EHLO commands of ESMTP are replaced by the LHLO command. ... A LMTP server MUST NOT return a
    # Postive Completion reply to the HELO or EHLO command"
    driver = play(
        """
        C: EHLO foo.edu
        S: 502 5.5.1 Command not implemented
        C: HELO foo.edu
        S: 502 5.5.1 Command not implemented
        C: MAIL FROM:<>
        S: 503 5.5.1 Bad sequence of commands
        C: LHLO
        S: 501 5.5.4 Syntax: LHLO domain
        """
        + GREETED,
        SETTINGS,
        dialect=LMTP,
    )
    assert driver.seen(Hello)[0].verb == "LHLO"


def test_4_2_data_without_a_recipient() -> None:
    # "The additional restriction is that when there have been no successful RCPT commands in the mail transaction,
    # the DATA command MUST fail with a 503 reply code."
    play(
        GREETED
        + """
        C: MAIL FROM:<chris@bar.com>
        C: RCPT TO:<jones@foo.edu>
        C: DATA
        A: RcptTo reject 550 5.1.1 No such user here
        S: 250 2.1.0 Sender ok
        S: 550 5.1.1 No such user here
        S: 503 5.5.1 Bad sequence of commands
        """,
        SETTINGS,
        dialect=LMTP,
    )


def test_4_2_one_reply_each_even_for_the_same_path() -> None:
    # "Even if there were multiple successful RCPT commands giving the same forward-path, there must be one reply for
    # each successful RCPT command."
    play(
        GREETED
        + """
        C: MAIL FROM:<chris@bar.com>
        C: RCPT TO:<pat@foo.edu>
        C: RCPT TO:<pat@foo.edu>
        C: DATA
        S: 250 2.1.0 Sender ok
        S: 250 2.1.5 Recipient ok
        S: 250 2.1.5 Recipient ok
        S: 354 End data with <CR><LF>.<CR><LF>
        C: .
        S: 250 2.0.0 Message accepted
        S: 250 2.0.0 Message accepted
        """,
        SETTINGS,
        dialect=LMTP,
    )


def test_4_2_one_refusal_for_all() -> None:
    play(
        OPEN
        + """
        C: x
        C: .
        A: BodyEnd reject 554 5.6.0 Not liked
        S: 554 5.6.0 Not liked
        S: 554 5.6.0 Not liked
        C: RSET
        S: 250 2.0.0 Ok
        """,
        SETTINGS,
        dialect=LMTP,
    )


def test_4_2_what_the_engine_refuses_it_refuses_for_each() -> None:
    driver = play(
        OPEN
        + "C~ "
        + "x" * 65536
        + r"\r\n.\r\n"
        + """
        S: 552 5.3.4 Message size exceeds fixed limit of 65536 octets
        S: 552 5.3.4 Message size exceeds fixed limit of 65536 octets
        C: MAIL FROM:<>
        S: 250 2.1.0 Sender ok
        """,
        SETTINGS,
        dialect=LMTP,
    )
    assert driver.seen(BodyAborted, BodyEnd) == [BodyAborted(Abort.TOO_BIG, "message_octets")]


def test_a_421_among_the_verdicts_comes_last() -> None:
    # Each recipient has its reply, then the connection ends.
    play(
        OPEN
        + """
        C: .
        A: BodyEnd settle 421 4.3.2 Going down | 250 2.0.0 Kept
        S: 421 4.3.2 Going down
        S: 250 2.0.0 Kept
        CLOSED
        """,
        SETTINGS,
        dialect=LMTP,
    )


def test_a_421_for_each() -> None:
    play(
        OPEN
        + """
        C: .
        A: BodyEnd settle 421 4.3.2 Going down | 421 4.3.2 Going down
        S: 421 4.3.2 Going down
        S: 421 4.3.2 Going down
        CLOSED
        """,
        SETTINGS,
        dialect=LMTP,
    )


@pytest.mark.parametrize("missing", [PIPELINING, ENHANCEDSTATUSCODES])
def test_5_what_must_be_offered(missing: object) -> None:
    extensions = tuple(each for each in SETTINGS.extensions if each is not missing)
    with pytest.raises(LocalProtocolError):
        Driver(config(extensions=extensions), dialect=LMTP)


def test_the_number_of_verdicts_is_checked() -> None:
    driver = Driver(SETTINGS, dialect=LMTP)
    driver.say("LHLO foo.edu")
    driver.say("MAIL FROM:<>", "RCPT TO:<a@foo.edu>", "RCPT TO:<b@foo.edu>", "DATA")
    driver.answer = lambda conn, event: None
    driver.say(".")
    (end,) = driver.seen(BodyEnd)
    for verdicts in ([], [Reply(250)], [Reply(250)] * 3, [Reply(250), Reply(354)]):
        with pytest.raises(LocalProtocolError):
            driver.conn.settle(end, verdicts)
    driver.conn.settle(end, [Reply(250)] * 2)
    driver.pump()
    assert driver.out.endswith(b"250 2.0.0 \r\n250 2.0.0 \r\n")
