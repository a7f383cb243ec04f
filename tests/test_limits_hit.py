"""Every limit at n and at n + 1."""

from collections.abc import Callable

import pytest
from _dialogue import Driver, codes, config
from _limited import opened, ready, server, silent

from smtpcore import (
    Abort,
    AuthFailed,
    BodyAborted,
    BodyBegin,
    BodyEnd,
    Cause,
    Closed,
    Limits,
    RcptTo,
    Refused,
    Replies,
    Reply,
    Stray,
    Wait,
)
from smtpcore._limits import rows
from smtpcore._value import fields
from smtpcore.extensions import AUTH
from smtpcore.sasl import Challenge, Exchange

ROWS = {row.name: row for row in rows()}
ONE = 65536
"""The least that a message may be limited to."""

Scenario = Callable[[bool], Driver]


def line(octets: int, start: str = "NOOP ") -> bytes:
    """A line of so many octets, with its end."""
    return (start.ljust(octets - 2, "x") + "\r\n").encode()


def hits(driver: Driver) -> list[str]:
    """The limits that the events name."""
    named = driver.seen(Refused, AuthFailed, BodyAborted, Closed)
    return [event.limit for event in named if event.limit]


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
    assert name not in hits(within)
    assert hits(over)[-1] == name
    assert hits(over).count(name) == 1
    if closes:
        assert over.events[-1] == Closed(Cause.LIMIT, name)
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
    assert over.seen(BodyEnd, BodyAborted) == [BodyAborted(Abort.TOO_BIG, "message_octets")]


def test_normalised_line_ends_count() -> None:
    driver = Driver(config(stray=Stray.NORMALISE, limits=Limits(message_octets=ONE)))
    driver.say("EHLO client.example")
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA")
    assert driver.feed(b"\n" * (ONE // 2 + 1) + b"\r\n.\r\n").startswith(b"552 ")
    assert len(driver.body) == ONE
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    assert driver.feed(b"BDAT %d LAST\r\n" % ONE + b"\n" * ONE).startswith(b"552 ")
    assert driver.seen(BodyAborted) == [BodyAborted(Abort.TOO_BIG, "message_octets")] * 2


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


def test_transactions_beyond_the_limit_are_bounded() -> None:
    driver = ready(transactions=1, junk_commands=5)
    assert driver.codes("MAIL FROM:<>", "RSET", *["MAIL FROM:<>"] * 5) == ["250", "250", *["451"] * 4, "421"]
    assert driver.events[-1] == Closed(Cause.LIMIT, "junk_commands")


def test_a_421_of_the_config_s_own_closes() -> None:
    driver = Driver(
        config(limits=Limits(transactions=1), replies=Replies(too_many_transactions=Reply(421, "Enough", "4.7.0")))
    )
    driver.say("EHLO client.example")
    driver.say("MAIL FROM:<>", "RSET")
    assert driver.codes("MAIL FROM:<>", "NOOP") == ["421 4.7.0"]
    assert driver.events[-1] == Closed(Cause.LIMIT)


# --- the limits that stop the reading -----------------------------------------------------------------


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


def test_a_connection_that_waits_for_octets_wants_them() -> None:
    # A line may be as long as the buffer: a pump that heeds both `Wait.DATA` and `wants_data` must not stand still.
    driver = ready(buffered_octets=12_288, auth_octets=12_288)
    driver.say("AUTH PLAIN")
    driver.feed(b"A" * 12_288)
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
