"""A connection holds no more than its limits say, whatever it is sent and however much of it.

A pump feeds 100 MB in reads of 64 KiB as an adapter would: it reads only where it is asked to, and keeps nothing. What
the connection can reach is measured, object by object, as often as the pump comes round.
"""

import gc
import sys
import types
from collections.abc import Callable, Iterator
from itertools import chain, cycle, repeat

import pytest
from _dialogue import ACCEPTABLE, PEER, config

from smtpcore import (
    BodyBegin,
    BodyEnd,
    Closed,
    EarlyInput,
    Limits,
    RcptTo,
    Reply,
    ServerConfig,
    ServerConnection,
    ServerEvent,
    Stray,
    Wait,
)
from smtpcore.extensions import AUTH, DSN, RRVS, STANDARD
from smtpcore.sasl import LOGIN, PLAIN

READ = 65_536
SENT = 100_000_000
BASE = 12_000
"""What a connection takes that holds nothing for its client: its own objects and their tables."""

SETTINGS = config(
    extensions=(*STANDARD, AUTH, DSN, RRVS),
    mechanisms=(PLAIN, LOGIN),
    cleartext_auth=True,
    early_input=EarlyInput.REPORT,
)
Answer = Callable[[ServerConnection, ServerEvent], None]


class Held:
    """Measures what an object can reach and what others do not share: not the config, nor anything of modules."""

    def __init__(self, shared: object) -> None:
        self._shared = {id(each) for each in reachable(shared)}

    def __call__(self, conn: ServerConnection) -> int:
        return sum(sys.getsizeof(each) for each in reachable(conn) if id(each) not in self._shared)


def reachable(root: object) -> Iterator[object]:
    """*root* and all that it refers to."""
    seen = {id(root)}
    waiting = [root]
    while waiting:
        each = waiting.pop()
        yield each
        if isinstance(each, types.GeneratorType):
            referred: list[object] = [each.gi_frame.f_locals] if each.gi_frame else []
        else:
            referred = gc.get_referents(each)
        for other in referred:
            if id(other) not in seen and not isinstance(other, type | types.ModuleType | types.FunctionType):
                seen.add(id(other))
                waiting.append(other)


def yes(conn: ServerConnection, event: ServerEvent) -> None:
    if isinstance(event, ACCEPTABLE):
        conn.accept(event)


def reads(octets: Iterator[bytes]) -> Iterator[bytes]:
    """*octets* in reads of 64 KiB, for ever."""
    rest = b""
    for piece in octets:
        rest += piece
        while len(rest) >= READ:
            yield rest[:READ]
            rest = rest[READ:]


class Pump:
    """Runs a connection; *takes* tells whether the client takes what is sent to it."""

    def __init__(self, settings: ServerConfig = SETTINGS, answer: Answer = yes, *, takes: bool = True) -> None:
        self.conn = ServerConnection(settings, peer=PEER)
        self.answer = answer
        self.takes = takes
        self.fed = 0
        self.most = 0
        self.closed = False
        self.stuck = False
        self._held = Held(settings)
        self._step()

    def _step(self) -> None:
        while True:
            event = self.conn.next_event()
            if not isinstance(event, Wait):
                self.closed = self.closed or isinstance(event, Closed)
                self.answer(self.conn, event)
                continue
            if event is Wait.SEND and not self.takes:
                self.stuck = True
                return
            if self.takes or event is not Wait.SEND:
                if self.takes:
                    self.conn.data_to_send(0.0)
                    self.conn.data_sent(0.0)
                if event is not Wait.SEND:
                    return

    def say(self, *lines: str) -> None:
        self.conn.receive_data("".join(f"{line}\r\n" for line in lines).encode(), 0.0)
        self._step()

    def run(self, octets: Iterator[bytes], most: int = SENT, every: int = 10) -> None:
        """Feed *octets* until *most* were taken, or no more are wanted."""
        for number, read in enumerate(reads(octets)):
            if self.fed >= most or self.closed or not self.conn.wants_data or self.stuck:
                break
            self.conn.receive_data(read, 0.0)
            self.fed += len(read)
            if number % every == 0:
                self.most = max(self.most, self._held(self.conn))
            self._step()
            if number % every == 0:
                self.most = max(self.most, self._held(self.conn))
        self.most = max(self.most, self._held(self.conn))

    def check(self) -> None:
        assert 0 < self.most <= self.conn.limits.memory() + READ + BASE


