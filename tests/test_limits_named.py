"""What a limit that is hit is called by the events, and how much of one is in use."""

from collections.abc import Callable

import pytest
from _dialogue import Driver, accept_all, config
from _limited import opened, ready, server, silent

from smtpcore import (
    Abort,
    AuthFailed,
    BodyAborted,
    BodyBegin,
    Cause,
    Closed,
    Limits,
    MailFrom,
    MailParams,
    Refused,
    Replies,
    Reply,
    ServerConfig,
    ServerConnection,
    ServerEvent,
    Timeouts,
    Wait,
)
from smtpcore._config import Plan
from smtpcore._dialect import SMTP
from smtpcore._limits import rows
from smtpcore._session import _USES
from smtpcore._value import evolve, fields
from smtpcore.extensions import SIZE, Extension

LONG = b"NOOP " + b"x" * 3000 + b"\r\n"


def named(driver: Driver) -> list[tuple[type, str]]:
    """What tells of a refusal, and which limit it names."""
    return [(type(event), event.limit) for event in driver.seen(Refused, AuthFailed, BodyAborted, Closed)]


# --- names -----------------------------------------------------------------------------------------


def test_the_reply_to_each_limit_is_that_of_its_row() -> None:
    replies = Replies(too_big=Reply(552, "At most {limit}", "5.3.4"))
    plan = Plan(ServerConfig(hostname="mx.example.org", replies=replies), SMTP)
    assert {row.name: getattr(plan.replies, row.reply) for row in rows() if row.reply} == plan.hits
    assert plan.hits["message_octets"].text == "At most 52428800"
    assert "buffered_octets" not in plan.hits


@pytest.mark.parametrize("line", [b"FOO\r\n", b"MAIL FROM:<\r\n", b"AUTH NTLM\r\n", b"DATA\r\n", b"BDAT 0\r\n"])
def test_what_is_refused_for_another_reason_names_none(line: bytes) -> None:
    driver = ready()
    driver.feed(line)
    assert named(driver) == [(Refused, "")]


def test_an_exchange_that_fails_for_another_reason_names_none() -> None:
    driver = ready()
    driver.say("AUTH PLAIN *")
    assert named(driver) == [(AuthFailed, "")]


def test_a_message_that_is_aborted_for_another_reason_names_none() -> None:
    driver = opened()
    driver.say("DATA")
    driver.feed(b"a\nb\r\n.\r\n")
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "BDAT 0", "RSET")
    assert driver.seen(BodyAborted) == [BodyAborted(Abort.STRAY_OCTETS), BodyAborted(Abort.RESET)]


@pytest.mark.parametrize("cause", Cause)
def test_the_last_event_names_what_has_ended_the_session(cause: Cause) -> None:
    assert Closed(cause, "x").limit == ("x" if cause in (Cause.LIMIT, Cause.TIMED_OUT) else "")


@pytest.mark.parametrize("start", [b"AUTH ", b"auth ", b"AuTh "])
def test_a_long_line_is_over_its_own_limit(start: bytes) -> None:
    driver = ready()
    for line in (start + b"PLAIN ", b"AUTHOR "):
        driver.feed(line + b"x" * 13_000 + b"\r\n")
    assert named(driver) == [(Refused, "auth_octets"), (Refused, "command_octets")]


def test_two_limits_at_once() -> None:
    """The error too many may be one that a limit has made."""
    driver = ready(errors=1)
    driver.feed(LONG * 2)
    assert named(driver) == [(Refused, "command_octets"), (Refused, "command_octets"), (Closed, "errors")]
    assert [each.reply.code for each in driver.seen(Refused)] == [500, 421]
    driver = ready(errors=0)
    driver.say("AUTH PLAIN")
    driver.feed(b"x" * 13_000 + b"\r\n")
    assert named(driver) == [(AuthFailed, "auth_octets"), (Closed, "errors")]


def test_a_limit_whose_reply_closes_is_named_once() -> None:
    driver = Driver(config(replies=Replies(too_long_line=Reply(421, "Too long", "4.7.0"))))
    driver.say("EHLO client.example")
    driver.feed(LONG)
    assert named(driver) == [(Refused, "command_octets"), (Closed, "")]
    assert driver.wait is Wait.CLOSED


def test_a_message_names_its_limit_once() -> None:
    driver = opened(message_octets=65536)
    driver.feed(b"BDAT 1\r\nxBDAT 65536 LAST\r\n" + b"x" * 65536)
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    driver.feed(b"BDAT 65537 LAST\r\n" + b"x" * 65537)
    driver.say("MAIL FROM:<> SIZE=65537")
    assert named(driver) == [
        (BodyAborted, "message_octets"), (Refused, ""), (Refused, "message_octets"), (Refused, "message_octets")
    ]  # fmt: skip


def test_a_message_that_nobody_wants_is_over_no_limit() -> None:
    driver = opened(message_octets=65536, chunks=1)
    driver.feed(b"BDAT 1\r\nx")
    driver.conn.discard(Reply(554, "No"))
    driver.feed(b"BDAT 65536 LAST\r\n" + b"x" * 65536)
    assert driver.out.endswith(b"554 No\r\n")
    assert named(driver) == []


