"""The loop between a transport and an engine, by itself."""

import math
import socket
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from smtpcore import (
    STANDARD,
    BodyBegin,
    BodyChunk,
    BodyEnd,
    Cause,
    Closed,
    Connected,
    Hello,
    Limits,
    LocalProtocolError,
    MailFrom,
    Peer,
    Phase,
    Question,
    Quit,
    RcptTo,
    ServerConfig,
    ServerConnection,
    ServerEvent,
    StartTls,
    Timeouts,
    TlsInfo,
)
from smtpcore.extensions import STARTTLS
from smtpcore_trio import TlsContext, _pump
from smtpcore_trio._pump import Pump
from smtpcore_trio._transport import SocketTransport

QUESTIONS = (Connected, Hello, MailFrom, RcptTo, BodyBegin, BodyEnd, StartTls)


class Recorder:
    """A transport that gives what it was given to read, one piece a read, and keeps what was written.

    Args:
        to_read: after the last of them comes the end of the stream.
        takes: writes that it takes; then it is stuck.
        silent: there is no end of the stream.
    """

    def __init__(self, *to_read: bytes, takes: float = math.inf, silent: bool = False) -> None:
        self.to_read = list(to_read)
        self.takes = takes
        self.silent = silent
        self.written: list[bytes] = []
        self.happened: list[str] = []
        self._woken = trio.Event()
        self._unsent = b""

    def receive_now(self) -> bytes | None:
        self.happened.append("read")
        return self.to_read.pop(0) if self.to_read else b""

    async def until(self, advance: Callable[[], bool]) -> None:
        await trio.lowlevel.checkpoint()
        while self.to_read or not self.silent:
            if advance():
                return
        await self._until_woken()

    async def receive(self) -> bytes:
        received: list[bytes | None] = []

        def advance() -> bool:
            received.append(self.receive_now())
            return True

        await self.until(advance)
        return received[0] or b""

    def put(self, octets: bytes) -> bool:
        if len(self.written) >= self.takes:
            self._unsent = octets
            return False
        self.happened.append("write")
        self.written.append(octets)
        return True

    async def drain(self) -> None:
        await self._until_woken()

    async def end(self) -> None:
        self.happened.append("end")

    def wake(self) -> None:
        self._woken.set()

    def close(self, *, reset: bool = False) -> None:
        self.happened.append("reset" if reset else "close")

    async def _until_woken(self) -> None:
        await self._woken.wait()
        self._woken = trio.Event()
        raise trio.ClosedResourceError


def connection(**config: Any) -> ServerConnection:
    return ServerConnection(ServerConfig(hostname="mx.example.org", **config), peer=Peer("192.0.2.1"))


async def drive(pump: Pump) -> list[ServerEvent]:
    """Say yes to everything."""
    events: list[ServerEvent] = []
    while (event := await pump.next_event()) is not None:
        events.append(event)
        if isinstance(event, QUESTIONS):
            pump.connection.accept(event)
    return events


async def test_group_is_answered_by_one_write() -> None:
    stream = Recorder(
        b"EHLO a.example\r\n", b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n", b"x\r\n.\r\n", b"QUIT\r\n"
    )
    events = await drive(Pump(connection(), stream))
    assert events[-1] == Closed(Cause.QUIT)
    assert stream.written[2] == (
        b"250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"
    )
    # All that there is to send leaves before a read; the end is said, and the peer's awaited.
    assert stream.happened == ["write", "read"] * 4 + ["write", "end", "read", "close"]


async def test_more_output_than_is_held_is_sent_on_the_way() -> None:
    # No read lies between the writes: the engine asks to send before it reads on in what it has.
    stream = Recorder(b"EHLO a.example\r\n", b"HELP\r\n" * 90 + b"QUIT\r\n")
    await drive(Pump(connection(limits=Limits(output_octets=512)), stream))
    assert len(stream.written) > 10
    assert stream.happened.count("read") == 3


async def test_reads_only_what_the_engine_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[bool] = []
    receive_data = ServerConnection.receive_data

    def spy(self: ServerConnection, data: bytes, now: float) -> None:
        wanted.append(self.wants_data)
        receive_data(self, data, now)

    monkeypatch.setattr(ServerConnection, "receive_data", spy)
    full = b"NOOP\r\n" * 10922 + b"NO"  # 64 KiB, and no line's end
    await drive(
        Pump(connection(limits=Limits(junk_commands=10**6)), Recorder(b"EHLO a.example\r\n", full, full, b"OP\r\n"))
    )
    assert len(wanted) == 5
    assert all(wanted)


async def test_open_question() -> None:
    pump = Pump(connection(), Recorder())
    assert isinstance(await pump.next_event(), Connected)
    with pytest.raises(LocalProtocolError, match="not answered"):
        await pump.next_event()