def test_a_connection_that_holds_nothing() -> None:
    pump = Pump()
    pump.say("EHLO client.example")
    assert 0 < Held(SETTINGS)(pump.conn) <= BASE


def test_what_is_held_is_seen() -> None:
    pump = Pump(takes=False)
    pump.say("EHLO client.example")
    before = Held(SETTINGS)(pump.conn)
    pump.conn.receive_data(b"x" * 1_000, 0.0)
    assert before + 900 <= Held(SETTINGS)(pump.conn) <= before + 1_200


@pytest.mark.catalogue("A14")
@pytest.mark.parametrize("closes", [True, False], ids=["default", "never flooded"])
def test_an_endless_line(closes: bool) -> None:
    limits = Limits() if closes else Limits(swallowed_octets=10**12)
    pump = Pump(config(limits=limits))
    pump.run(repeat(b"x" * READ))
    assert pump.closed == closes
    assert closes or pump.fed >= SENT
    # The line is dropped as it comes: nothing of it stays.
    assert pump.most <= 2 * READ + BASE


@pytest.mark.catalogue("D7")
@pytest.mark.parametrize("closes", [True, False], ids=["default", "never flooded"])
def test_an_endless_answer(closes: bool) -> None:
    limits = Limits() if closes else Limits(swallowed_octets=10**12)
    pump = Pump(
        config(
            extensions=(AUTH,), mechanisms=(PLAIN,), cleartext_auth=True, limits=limits, early_input=EarlyInput.REPORT
        )
    )
    pump.say("EHLO client.example", "AUTH PLAIN")
    pump.run(repeat(b"A" * READ))
    assert pump.closed == closes
    assert pump.most <= 2 * READ + limits.auth_octets + BASE


