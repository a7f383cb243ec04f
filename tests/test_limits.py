"""Limits and the lengths of deadlines: what is declared of them, and what they may be."""

import math
import re
import tracemalloc
from typing import Any

import attrs
import pytest
from _dialogue import Driver, config

from smtpcore._errors import LocalProtocolError
from smtpcore._limits import LimitRow, Limits, Timeouts, rows
from smtpcore._reply import Replies
from smtpcore._value import evolve, fields
from smtpcore.extensions import DSN, RRVS, STANDARD, Extension

ROWS = {row.name: row for row in rows()}
TIMEOUTS = [field.name for field in fields(Timeouts)]
BOUNDED = [name for name, row in ROWS.items() if row.floor]


# --- what is declared ----------------------------------------------------------------------------


def test_a_row_for_each_limit() -> None:
    assert list(ROWS) == [field.name for field in fields(Limits)]
    assert ROWS["recipients"] == LimitRow(
        name="recipients",
        default=1000,
        unit="recipients a transaction",
        floor=100,
        rfc="RFC 5321 4.5.3.1.8",
        hit="{reply}, the transaction lives",
        reply="too_many_recipients",
        memory=ROWS["recipients"].memory,
    )


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_row(row: LimitRow) -> None:
    assert row.unit
    assert row.hit
    assert row.memory >= 0
    assert row.default is None or row.default >= row.floor
    assert ("{reply}" in row.hit) == bool(row.reply)
    if row.reply:
        assert not getattr(Replies(), row.reply).positive
    if row.rfc:
        assert re.fullmatch(r"RFC [0-9]{4} [0-9.]+", row.rfc)
        assert row.floor


@pytest.mark.parametrize(
    ("name", "floor"),
    [("command_octets", 512), ("auth_octets", 12288), ("recipients", 100), ("message_octets", 65536)],
)
def test_floor_of_the_rfcs(name: str, floor: int) -> None:
    assert ROWS[name].floor == floor
    assert ROWS[name].rfc


def test_defaults() -> None:
    assert {name: row.default for name, row in ROWS.items()} == {
        "command_octets": 2048,
        "auth_octets": 12288,
        "swallowed_octets": 65536,
        "buffered_octets": 65536,
        "output_octets": 65536,
        "recipients": 1000,
        "message_octets": 50 * 1024 * 1024,
        "discard_octets": 75 * 1024 * 1024,
        "chunks": 10_000,
        "transactions": None,
        "errors": 10,
        "junk_commands": 100,
        "unknown_before_hello": 2,
        "auth_attempts": 3,
    }


# --- what they may be ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOUNDED)
def test_floor(name: str) -> None:
    row = ROWS[name]
    assert getattr(evolve(Limits(), **{name: row.floor}), name) == row.floor
    with pytest.raises(LocalProtocolError, match=f"^{name} must be at least {row.floor}: {row.rfc or 'to work'}"):
        evolve(Limits(), **{name: row.floor - 1})


@pytest.mark.parametrize("name", sorted(ROWS.keys() - set(BOUNDED)))
def test_nothing_is_below_zero(name: str) -> None:
    assert getattr(evolve(Limits(), **{name: 0}), name) == 0
    with pytest.raises(LocalProtocolError, match=name):
        evolve(Limits(), **{name: -1})


def test_discarded_octets_follow_the_message() -> None:
    assert Limits(message_octets=100_001).discard_octets == 150_001
    assert Limits(message_octets=100_001, discard_octets=7).discard_octets == 7


def test_no_transaction_limit() -> None:
    assert Limits(transactions=None) == Limits()
    assert Limits(transactions=1).transactions == 1


def test_limits_by_keyword_and_frozen() -> None:
    limits_class: Any = Limits
    with pytest.raises(TypeError):
        limits_class(512)
    limits: Any = Limits()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        limits.errors = 1
    assert hash(Limits()) == hash(Limits())


@pytest.mark.parametrize(("one", "other"), [("command_octets", "buffered_octets"), ("auth_octets", "buffered_octets")])
def test_a_line_fits_the_buffer(one: str, other: str) -> None:
    """A line that may be longer than what is read ahead would never be read to its end."""
    whole = evolve(Limits(), **{one: 20_000, other: 20_000})
    assert getattr(whole, one) == getattr(whole, other)
    with pytest.raises(LocalProtocolError):
        evolve(Limits(), **{one: 20_001, other: 20_000})


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROWS)
def test_memory_is_the_sum(name: str) -> None:
    row = ROWS[name]
    base = evolve(Limits(), transactions=100)
    more = evolve(base, **{name: getattr(base, name) + 7})
    assert more.memory() - base.memory() == 7 * row.memory


def test_memory() -> None:
    limits = Limits(recipients=100)
    octets = limits.command_octets + limits.auth_octets + limits.buffered_octets + limits.output_octets
    assert limits.memory() == octets + 100 * ROWS["recipients"].memory


LABELS = b".".join([b"d" * 60] * 2)
ASTRAL = "\U0001f600".encode()  # one such character makes each of its text four octets wide


@pytest.mark.parametrize(
    ("extensions", "command"),
    [
        (STANDARD, b"RCPT TO:<user%04d@example.com>"),
        (STANDARD, b"RCPT TO:<" + b"u" * 60 + b"%04d@" + LABELS + b"." + LABELS[:60] + b">"),
        (STANDARD, b"RCPT TO:<" + ASTRAL + b"u" * 56 + b"%04d@" + ASTRAL + b"d" * 40 + b"." + LABELS + b">"),
        (
            (*STANDARD, DSN, RRVS),
            b"RCPT TO:<" + ASTRAL + b"u" * 56 + b"%04d@" + ASTRAL + b"d" * 40 + b"." + LABELS + b">"
            b" NOTIFY=SUCCESS,FAILURE,DELAY RRVS=2026-11-21T12:00:00Z;C ORCPT=utf-8;" + ASTRAL + b"x" * 480,
        ),
    ],
    ids=["short", "long", "utf8", "parameters"],
)
def test_memory_of_a_recipient(extensions: tuple[Extension, ...], command: bytes) -> None:
    count = 200
    driver = Driver(config(extensions=extensions))
    driver.say("EHLO client.example")
    driver.say("MAIL FROM:<> SMTPUTF8")
    assert driver.feed(command % 9999 + b"\r\n").startswith(b"250 ")
    driver.events.clear()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(count):
            driver.feed(command % number + b"\r\n")
            driver.events.clear()
            driver.out = b""
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    envelope = driver.conn.envelope
    assert envelope is not None
    assert len(envelope.recipients) == count + 1
    assert held / count <= ROWS["recipients"].memory


# --- timeouts ------------------------------------------------------------------------------------


def test_lengths() -> None:
    assert Timeouts() == Timeouts(command=300, body=180, min_body_rate=500, write=60, tls=30, session=3600)


@pytest.mark.parametrize("name", TIMEOUTS)
@pytest.mark.parametrize("length", [0, -1, math.nan, -math.inf])
def test_length_is_above_zero(name: str, length: float) -> None:
    with pytest.raises(LocalProtocolError, match=name):
        evolve(Timeouts(), **{name: length})


@pytest.mark.parametrize("name", TIMEOUTS)
@pytest.mark.parametrize("length", [1e-9, 1, math.inf])
def test_any_length_above_zero(name: str, length: float) -> None:
    assert getattr(evolve(Timeouts(), **{name: length}), name) == length
