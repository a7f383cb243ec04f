"""Every limit at n and at n + 1, and every deadline."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from _dialogue import PEER, TLS, Driver, accept_all, codes, config

from smtpcore import (
    DEADLINES,
    LMTP,
    Abort,
    BodyAborted,
    BodyBegin,
    BodyChunk,
    BodyEnd,
    Cause,
    Closed,
    Connected,
    Deadline,
    EarlyInput,
    Hello,
    Limits,
    LocalProtocolError,
    MailFrom,
    Phase,
    RcptTo,
    Refused,
    Replies,
    Reply,
    ServerConnection,
    ServerEvent,
    StartTls,
    Stray,
    Timeouts,
    Wait,
)
from smtpcore._limits import rows
from smtpcore._value import fields
from smtpcore.extensions import AUTH, CHUNKING, ETRN, PIPELINING, SIZE, STARTTLS
from smtpcore.sasl import LOGIN, PLAIN, Challenge, Exchange

EXTENSIONS = (PIPELINING, SIZE, CHUNKING, AUTH, STARTTLS, ETRN)
ROWS = {row.name: row for row in rows()}
ONE = 65536
"""The least that a message may be limited to."""

Scenario = Callable[[bool], Driver]


def server(answer: Any = accept_all, *, timeouts: Timeouts | None = None, now: float = 0.0, **limits: int) -> Driver:
    return Driver(
        config(
            extensions=EXTENSIONS,
            mechanisms=(PLAIN, LOGIN),
            cleartext_auth=True,
            limits=Limits(**limits),
            timeouts=timeouts or Timeouts(),
        ),
        answer=answer,
        now=now,
    )


def ready(**limits: int) -> Driver:
    driver = server(**limits)
    driver.say("EHLO client.example")
    return driver


def opened(**limits: int) -> Driver:
    driver = ready(**limits)
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    assert driver.conn.phase is Phase.RCPT
    return driver


def line(octets: int, start: str = "NOOP ") -> bytes:
    """A line of so many octets, with its end."""
    return (start.ljust(octets - 2, "x") + "\r\n").encode()


# --- limits -----------------------------------------------------------------------------------------
# Each scenario stops at the limit, or goes one beyond it.


def command_octets(over: bool) -> Driver:
    driver = ready(command_octets=512)
    driver.feed(line(512 + over))
    return driver


def auth_octets_of_the_command(over: bool) -> Driver:
    driver = ready(auth_octets=13_000)
    driver.feed(line(13_000 + over, "auth PLAIN "))
    return driver


def auth_octets_of_an_answer(over: bool) -> Driver:
    driver = ready(auth_octets=13_000)
    driver.say("AUTH PLAIN")
    driver.feed(line(13_000 + over, ""))
    return driver


def swallowed_octets(over: bool) -> Driver:
    driver = ready(swallowed_octets=20_000)
    driver.feed(line(20_000 + over))
    return driver


def swallowed_octets_of_an_answer(over: bool) -> Driver:
    driver = ready(swallowed_octets=20_000)
    driver.say("AUTH PLAIN")
    driver.feed(line(20_000 + over, ""))
    return driver


def recipients(over: bool) -> Driver:
    driver = ready(recipients=100)
    driver.say("MAIL FROM:<>", *["RCPT TO:<a@example.org>"] * (100 + over))
    return driver


def message_octets(over: bool) -> Driver:
    driver = opened(message_octets=ONE)
    driver.say("DATA")
    driver.feed(b"x" * (ONE - 2 + over) + b"\r\n.\r\n")
    return driver


def message_octets_with_dots(over: bool) -> Driver:
    driver = opened(message_octets=ONE)
    driver.say("DATA")
    driver.feed(b"..\r\n" * ((ONE - 4) // 3) + b"x" * (1 + over) + b"y\r\n.\r\n")
    return driver


def message_octets_in_one_chunk(over: bool) -> Driver:
    driver = opened(message_octets=ONE)
    driver.feed(b"BDAT %d LAST\r\n" % (ONE + over) + b"x" * (ONE + over))
    return driver


def message_octets_in_two_chunks(over: bool) -> Driver:
    driver = opened(message_octets=ONE)
    driver.feed(b"BDAT %d\r\n" % (ONE - 1) + b"x" * (ONE - 1) + b"BDAT %d LAST\r\n" % (1 + over) + b"y" * (1 + over))
    return driver


def message_octets_declared(over: bool) -> Driver:
    driver = ready(message_octets=ONE)
    driver.say(f"MAIL FROM:<> SIZE={ONE + over}")
    return driver


def discard_octets(over: bool) -> Driver:
    driver = opened(discard_octets=1000)
    driver.say("DATA")
    driver.feed(b"\n" + b"x" * (1000 - 6 + over) + b"\r\n.\r\n")
    return driver


def discard_octets_of_a_chunk(over: bool) -> Driver:
    driver = ready(discard_octets=1000)
    driver.feed(b"BDAT %d\r\n" % (1000 + over) + b"x" * (1000 + over))
    return driver


def discard_octets_of_many_chunks(over: bool) -> Driver:
    driver = opened(discard_octets=1000)
    driver.answer = lambda conn, event: conn.reject(event, Reply(550, "No")) if isinstance(event, BodyBegin) else None
    driver.feed((b"BDAT 500\r\n" + b"x" * 500) * 2)
    driver.feed(b"BDAT %d\r\n" % over + b"x" * over)
    return driver


def discard_octets_of_a_message_in_chunks(over: bool) -> Driver:
    driver = opened(discard_octets=1000)
    driver.feed(b"BDAT 400\r\n" + b"x" * 399 + b"\nBDAT 600\r\n" + b"x" * 600)
    driver.feed(b"BDAT %d\r\n" % over + b"x" * over)
    return driver


def chunks(over: bool) -> Driver:
    driver = opened(chunks=3)
    driver.feed(b"BDAT 1\r\na" * 2 + b"BDAT 0\r\n" * over + b"BDAT 0 LAST\r\n")
    return driver


def transactions(over: bool) -> Driver:
    driver = ready(transactions=2)
    driver.say(*["MAIL FROM:<>", "RSET"] * (1 + over), "MAIL FROM:<>")
    return driver


def errors(over: bool) -> Driver:
    driver = ready(errors=3)
    driver.say("FOO", "RCPT TO:<", "MAIL FROM:<", *["DATA"] * over)
    return driver


def errors_of_many_kinds(over: bool) -> Driver:
    driver = ready(errors=9)
    driver.say("FOO")
    driver.say("AUTH NTLM")
    driver.feed(b"BDAT 2\r\n\r\n")
    driver.feed(line(2049))
    driver.say("MAIL FROM:<> X=1")
    driver.feed(b"NOOP \x00\r\n")
    driver.feed(b"NOOP \xff\r\n")
    driver.say("AUTH PLAIN *")
    driver.say("AUTH PLAIN !")
    driver.say(*["XCLIENT A=B"] * over)
    return driver


def junk_commands(over: bool) -> Driver:
    driver = ready(junk_commands=6)
    driver.say("NOOP", "RSET", "VRFY a", "EXPN b", "HELP", "ETRN example.org", *["NOOP"] * over)
    return driver


def junk_commands_repeated_hello(over: bool) -> Driver:
    driver = ready(junk_commands=1)
    driver.say("EHLO client.example")
    for _ in range(over):
        driver.say("HELO client.example")
    return driver


def unknown_before_hello(over: bool) -> Driver:
    driver = server(unknown_before_hello=2)
    driver.say("FOO", "TURN", *["X"] * over)
    return driver


def auth_attempts(over: bool) -> Driver:
    driver = ready(auth_attempts=2)
    driver.say("AUTH PLAIN *")
    driver.say("AUTH NTLM")
    driver.say(*["AUTH LOGIN"] * over)
    return driver


SCENARIOS: dict[str, tuple[Scenario, ...]] = {
    "command_octets": (command_octets,),
    "auth_octets": (auth_octets_of_the_command, auth_octets_of_an_answer),
    "swallowed_octets": (swallowed_octets, swallowed_octets_of_an_answer),
    "recipients": (recipients,),
    "message_octets": (
        message_octets,
        message_octets_with_dots,
        message_octets_in_one_chunk,
        message_octets_in_two_chunks,
        message_octets_declared,
    ),
    "discard_octets": (
        discard_octets,
        discard_octets_of_a_chunk,
        discard_octets_of_many_chunks,
        discard_octets_of_a_message_in_chunks,
    ),
    "chunks": (chunks,),
    "transactions": (transactions,),
    "errors": (errors, errors_of_many_kinds),
    "junk_commands": (junk_commands, junk_commands_repeated_hello),
    "unknown_before_hello": (unknown_before_hello,),
    "auth_attempts": (auth_attempts,),
}
ELSEWHERE = {"buffered_octets", "output_octets"}
"""Those that stop the reading and not the client: below."""

EACH = [pytest.param(name, each, id=each.__name__) for name, scenarios in SCENARIOS.items() for each in scenarios]


def test_no_limit_is_forgotten() -> None:
    assert set(SCENARIOS) | ELSEWHERE == {field.name for field in fields(Limits)}


@pytest.mark.catalogue("G7", "G8", "F8")
@pytest.mark.parametrize(("name", "scenario"), EACH)
def test_limit(name: str, scenario: Scenario) -> None:
    row = ROWS[name]
    within, over = scenario(False), scenario(True)
    said = getattr(within.conn.replies, row.reply).wire(False)
    assert said not in within.out
    assert said in over.out
    assert within.wait is Wait.DATA
    closes = "close" in row.hit
    assert (over.wait is Wait.CLOSED) == closes
    if closes:
        assert over.events[-1] in (Closed(Cause.LIMIT, name), Closed(Cause.PROTOCOL, name))
        assert over.out.endswith(said)
        assert said.startswith(b"421 ")
    else:
        assert over.codes("RSET" if over.conn.envelope else "NOOP") == ["250"]


@pytest.mark.parametrize("scenario", [command_octets, auth_octets_of_the_command, auth_octets_of_an_answer])
def test_a_line_too_long_is_one_error_and_the_next_line_is_read(scenario: Scenario) -> None:
    driver = scenario(True)
    assert codes(driver.out)[-1] == "500"
    assert driver.codes("RSET") == ["250"]


def test_a_line_too_long_is_dropped_from_the_report() -> None:
    assert [event.line for event in command_octets(True).seen(Refused)] == [b""]


def test_the_recipients_so_far_stay() -> None:
    # RFC 5321 4.5.3.1.10: with 452 "the client MUST be prepared" to send to those it has.
    driver = recipients(True)
    assert codes(driver.out)[-1] == "452"
    assert len(driver.seen(RcptTo)) == 100
    assert driver.codes("DATA") == ["354"]
    assert driver.codes(".") == ["250"]
    driver.say("MAIL FROM:<>")
    assert driver.codes("RCPT TO:<a@example.org>") == ["250"]


@pytest.mark.parametrize("scenario", [message_octets, message_octets_with_dots])
def test_what_comes_out_of_a_message_too_big(scenario: Scenario) -> None:
    within, over = scenario(False), scenario(True)
    assert len(within.body) == len(over.body) == ONE
    assert within.seen(BodyEnd) == [BodyEnd(ONE)]
    assert over.seen(BodyEnd, BodyAborted) == [BodyAborted(Abort.TOO_BIG)]


def test_normalised_line_ends_count() -> None:
    driver = Driver(config(stray=Stray.NORMALISE, limits=Limits(message_octets=ONE)))
    driver.say("EHLO client.example")
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA")
    assert driver.feed(b"\n" * (ONE // 2 + 1) + b"\r\n.\r\n").startswith(b"552 ")
    assert len(driver.body) == ONE
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    assert driver.feed(b"BDAT %d LAST\r\n" % ONE + b"\n" * ONE).startswith(b"552 ")
    assert driver.seen(BodyAborted) == [BodyAborted(Abort.TOO_BIG)] * 2


def test_the_limit_is_in_force_after_discard() -> None:
    driver = opened(discard_octets=100)
    driver.say("DATA")
    driver.feed(b"x" * 50)
    driver.conn.discard(Reply(554, "No"))
    driver.feed(b"y" * 50)
    assert driver.wait is Wait.DATA
    driver.feed(b"z")
    assert driver.events[-1] == Closed(Cause.LIMIT, "discard_octets")
    assert not driver.seen(BodyAborted)


def test_each_message_has_its_own_chunks_and_discards() -> None:
    driver = opened(chunks=2, discard_octets=1000)
    for _ in range(3):
        driver.feed(b"BDAT 1\r\naBDAT 0 LAST\r\n")
        driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
        driver.feed(b"BDAT 900 LAST\r\n" + b"\n" * 900)
        driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    assert len(driver.seen(BodyEnd)) == 3
    assert driver.wait is Wait.DATA


def test_a_message_makes_the_junk_before_it_good() -> None:
    driver = ready(junk_commands=2)
    for _ in range(3):
        assert driver.codes("NOOP", "NOOP", "MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA")[-1] == "354"
        assert driver.codes(".") == ["250"]


def test_chunks_that_were_sent_ahead_are_bounded() -> None:
    # Chunks behind a refused one are no errors of the client; but there is an end to them.
    driver = opened(chunks=100)
    driver.answer = lambda conn, event: conn.reject(event, Reply(550, "No")) if isinstance(event, BodyBegin) else None
    driver.feed(b"BDAT 0\r\n" * 5000)
    assert driver.wait is Wait.CLOSED


def test_recipients_beyond_the_limit_are_bounded() -> None:
    driver = ready(recipients=100)
    driver.say("MAIL FROM:<>")
    driver.say(*["RCPT TO:<a@example.org>"] * 20_000)
    assert driver.wait is Wait.CLOSED


def test_a_421_of_the_config_s_own_closes() -> None:
    driver = Driver(
        config(limits=Limits(transactions=1), replies=Replies(too_many_transactions=Reply(421, "Enough", "4.7.0")))
    )
    driver.say("EHLO client.example")
    driver.say("MAIL FROM:<>", "RSET")
    assert driver.codes("MAIL FROM:<>", "NOOP") == ["421 4.7.0"]
    assert driver.events[-1] == Closed(Cause.LIMIT)


# --- the limits that stop the reading -----------------------------------------------------------------


def silent(conn: ServerConnection, event: ServerEvent) -> None:
    """Answer nothing."""


def test_buffered_octets() -> None:
    driver = ready(buffered_octets=20_000)
    driver.answer = silent
    driver.feed(b"MAIL FROM:<>\r\n")
    conn = driver.conn
    assert driver.wait is Wait.REPLY
    conn.receive_data(b"\r\n" * 9_999 + b"\r", 0.0)
    assert conn.wants_data
    conn.receive_data(b"\n", 0.0)
    assert not conn.wants_data
    conn.reject(driver.events[-1], Reply(421, "Enough"))
    assert driver.pump() is Wait.CLOSED
    assert not conn.wants_data


@pytest.mark.parametrize(
    ("buffered", "fed", "limits"),
    [
        (12_288, b"A" * 12_288, {}),
        (12_288, b"A" * 12_290, {"auth_octets": 20_000}),
    ],
)
def test_a_connection_that_waits_for_octets_wants_them(buffered: int, fed: bytes, limits: dict[str, int]) -> None:
    # A pump that heeds both `Wait.DATA` and `wants_data` must not stand still.
    driver = ready(buffered_octets=buffered, **limits)
    driver.say("AUTH PLAIN")
    driver.feed(fed)
    assert driver.wait is Wait.DATA
    assert driver.conn.wants_data


def test_output_octets() -> None:
    driver = Driver(config(limits=Limits(output_octets=512, errors=1000)))
    driver.say("EHLO client.example")
    conn = driver.conn
    conn.receive_data(b"NOOP\r\n" * 100, 0.0)
    assert conn.next_event() is Wait.SEND
    out = b"".join(conn.data_to_send(0.0))
    # One reply may go over, and then no command is read.
    assert 512 < len(out) <= 512 + len(b"250 2.0.0 Ok\r\n")
    conn.data_sent(0.0)
    assert conn.next_event() is Wait.SEND
    assert conn.next_event() is Wait.SEND
    driver.flush()
    driver.pump()
    assert driver.wait is Wait.DATA
    assert (out + driver.out).count(b"250 2.0.0 Ok\r\n") == 100


def test_output_octets_of_an_endless_exchange() -> None:
    # A mechanism that asks and asks, and a client that answers all at once.
    class Curious:
        name = "X-CURIOUS"
        initial = False

        def available(self, tls: object) -> bool:
            return True

        def start(self, tls: object) -> Exchange:
            while True:
                yield Challenge(b"?" * 900)

    driver = Driver(
        config(extensions=(AUTH,), mechanisms=(Curious(),), cleartext_auth=True, limits=Limits(output_octets=4096))
    )
    driver.say("EHLO client.example")
    driver.say("AUTH X-CURIOUS")
    driver.conn.receive_data(b"\r\n" * 10_000, 0.0)
    assert driver.conn.next_event() is Wait.SEND
    assert sum(map(len, driver.conn.data_to_send(0.0))) < 4096 + 2000


# --- deadlines ----------------------------------------------------------------------------------------

T = Timeouts(command=10, body=20, min_body_rate=100, write=5, tls=7, session=1000)
TIMED_OUT = b"421 mx.example.org timeout exceeded, closing connection\r\n"


def timed(answer: Any = accept_all, *, ehlo: bool = True) -> Driver:
    driver = server(answer, timeouts=T, now=100.0)
    if ehlo:
        driver.say("EHLO client.example")
    return driver


def expired(driver: Driver, deadline: Deadline) -> None:
    row = DEADLINES[deadline]
    assert driver.events[-1] == Closed(Cause.TIMED_OUT, deadline.value)
    assert driver.out.endswith(TIMED_OUT) == (row.reply is not None)
    assert driver.wait is Wait.CLOSED


def test_a_row_for_each_deadline() -> None:
    assert set(DEADLINES) == set(Deadline)
    assert {deadline.value for deadline in Deadline} | {"min_body_rate"} == {field.name for field in fields(Timeouts)}
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
    expired(driver, Deadline.BODY)


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
    expired(driver, Deadline.BODY)
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


# --- close ---------------------------------------------------------------------------------------------

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
    for each in ("EHLO client.example", "STARTTLS" if question is StartTls else "MAIL FROM:<>", "RCPT TO:<a@b.example>"):
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
