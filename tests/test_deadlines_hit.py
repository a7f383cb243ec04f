"""Every deadline: armed, moved, not moved, expired; and whose fault that is."""

import math
from typing import Any

import pytest
from _dialogue import TLS, Driver, accept_all, config
from _limited import server

from smtpcore import (
    DEADLINES,
    Abort,
    BodyAborted,
    BodyBegin,
    BodyChunk,
    BodyEnd,
    Cause,
    Closed,
    Connected,
    Deadline,
    Hello,
    LocalProtocolError,
    MailFrom,
    RcptTo,
    Reply,
    SecretWanted,
    ServerConnection,
    ServerEvent,
    StartTls,
    Timeouts,
    Wait,
)
from smtpcore._value import fields
from smtpcore.extensions import AUTH
from smtpcore.sasl import CRAM_MD5

T = Timeouts(command=10, body=20, min_body_rate=100, write=5, tls=7, session=1000)
TIMED_OUT = b"421 mx.example.org timeout exceeded, closing connection\r\n"


def timed(answer: Any = accept_all, *, ehlo: bool = True) -> Driver:
    driver = server(answer, timeouts=T, now=100.0)
    if ehlo:
        driver.say("EHLO client.example")
    return driver


def expired(driver: Driver, deadline: Deadline, missed: str = "") -> None:
    row = DEADLINES[deadline]
    closed = driver.events[-1]
    assert closed == Closed(Cause.TIMED_OUT, missed or deadline.value)
    assert closed.limit == closed.detail
    assert driver.out.endswith(TIMED_OUT) == (row.reply is not None)
    assert driver.wait is Wait.CLOSED


def test_a_row_for_each_deadline() -> None:
    assert {deadline.value for deadline in DEADLINES} | {"min_body_rate"} == {field.name for field in fields(Timeouts)}
    assert {deadline for deadline, row in DEADLINES.items() if row.peer_only} == {Deadline.COMMAND, Deadline.BODY}
    assert {deadline for deadline, row in DEADLINES.items() if row.reply is None} == {Deadline.WRITE, Deadline.TLS}


def test_command_is_armed_when_a_reply_leaves() -> None:
    driver = timed()
    assert driver.conn.next_deadline() == 110.0
    driver.at(109.9)
    assert driver.wait is Wait.DATA
    driver.at(110.0)
    expired(driver, Deadline.COMMAND)


@pytest.mark.parametrize("before", ["greeting", "EHLO", "MAIL", "RCPT", "BDAT", "AUTH"])
def test_command_in_every_phase(before: str) -> None:
    driver = timed(ehlo=before != "greeting")
    if before == "AUTH":
        driver.say("AUTH LOGIN")
    if before in ("MAIL", "RCPT", "BDAT"):
        driver.say("MAIL FROM:<>")
    if before in ("RCPT", "BDAT"):
        driver.say("RCPT TO:<a@example.org>")
    if before == "BDAT":
        driver.say("BDAT 0")
    driver.pump()
    driver.at(111.0)
    expired(driver, Deadline.COMMAND)
    assert (BodyAborted(Abort.LOST) in driver.events) == (before == "BDAT")


@pytest.mark.catalogue("G1")
def test_command_is_not_moved_by_drips() -> None:
    driver = timed()
    for second in range(1, 10):
        driver.now = 100.0 + second
        driver.feed(b"N")
    assert driver.conn.next_deadline() == 110.0
    driver.at(110.0)
    expired(driver, Deadline.COMMAND)


def test_command_is_moved_by_a_complete_line() -> None:
    driver = timed()
    driver.now = 109.0
    driver.say("NOOP")
    assert driver.conn.next_deadline() == 119.0


def test_body_is_moved_by_octets_that_keep_the_pace() -> None:
    driver = timed()
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA")
    assert driver.conn.next_deadline() == 120.0
    driver.now = 110.0
    driver.feed(b"x" * 1000)
    assert driver.conn.next_deadline() == 130.0
    driver.at(130.0)
    expired(driver, Deadline.BODY)
    assert BodyAborted(Abort.LOST) in driver.events