async def test_starttls_needs_a_context() -> None:
    pump = Pump(connection(extensions=(*STANDARD, STARTTLS)), Recorder(b"STARTTLS\r\n"))
    with pytest.raises(LocalProtocolError, match="cannot be TLS"):
        await drive(pump)


class BreaksAtRead(Recorder):
    def receive_now(self) -> bytes | None:
        if not self.to_read:
            raise trio.BrokenResourceError
        return super().receive_now()


@pytest.mark.parametrize("kind", [Recorder, BreaksAtRead])
async def test_loss_is_the_end_of_the_stream(kind: type[Recorder]) -> None:
    stream = kind(b"EHLO a.example\r\n")
    events = await drive(Pump(connection(), stream))
    assert events[-1] == Closed(Cause.EOF)
    assert stream.happened[-1] == "close"


class BreaksAtWrite(Recorder):
    def put(self, octets: bytes) -> bool:
        if len(self.written) == 1:
            raise trio.BrokenResourceError
        return super().put(octets)


@pytest.mark.catalogue("A10")
async def test_broken_for_writing() -> None:
    # What had been read is processed; nothing more is read, nor written.
    stream = BreaksAtWrite(b"EHLO a.example\r\n", b"MAIL FROM:<a@b.c>\r\n")
    events = await drive(Pump(connection(), stream))
    assert [type(event) for event in events] == [Connected, Hello, Closed]
    assert stream.happened == ["write", "read", "close"]


async def test_last_words_are_heard() -> None:
    """Of a peer to which nothing can be sent any more: what it said before it went."""
    stream = BreaksAtWrite(b"EHLO a.example\r\n", b"NOOP\r\n", b"QUIT\r\n")
    events = await drive(Pump(connection(), stream, last_words=True))
    assert events[-2:] == [Quit(), Closed(Cause.QUIT)]
    assert stream.happened == ["write", "read", "read", "read", "close"]


class Tapped:
    def __init__(self) -> None:
        self.octets: list[bytes] = []

    def sent(self, octets: bytes) -> None:
        self.octets.append(b">" + octets)

    def received(self, octets: bytes) -> None:
        self.octets.append(b"<" + octets)


async def test_tap() -> None:
    tap = Tapped()
    await drive(Pump(connection(), Recorder(b"QU", b"IT\r\n"), tap=tap))
    assert [octets[:5] for octets in tap.octets] == [b">220 ", b"<QU", b"<IT\r\n", b">221 "]


async def test_cut() -> None:
    stream = Recorder(silent=True)
    pump = Pump(connection(), stream)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drive, pump)
        await trio.testing.wait_all_tasks_blocked()
        pump.cut()
        pump.connection.close()
    assert stream.happened == ["write", "close", "close"]


async def test_body_is_pulled() -> None:
    head = b"EHLO a.example\r\n", b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n"
    stream = Recorder(*head, b"one\r\n", b"two\r\n", b"three\r\n.\r\n")
    pump = Pump(connection(), stream)
    chunks = []
    while (event := await pump.next_event()) is not None:
        reads = stream.happened.count("read")
        if isinstance(event, BodyChunk):
            chunks.append(event.data)
            for _ in range(10):  # however long it takes, nothing is read meanwhile
                await trio.lowlevel.checkpoint()
            assert stream.happened.count("read") == reads
        elif isinstance(event, QUESTIONS):
            pump.connection.accept(event)
    assert b"".join(chunks) == b"one\r\ntwo\r\nthree\r\n"
    assert len(chunks) == 3


# --- time ---------------------------------------------------------------------------------------------


async def ticking(pump: Pump) -> None:
    while True:
        await trio.sleep(1)
        pump.tick(trio.current_time())


async def timed(pump: Pump) -> list[ServerEvent]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ticking, pump)
        events = await drive(pump)
        nursery.cancel_scope.cancel()
    return events


@pytest.mark.catalogue("G1")
async def test_command_deadline_ends_a_read(autojump_clock: trio.testing.MockClock) -> None:
    stream = Recorder(silent=True)
    assert await timed(Pump(connection(), stream)) == [Connected(Peer("192.0.2.1")), Closed(Cause.TIMED_OUT, "command")]
    assert stream.written[-1].startswith(b"421 4.4.2 ")
    assert 300 <= trio.current_time() < 304


@pytest.mark.catalogue("G5")
async def test_write_deadline_cuts_a_peer_that_takes_nothing(autojump_clock: trio.testing.MockClock) -> None:
    stream = Recorder(takes=0)
    assert (await timed(Pump(connection(), stream)))[-1] == Closed(Cause.TIMED_OUT, "write")
    assert stream.happened == ["reset"]
    assert 60 <= trio.current_time() < 62


