"""`close`: at each moment, and what is let in before it takes effect."""

import pytest
from _dialogue import PEER, Driver, accept_all, codes, config
from _limited import opened, ready, server

from smtpcore import (
    LMTP,
    BodyBegin,
    BodyEnd,
    Cause,
    Closed,
    Connected,
    EarlyInput,
    Hello,
    MailFrom,
    RcptTo,
    Reply,
    StartTls,
    Wait,
)

DOWN = b"421 mx.example.org shutting down\r\n"
SHUTDOWN = Closed(Cause.SHUTDOWN)


@pytest.mark.parametrize("phase", ["HELLO", "READY", "MAIL", "RCPT", "AUTH"])
def test_close_at_once(phase: str) -> None:
    driver = server()
    if phase != "HELLO":
        driver.say("EHLO client.example")
    if phase in ("MAIL", "RCPT"):
        driver.say("MAIL FROM:<>")
    if phase == "RCPT":
        driver.say("RCPT TO:<a@example.org>")
    if phase == "AUTH":
        driver.say("AUTH LOGIN")
    assert driver.conn.phase.name == phase
    driver.conn.close()
    assert driver.pump() is Wait.CLOSED
    assert driver.out.endswith(DOWN)
    assert driver.events[-1] == SHUTDOWN
    driver.conn.close()
    assert driver.pump() is Wait.CLOSED
    assert driver.out.count(DOWN) == 1


@pytest.mark.parametrize("question", [Connected, Hello, MailFrom, RcptTo, BodyBegin, StartTls])
def test_close_while_a_question_is_open(question: type) -> None:
    driver = server(lambda conn, event: None if isinstance(event, question) else accept_all(conn, event))
    for each in (
        "EHLO client.example",
        "STARTTLS" if question is StartTls else "MAIL FROM:<>",
        "RCPT TO:<a@b.example>",
    ):
        if driver.wait is not Wait.REPLY:
            driver.say(each)
    if driver.wait is not Wait.REPLY:
        driver.feed(b"BDAT 1\r\n")
    assert driver.wait is Wait.REPLY
    driver.conn.close()
    assert driver.pump() is Wait.REPLY
    driver.conn.reject(driver.seen(question)[0], Reply(550, "No"))
    driver.pump()
    if question is BodyBegin:
        assert driver.wait is Wait.DATA  # for the chunk that was refused
        driver.feed(b"x")
    assert driver.wait is Wait.CLOSED
    assert driver.events[-1] == (Closed(Cause.REJECTED) if question is Connected else SHUTDOWN)
    assert driver.out.endswith(b"550 No\r\n" + (b"" if question is Connected else DOWN))


def test_close_while_a_question_is_open_that_is_accepted() -> None:
    driver = server(lambda conn, event: None if isinstance(event, Hello) else accept_all(conn, event))
    driver.say("EHLO client.example")
    driver.conn.close(Reply(454, "Later"))
    driver.conn.accept(driver.events[-1])
    assert driver.pump() is Wait.CLOSED
    assert driver.out.endswith(b"ETRN\r\n454 Later\r\n")
    assert driver.events[-1] == SHUTDOWN


def test_close_lets_a_message_in_first() -> None:
    driver = opened()
    driver.say("DATA")
    driver.conn.close()
    assert driver.pump() is Wait.DATA
    assert driver.say("x", ".") == b"250 Message accepted\r\n" + DOWN
    assert driver.events[-2:] == [BodyEnd(3), SHUTDOWN]
    assert driver.wait is Wait.CLOSED


def test_close_lets_a_message_in_chunks_in_first() -> None:
    driver = opened()
    driver.feed(b"BDAT 3\r\nabc")
    driver.conn.close()
    assert driver.pump() is Wait.DATA
    assert driver.feed(b"BDAT 2 LAST\r\n\r\n") == b"250 Message accepted\r\n" + DOWN
    assert driver.events[-2:] == [BodyEnd(5), SHUTDOWN]


def test_close_lets_a_chunk_be_discarded_first() -> None:
    driver = ready()
    driver.feed(b"BDAT 3\r\na")
    driver.conn.close()
    assert driver.pump() is Wait.DATA
    assert driver.feed(b"bc") == b"503 Bad sequence of commands\r\n" + DOWN


def test_close_during_a_handshake() -> None:
    driver = ready()
    driver.say("STARTTLS")
    driver.conn.close()
    assert driver.pump() is Wait.TLS
    driver.handshake()
    assert driver.out.endswith(DOWN)
    assert driver.events[-1] == SHUTDOWN
    assert driver.wait is Wait.CLOSED


def test_close_is_outrun_by_the_peer() -> None:
    driver = opened()
    driver.say("DATA")
    driver.conn.close()
    driver.eof()
    assert driver.events[-1] == Closed(Cause.EOF)


def test_close_after_the_verdicts_of_lmtp() -> None:
    driver = Driver(config(), dialect=LMTP)
    driver.say("LHLO client.example")
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "RCPT TO:<b@example.org>", "DATA")
    driver.conn.close()
    assert codes(driver.say(".")) == ["250 2.0.0", "250 2.0.0", "421 4.3.2"]


def test_close_drops_what_was_pipelined() -> None:
    driver = server(lambda conn, event: None if isinstance(event, MailFrom) else accept_all(conn, event))
    driver.say("EHLO client.example")
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "NOOP")
    driver.conn.close()
    driver.conn.accept(driver.events[-1])
    driver.pump()
    assert driver.out.endswith(b"250 Sender ok\r\n" + DOWN)
    assert not driver.seen(RcptTo)


def test_input_early_or_not_is_a_matter_of_the_moment() -> None:
    # The one rule that depends on how the octets came, and so no part of the law of chunks.
    for cut, wait in ((None, Wait.CLOSED), (1, Wait.DATA)):
        driver = Driver(config(early_input=EarlyInput.REJECT), peer=PEER)
        driver.feed(b"EHLO client.example\r\nNOOP\r\n", cut)
        assert driver.wait is wait