@pytest.mark.catalogue("G2")
def test_body_is_moved_as_far_as_the_pace_allows() -> None:
    driver = timed()
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA")
    for second in range(1, 20):
        driver.now = 100.0 + second
        driver.feed(b"x" * 10)
    assert driver.conn.next_deadline() == pytest.approx(100 + 1.9 + 20)
    driver.at(121.8)
    assert driver.wait is Wait.DATA
    driver.at(122.0)
    expired(driver, Deadline.BODY, "min_body_rate")


def test_body_runs_in_a_chunk() -> None:
    driver = timed()
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    driver.now = 105.0
    driver.feed(b"BDAT 100\r\n")
    assert driver.conn.next_deadline() == 125.0
    driver.now = 110.0
    driver.feed(b"x" * 100)
    assert driver.conn.next_deadline() == 120.0  # the command's, again
    driver.now = 111.0
    driver.feed(b"BDAT 100\r\n")
    driver.at(131.0)
    expired(driver, Deadline.BODY)


def test_body_runs_while_a_chunk_is_discarded() -> None:
    driver = timed()
    driver.feed(b"BDAT 100\r\n")
    assert driver.conn.next_deadline() == 120.0
    driver.now = 105.0
    driver.feed(b"x" * 99)
    assert driver.conn.next_deadline() == pytest.approx(100 + 0.99 + 20)
    driver.at(121.0)
    expired(driver, Deadline.BODY, "min_body_rate")
    driver = timed()
    driver.feed(b"BDAT 1\r\n")
    driver.feed(b"x")
    assert driver.conn.next_deadline() == 110.0


def test_the_end_of_a_message_ends_its_deadline() -> None:
    driver = timed()
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA")
    driver.now = 119.0
    driver.say("x", ".")
    assert driver.conn.next_deadline() == 129.0
    driver.at(129.0)
    expired(driver, Deadline.COMMAND)


@pytest.mark.parametrize("question", [Connected, Hello, MailFrom, RcptTo, BodyBegin, BodyEnd])
def test_a_slow_application_is_not_the_client_s_fault(question: type) -> None:
    def answer(conn: ServerConnection, event: ServerEvent) -> None:
        if not isinstance(event, question):
            accept_all(conn, event)

    driver = timed(answer, ehlo=False)
    if driver.wait is not Wait.REPLY:
        driver.say("EHLO client.example")
    if driver.wait is not Wait.REPLY:
        driver.say("MAIL FROM:<>")
    if driver.wait is not Wait.REPLY:
        driver.say("RCPT TO:<a@example.org>")
    if driver.wait is not Wait.REPLY:
        driver.say("DATA")
    if driver.wait is not Wait.REPLY:
        driver.say(".")
    assert driver.wait is Wait.REPLY
    for now in (150.0, 200.0, 400.0):
        driver.at(now)
        assert not driver.seen(Closed)
    driver.conn.accept(driver.seen(question)[-1])
    driver.pump()
    wait = 20.0 if question is BodyBegin else 10.0
    assert driver.conn.next_deadline() == 400.0 + wait
    assert driver.wait is Wait.DATA


def test_an_application_that_is_slow_to_store_is_not_the_client_s_fault() -> None:
    # It takes its time over a chunk, while nobody tells the connection the time; then it asks for more.
    driver = timed()
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA")
    conn = driver.conn
    conn.receive_data(b"x\r\n", 101.0)
    assert conn.next_event() == BodyChunk(b"x")
    assert conn.next_event() is Wait.DATA
    driver.now = 400.0
    driver.flush()
    conn.handle_timeout(400.0)
    driver.pump()
    assert not driver.seen(Closed)
    conn.handle_timeout(400.0 + 20.0)
    driver.pump()
    expired(driver, Deadline.BODY)