@pytest.mark.catalogue("G5")
@pytest.mark.parametrize("line", [b"NOOP\r\n", b"HELP\r\n", b"FOO\r\n", b"VRFY x\r\n", b"RSET\r\n"])
def test_a_client_that_takes_no_replies(line: bytes) -> None:
    settings = config(limits=Limits(junk_commands=10**9, errors=10**9))
    pump = Pump(settings, takes=False)
    pump.say("EHLO client.example")
    pump.run(repeat(line * (READ // len(line) + 1)))
    assert pump.stuck
    assert pump.fed < 20 * READ
    pump.check()


def test_a_client_that_takes_replies() -> None:
    pump = Pump(config(limits=Limits(junk_commands=10**9)))
    pump.say("EHLO client.example")
    pump.run(repeat(b"NOOP\r\n" * 10_000), SENT // 50)
    assert pump.fed >= SENT // 50
    pump.check()


@pytest.mark.catalogue("G8")
@pytest.mark.parametrize(
    "piece", [b"x" * READ, b"..\r\n" * 16_384, b"\n" * READ, b"\r\n" * 32_768], ids=lambda piece: repr(piece[:4])
)
@pytest.mark.parametrize("stray", Stray)
def test_a_body_without_end(piece: bytes, stray: Stray) -> None:
    # What costs nothing to read is sent to the end that the defaults allow; the rest, to one that is nearer.
    limits = Limits() if piece[:1] == b"x" else Limits(message_octets=4_000_000)
    pump = Pump(config(stray=stray, early_input=EarlyInput.REPORT, limits=limits))
    pump.say("EHLO client.example", "MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA")
    pump.run(repeat(piece), every=100)
    assert pump.closed
    assert pump.fed < 2 * pump.conn.limits.message_octets
    assert pump.most <= 3 * READ + BASE


def test_a_body_without_end_and_without_limit() -> None:
    pump = Pump(config(limits=Limits(message_octets=65_536, discard_octets=10**12), early_input=EarlyInput.REPORT))
    pump.say("EHLO client.example", "MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA")
    pump.run(repeat(b"x" * READ), every=100)
    assert pump.fed >= SENT
    assert pump.most <= 3 * READ + BASE


@pytest.mark.catalogue("F8")
@pytest.mark.parametrize("chunks", [10_000, 10**9], ids=["default", "any number"])
def test_many_small_chunks(chunks: int) -> None:
    pump = Pump(config(limits=Limits(chunks=chunks), early_input=EarlyInput.REPORT))
    pump.say("EHLO client.example", "MAIL FROM:<>", "RCPT TO:<a@example.org>")
    pump.run(repeat(b"BDAT 1\r\nx" * 10_000), 100_000 * len(b"BDAT 1\r\nx"))
    assert pump.most <= 3 * READ + BASE + 2 * pump.conn.limits.output_octets


@pytest.mark.catalogue("F5")
def test_chunks_that_nobody_wants() -> None:
    pump = Pump(config(limits=Limits(discard_octets=10**12)))
    pump.say("EHLO client.example")
    pump.run(chain([b"BDAT 99999999999\r\n"], repeat(b"x" * READ)), every=100)
    assert pump.fed >= SENT
    assert pump.most <= 3 * READ + BASE


# The longest path, and the most that may be asked for it; Python takes four octets for each character of a text that
# holds one from beyond the first plane.
LONGEST = "\U0001f600" * 16 + "@" + ".".join(["\U0001f600" + "x" * 40] * 4)
LONG = "x" * 64 + "@" + ".".join(["y" * 60] * 3)
WORST = [
    b"RCPT TO:<a@example.org>\r\n",
    f"RCPT TO:<{LONG}>\r\n".encode(),
    f"RCPT TO:<{LONG}> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;{'z' * 490}\r\n".encode(),
    f"RCPT TO:<{LONGEST}> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=utf-8;{LONGEST} RRVS=2014-04-03T23:01:00Z;C\r\n".encode(),
    (
        f"RCPT TO:<{LONGEST}> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=utf-8;{chr(0x1F600)}{'z' * 490} "
        "RRVS=2014-04-03T23:01:00Z;C\r\n"
    ).encode(),
]


@pytest.mark.catalogue("G7")
@pytest.mark.parametrize("line", WORST, ids=["short", "long", "original recipient", "utf-8", "utf-8 and long"])
def test_recipients_without_end(line: bytes) -> None:
    taken = 0

    def count(conn: ServerConnection, event: ServerEvent) -> None:
        nonlocal taken
        taken += isinstance(event, RcptTo)
        yes(conn, event)

    pump = Pump(answer=count)
    pump.say("EHLO client.example", "MAIL FROM:<> SMTPUTF8")
    pump.run(repeat(line * (READ // len(line) + 1)), 2_500 * len(line) + READ, every=4)
    assert taken == pump.conn.limits.recipients
    pump.check()


def test_transactions_without_end() -> None:
    def one(conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, BodyEnd):
            conn.reject(event, Reply(550, "No"))
        else:
            yes(conn, event)

    pump = Pump(answer=one)
    pump.say("EHLO client.example")
    pump.run(
        cycle(
            [
                b"MAIL FROM:<>\r\nRCPT TO:<a@example.org>\r\nBDAT 2 LAST\r\n\r\n",
                b"MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nRSET\r\n",
            ]
        ),
        SENT // 100,
    )
    pump.check()


def test_a_question_that_stays_open() -> None:
    # The adapter stops reading once the buffer is full; one read more may be on its way.
    def ponder(conn: ServerConnection, event: ServerEvent) -> None:
        if not isinstance(event, BodyBegin):
            yes(conn, event)

    pump = Pump(answer=ponder)
    pump.say("EHLO client.example", "MAIL FROM:<>", "RCPT TO:<a@example.org>", "BDAT 100000000")
    pump.run(repeat(b"x" * READ))
    assert not pump.conn.wants_data
    assert pump.fed <= pump.conn.limits.buffered_octets + READ
    pump.check()


def test_exchanges_without_end() -> None:
    pump = Pump(
        config(
            extensions=(AUTH,),
            mechanisms=(LOGIN,),
            cleartext_auth=True,
            limits=Limits(auth_attempts=10**9, errors=10**9),
            early_input=EarlyInput.REPORT,
        )
    )
    pump.say("EHLO client.example")
    pump.run(repeat((b"AUTH LOGIN\r\n" + b"A" * 12_000 + b"\r\n*\r\n") * 6), SENT // 10)
    assert pump.fed >= SENT // 10
    pump.check()