def test_an_extension_may_name_a_limit_and_has_a_reply_of_its_own_otherwise() -> None:
    def check(facts: object, params: MailParams) -> Reply | str | None:
        answers: dict[int | None, Reply | str] = {1: "recipients", 2: Reply(451, "Not now", "4.7.1")}
        return answers.get(params.size)

    picky: Extension = evolve(SIZE, check_mail=check)
    driver = Driver(config(extensions=(picky,)))
    driver.say("EHLO client.example")
    assert [driver.codes(f"MAIL FROM:<> SIZE={size}")[0][:3] for size in (1, 2, 3)] == ["452", "451", "250"]
    assert named(driver) == [(Refused, "recipients"), (Refused, "")]


# --- the pace of a message -------------------------------------------------------------------------

PACED = Timeouts(command=1000, body=20, min_body_rate=100, session=10_000)


def message(octets: int, *, at: float = 1.0, pause: float = 0.0) -> Driver:
    """A message of which *octets* came; the application has looked at them for *pause* seconds."""
    driver = server(timeouts=PACED)
    driver.say("EHLO client.example")
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    driver.say("DATA")
    driver.now = at
    driver.conn.receive_data(b"x" * octets, at)
    driver.now = at + pause
    driver.pump()
    return driver


@pytest.mark.parametrize(
    ("octets", "pause", "missed"),
    [(100, 0, "body"), (5000, 0, "body"), (5000, 7.3, "body"), (10, 0, "min_body_rate"), (10, 0.3, "min_body_rate")],
)
def test_silence_and_slowness_have_a_name_each(octets: int, pause: float, missed: str) -> None:
    driver = message(octets, pause=pause)
    driver.at(100.0)
    assert driver.events[-1] == Closed(Cause.TIMED_OUT, missed)


def test_a_message_of_which_nothing_came_is_not_slow() -> None:
    driver = server(timeouts=PACED)
    driver.say("EHLO client.example")
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    driver.say("DATA")
    driver.at(20.0)
    assert driver.events[-1] == Closed(Cause.TIMED_OUT, "body")


def test_the_lengths_in_force() -> None:
    assert server(timeouts=PACED).conn.timeouts == PACED


# --- use -------------------------------------------------------------------------------------------


def transaction(driver: Driver) -> Driver:
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "RCPT TO:<b@example.org>")
    return driver


def in_chunks() -> Driver:
    driver = opened()
    driver.feed(b"BDAT 3\r\nabcBDAT 4\r\nde")
    return driver


def discarded() -> Driver:
    driver = opened()
    driver.feed(b"BDAT 4\r\na\nbc")
    return driver


def unheard() -> Driver:
    driver = ready()
    driver.answer = silent
    driver.say("MAIL FROM:<>")
    return driver


def closed(driver: Driver) -> Driver:
    driver.say("QUIT")
    assert driver.wait is Wait.CLOSED
    return driver


def said(driver: Driver, *lines: str) -> Driver:
    driver.say(*lines)
    return driver


USES: dict[str, list[tuple[Callable[[], Driver], int]]] = {
    "command_octets": [(unheard, len("MAIL FROM:<>\r\n"))],
    "output_octets": [(ready, 0)],
    "recipients": [(ready, 0), (lambda: transaction(ready()), 2), (lambda: said(transaction(ready()), "RSET"), 0)],
    "message_octets": [(ready, 0), (in_chunks, 5)],
    "discard_octets": [(ready, 0), (discarded, 4)],
    "chunks": [(ready, 0), (in_chunks, 2)],
    "transactions": [(ready, 0), (lambda: closed(said(transaction(ready()), "RSET", "MAIL FROM:<>")), 2)],
    "errors": [(ready, 0), (lambda: closed(said(ready(), "FOO", "BAR")), 2)],
    "junk_commands": [(ready, 0), (lambda: closed(said(ready(), "NOOP", "RSET", "NOOP")), 3)],
    "unknown_before_hello": [(ready, 0), (lambda: said(server(), "FOO"), 1)],
    "auth_attempts": [(ready, 0), (lambda: closed(said(ready(), "AUTH PLAIN *")), 1)],
}
UNCOUNTED = {"auth_octets", "swallowed_octets", "buffered_octets"}


def test_each_limit_is_counted_or_known_not_to_be() -> None:
    assert set(USES) == set(_USES)
    assert set(USES) | UNCOUNTED == {field.name for field in fields(Limits)}
    assert not set(USES) & UNCOUNTED


@pytest.mark.parametrize(("name", "play", "used"), [(name, *row) for name, rows_ in USES.items() for row in rows_])
def test_use(name: str, play: Callable[[], Driver], used: int) -> None:
    assert play().conn.used(name) == used


def test_use_of_the_output_is_what_waits() -> None:
    driver = ready()
    driver.conn.receive_data(b"NOOP\r\n" * 3, 0.0)
    driver.conn.next_event()
    assert driver.conn.used("output_octets") == 3 * len(b"250 Ok\r\n")


def test_use_is_that_of_the_message_that_is_asked_for() -> None:
    """The moments at which an observer asks."""
    seen = []

    def answer(conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, BodyBegin | MailFrom):
            seen.append((conn.used("recipients"), conn.used("command_octets")))
        accept_all(conn, event)

    driver = ready()
    driver.answer = answer
    transaction(driver).say("DATA")
    assert seen == [(0, 14), (2, 6)]


@pytest.mark.parametrize("name", [*sorted(UNCOUNTED), "command", ""])
def test_what_is_not_counted(name: str) -> None:
    with pytest.raises(KeyError):
        ready().conn.used(name)