def test_an_application_that_is_slow_to_store_while_the_time_is_told() -> None:
    driver = timed()
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA")
    conn = driver.conn
    conn.receive_data(b"x\r\n", 101.0)
    assert conn.next_event() == BodyChunk(b"x")
    for now in (130.0, 200.0):
        conn.handle_timeout(now)
        assert conn.next_deadline() == now + 20.0
    driver.now = 201.0
    assert driver.pump() is Wait.DATA
    driver.at(219.0)
    assert driver.wait is Wait.DATA
    driver.at(222.0)
    expired(driver, Deadline.BODY)


@pytest.mark.catalogue("G5")
def test_write() -> None:
    driver = timed()
    conn = driver.conn
    conn.receive_data(b"NOOP\r\n", 101.0)
    assert conn.next_event() is Wait.DATA
    assert conn.data_to_send(101.0)
    assert conn.next_deadline() == 106.0
    conn.data_sent(104.0)
    assert conn.next_deadline() == 111.0
    conn.receive_data(b"NOOP\r\n", 105.0)
    conn.next_event()
    conn.data_to_send(105.0)
    before = driver.out
    driver.at(110.0)
    # Who takes no octets will not take a reply.
    assert driver.out == before
    assert driver.events[-1] == Closed(Cause.TIMED_OUT, "write")
    assert driver.wait is Wait.CLOSED


def test_write_is_not_moved_by_more_to_send() -> None:
    driver = timed()
    conn = driver.conn
    for now in (101.0, 103.0, 105.0):
        conn.receive_data(b"NOOP\r\n", now)
        conn.next_event()
        conn.data_to_send(now)
    assert conn.next_deadline() == 106.0


def test_write_of_the_last_reply() -> None:
    driver = timed()
    conn = driver.conn
    conn.receive_data(b"QUIT\r\n", 101.0)
    while conn.next_event() is not Wait.CLOSED:
        pass
    assert conn.data_to_send(101.0)
    assert conn.next_deadline() == 106.0
    conn.handle_timeout(106.0)
    assert conn.next_event() is Wait.CLOSED
    assert conn.data_to_send(106.0) == []
    assert conn.next_deadline() == math.inf


def test_a_last_reply_that_was_sent() -> None:
    driver = timed()
    driver.say("QUIT")
    assert driver.conn.next_deadline() == math.inf
    driver.at(5000.0)
    assert len(driver.seen(Closed)) == 1


@pytest.mark.catalogue("C7")
def test_tls() -> None:
    driver = timed()
    driver.say("STARTTLS")
    assert driver.conn.next_deadline() == 107.0
    before = driver.out
    driver.at(107.0)
    expired(driver, Deadline.TLS)
    assert driver.out == before


def test_tls_ends_with_the_handshake() -> None:
    driver = timed()
    driver.say("STARTTLS")
    driver.now = 106.0
    driver.handshake(TLS)
    driver.at(106.0)
    assert driver.conn.next_deadline() == 116.0
    driver.at(116.0)
    expired(driver, Deadline.COMMAND)


def test_session() -> None:
    driver = timed()
    for now in range(105, 1100, 5):
        driver.now = float(now)
        assert driver.codes("RSET" if now % 2 else "MAIL FROM:<>") == ["250"]
        driver.conn._junk = 0
    assert driver.conn.next_deadline() == 1100.0
    driver.at(1100.0)
    expired(driver, Deadline.SESSION)


def test_session_with_an_open_question() -> None:
    driver = timed(lambda conn, event: None if isinstance(event, MailFrom) else accept_all(conn, event))
    driver.say("MAIL FROM:<>")
    driver.at(1100.0)
    assert driver.wait is Wait.REPLY
    assert not driver.seen(Closed)
    # The answer is said, and then the session ends.
    driver.conn.accept(driver.seen(MailFrom)[0])
    driver.pump()
    assert driver.out.endswith(b"250 Sender ok\r\n" + TIMED_OUT)
    assert driver.events[-1] == Closed(Cause.TIMED_OUT, "session")
    assert driver.wait is Wait.CLOSED