@pytest.mark.catalogue("G5")
async def test_write_deadline_outlives_the_session(autojump_clock: trio.testing.MockClock) -> None:
    """The last reply is not taken: it gets its time, and then is cut."""
    stream = Recorder(takes=1, silent=True)
    events = await timed(Pump(connection(timeouts=Timeouts(session=100)), stream))
    assert events[-1] == Closed(Cause.TIMED_OUT, "session")
    assert stream.happened == ["write", "reset"]
    assert 160 <= trio.current_time() < 164


class Slow(Recorder):
    """Takes fifty seconds for its first octets."""

    def put(self, octets: bytes) -> bool:
        if not self.written and not self._unsent:
            self._unsent = octets
            return False
        return super().put(octets)

    async def drain(self) -> None:
        await trio.sleep(50)
        super().put(self._unsent)


async def test_session_deadline_does_not_cut_what_is_being_sent(autojump_clock: trio.testing.MockClock) -> None:
    stream = Slow(silent=True)
    await timed(Pump(connection(timeouts=Timeouts(session=30)), stream))
    assert [each[:4] for each in stream.written] == [b"220 ", b"421 "]
    assert stream.happened[-1] == "close"


class Deaf(Recorder):
    """Does not hear what wakes it at first."""

    woken = 0

    def wake(self) -> None:
        self.woken += 1
        if self.woken > 1:
            super().wake()


async def test_wake_that_came_too_early_is_repeated(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody was waiting when the connection ended, yet somebody is by the next tick."""
    stream = Deaf(silent=True)
    assert (await timed(Pump(connection(), stream)))[-1] == Closed(Cause.TIMED_OUT, "command")
    assert stream.woken == 2


async def test_tick_before_its_time_does_nothing() -> None:
    engine = connection()
    pump = Pump(engine, Recorder())
    connected = await pump.next_event()
    assert isinstance(connected, Connected)
    engine.accept(connected)
    engine.data_to_send(0.0)
    engine.data_sent(0.0)
    assert math.isfinite(engine.next_deadline())
    pump.tick(engine.next_deadline() - 1)
    phases = [engine.phase]
    # Nobody waits, so nobody is woken; the engine is told all the same.
    engine.next_event()
    pump.tick(engine.next_deadline())
    assert [*phases, engine.phase] == [Phase.HELLO, Phase.CLOSED]


async def test_handshake_that_ends_too_late(tls_context: TlsContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its deadline passed just before."""
    here, there = socket.socketpair()

    async def shake_hands(below: SocketTransport) -> tuple[SocketTransport, TlsInfo]:
        engine.handle_timeout(engine.next_deadline())
        return below, TlsInfo()

    monkeypatch.setattr(tls_context, "shake_hands", shake_hands)
    engine = connection(extensions=(*STANDARD, STARTTLS))
    with here, there:
        there.sendall(b"STARTTLS\r\n")
        there.shutdown(socket.SHUT_WR)
        events = await drive(Pump(engine, SocketTransport(here), tls_context))
        assert events[-1] == Closed(Cause.TIMED_OUT, "tls")
        assert there.recv(1000).endswith(b"220 2.0.0 Ready to start TLS\r\n")


@pytest.mark.parametrize("question", [Connected, Hello, MailFrom])
async def test_shut_down_while_the_application_thinks(question: type[Question]) -> None:
    stream = Recorder(b"EHLO a.example\r\n", b"MAIL FROM:<a@b.c>\r\n", b"NOOP\r\n")
    pump = Pump(connection(), stream)
    while not isinstance(event := await pump.next_event(), question):
        assert isinstance(event, QUESTIONS)
        pump.connection.accept(event)
    assert isinstance(event, QUESTIONS)
    pump.shut_down(trio.current_time())
    pump.connection.accept(event)
    assert await drive(pump) == [Closed(Cause.SHUTDOWN)]
    assert stream.written[-1].endswith(b"421 4.3.2 mx.example.org shutting down\r\n")


async def test_lingering_is_bounded_by_time(autojump_clock: trio.testing.MockClock) -> None:
    stream = Recorder(b"QUIT\r\n", silent=True)
    started = trio.current_time()
    await drive(Pump(connection(), stream))
    assert trio.current_time() - started == _pump.LINGER_SECONDS
    assert stream.happened[-1] == "close"


async def test_lingering_is_bounded_by_octets() -> None:
    stream = Recorder(b"QUIT\r\n", *[b"x" * 65536] * 100)
    await drive(Pump(connection(), stream))
    assert len(stream.to_read) > 80