def test_session_in_the_middle_of_a_message() -> None:
    driver = timed()
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA")
    for now in range(110, 1100, 10):
        driver.now = float(now)
        driver.feed(b"x" * 1000)
    driver.at(1100.0)
    expired(driver, Deadline.SESSION)
    assert BodyAborted(Abort.LOST) in driver.events


def test_session_begins_with_the_first_time_that_is_told() -> None:
    conn = Driver(config(timeouts=T), start=False).conn
    conn.receive_data(b"x", 500.0)
    assert conn.next_deadline() == 1500.0


def test_two_deadlines_at_once_end_the_session_once() -> None:
    driver = timed()
    driver.at(5000.0)
    assert driver.seen(Closed) == [Closed(Cause.TIMED_OUT, "command")]
    assert driver.out.endswith(TIMED_OUT)


def test_a_call_too_early_does_nothing() -> None:
    driver = timed()
    events, out, deadline = list(driver.events), driver.out, driver.conn.next_deadline()
    for now in (100.0, 105.0, 109.999):
        driver.at(now)
    assert (driver.events, driver.out, driver.conn.next_deadline()) == (events, out, deadline)


@pytest.mark.parametrize("question", [MailFrom, BodyBegin, BodyEnd, StartTls])
def test_an_answer_that_comes_after_the_end(question: type) -> None:
    # The client takes no octets: the session ends while the application thinks. Its answer is in vain, once.
    driver = timed(lambda conn, event: None if isinstance(event, question) else accept_all(conn, event))
    if question is StartTls:
        driver.say("STARTTLS")
    else:
        driver.say("MAIL FROM:<>", *["RCPT TO:<a@example.org>", "DATA"] * (question is not MailFrom))
        if question is BodyEnd:
            driver.say(".")
    conn = driver.conn
    assert driver.wait is Wait.REPLY
    conn._link.send(b"250 something that nobody takes\r\n")
    conn.data_to_send(101.0)
    driver.at(106.0)
    assert driver.events[-1] == Closed(Cause.TIMED_OUT, "write")
    before = driver.out
    (asked,) = driver.seen(question)
    conn.accept(asked)
    assert driver.pump() is Wait.CLOSED
    assert driver.out == before
    with pytest.raises(LocalProtocolError):
        conn.accept(asked)


@pytest.mark.parametrize("way", ["accept", "reject", "settle", "provide"])
def test_an_answer_in_vain_in_every_way(way: str) -> None:
    kind = SecretWanted if way == "provide" else BodyEnd
    driver = Driver(
        config(extensions=(AUTH,), mechanisms=(CRAM_MD5,), cleartext_auth=True, timeouts=T),
        answer=lambda conn, event: None if isinstance(event, kind) else accept_all(conn, event),
    )
    driver.say("EHLO client.example")
    if way == "provide":
        driver.say("AUTH CRAM-MD5")
        driver.say("YSA3NGU2ODUxZjU1YjE5ZjI1NGE1MjQ3ZjE2NzQ5ZjQ5Zg==")
    else:
        driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA")
        driver.say(".")
    assert driver.wait is Wait.REPLY
    conn = driver.conn
    conn._link.send(b"250 something that nobody takes\r\n")
    conn.data_to_send(0.0)
    driver.at(5.0)
    assert driver.events[-1] == Closed(Cause.TIMED_OUT, "write")
    (question,) = driver.seen(kind)
    arguments = {"accept": (), "reject": (Reply(550),), "settle": ([Reply(550)],), "provide": (None,)}[way]
    getattr(conn, way)(question, *arguments)
    with pytest.raises(LocalProtocolError):
        getattr(conn, way)(question, *arguments)


def test_the_time_is_told_by_whatever_call_comes_first() -> None:
    for call in ("data_sent", "data_to_send", "handle_timeout"):
        conn = Driver(config(timeouts=T), start=False).conn
        getattr(conn, call)(500.0)
        assert conn.next_deadline() == 1500.0
