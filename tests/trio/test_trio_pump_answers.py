"""A pump that answers by itself what needs no waiting, and one whose waits are cancelled: nothing is lost, or twice."""

import contextlib
import random
import socket
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from smtpcore import (
    BodyBegin,
    BodyChunk,
    BodyEnd,
    Cause,
    Closed,
    Connected,
    Hello,
    Limits,
    MailFrom,
    Peer,
    Phase,
    RcptTo,
    Reply,
    ServerConfig,
    ServerConnection,
    ServerEvent,
    Timeouts,
    Wait,
)
from smtpcore_trio._hub import WatchedTransport, new_hub
from smtpcore_trio._pump import Pump
from smtpcore_trio._transport import SocketTransport

QUESTIONS = (Connected, Hello, MailFrom, RcptTo, BodyBegin, BodyEnd)
CONFIG = ServerConfig(hostname="mx.example.org", limits=Limits(junk_commands=10**6, output_octets=2000))
NO = Reply(550, "No", "5.1.1")

ServerPump = Pump[ServerConnection, ServerEvent]


def reply(engine: ServerConnection, event: ServerEvent) -> bool:
    """Answer *event*, if it is a question; whether it was."""
    if not isinstance(event, QUESTIONS):
        return False
    if isinstance(event, RcptTo) and event.path.local == "nobody":
        engine.reject(event, NO)
    else:
        engine.accept(event)
    return True


def script() -> bytes:
    """What a client sends behind its EHLO, without waiting for any reply."""
    transaction = b"MAIL FROM:<a@b.c>\r\nRCPT TO:<nobody@e.f>\r\nRCPT TO:<d@e.f>\r\n"
    body = b"BDAT 5000\r\n" + bytes(5000) + b"NOOP\r\nBDAT 3 LAST\r\nend"
    return (transaction + b"HELP\r\n" * 20 + body + transaction + b"RSET\r\n" + b"HELP\r\n" * 200) * 4 + b"QUIT\r\n"


def in_memory() -> tuple[bytes, list[type], bytes]:
    """The replies, the events, and the octets of the messages: as the engine by itself has them."""
    engine = ServerConnection(CONFIG, peer=Peer(None))
    sent: list[bytes] = []
    events: list[ServerEvent] = []
    to_read = [b"EHLO a.example\r\n", script()]
    while not events or not isinstance(events[-1], Closed):
        step = engine.next_event()
        if isinstance(step, Wait):
            sent += engine.data_to_send(0.0)
            engine.data_sent(0.0)
            if step is Wait.DATA:
                engine.receive_data(to_read.pop(0), 0.0)
        else:
            events.append(step)
            reply(engine, step)
    sent += engine.data_to_send(0.0)
    return b"".join(sent), *summary(events)


def summary(events: list[ServerEvent]) -> tuple[list[type], bytes]:
    """Of chunks it does not matter where one ends."""
    kinds = [type(event) for event in events if not isinstance(event, BodyChunk)]
    return kinds, b"".join(event.data for event in events if isinstance(event, BodyChunk))


@contextlib.asynccontextmanager
async def pumped(watched: bool) -> AsyncIterator[tuple[ServerPump, socket.socket]]:
    """A pump, and the other end of its connection, which holds little."""
    hub = new_hub() if watched else None
    if watched and hub is None:
        pytest.skip("there is no hub")
    here, there = socket.socketpair()
    for end in (here, there):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
    there.setblocking(False)
    transport = SocketTransport(here) if hub is None else WatchedTransport(here, hub)
    with there, contextlib.closing(transport), trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            if hub is not None:
                nursery.start_soon(hub.run)
            yield Pump(ServerConnection(CONFIG, peer=Peer(None)), transport), there
            nursery.cancel_scope.cancel()


async def client(there: socket.socket, lots: random.Random) -> bytes:
    """Send the script in pieces, and read what is replied, now and then."""
    received = b""
    to_send = b"EHLO a.example\r\n"
    greeted = False
    while True:
        await trio.lowlevel.checkpoint()
        if to_send and lots.random() < 0.3:
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                to_send = to_send[there.send(to_send[: lots.choice([1, 30, 700])]) :]
        if lots.random() < 0.3:
            with contextlib.suppress(BlockingIOError):
                octets = there.recv(lots.choice([10, 300]))
                if not octets:
                    return received
                received += octets
        if not greeted and b"\r\n250 " in received:
            greeted = True
            to_send = script()


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("seed", range(6))
async def test_cancelled_at_every_wait(watched: bool, seed: int) -> None:
    """And asked again."""
    lots = random.Random(seed)
    events: list[ServerEvent] = []
    received: list[bytes] = []
    cancelled = 0
    async with pumped(watched) as (pump, there):

        def answer(event: ServerEvent) -> bool:
            # Some are for whoever asks.
            if lots.random() < 0.3 or not reply(pump.connection, event):
                return False
            events.append(event)
            return True

        async def be_client() -> None:
            received.append(await client(there, lots))
            there.close()

        async def cancel_later(scope: trio.CancelScope) -> None:
            for _ in range(lots.randrange(4)):
                await trio.lowlevel.checkpoint()
            scope.cancel()

        pump.answer = answer
        async with trio.open_nursery() as nursery:
            nursery.start_soon(be_client)
            event: ServerEvent | None = None
            while not (events and isinstance(events[-1], Closed)):
                with trio.CancelScope() as scope:
                    if lots.random() < 0.8:
                        nursery.start_soon(cancel_later, scope)
                    event = await pump.next_event()
                    assert event is not None
                    events.append(event)
                    reply(pump.connection, event)
                cancelled += scope.cancelled_caught
                await trio.lowlevel.checkpoint()
            assert await pump.next_event() is None
    assert cancelled > 3
    assert (b"".join(received), *summary(events)) == in_memory()


# --- what has happened while nobody asked ----------------------------------------------------------------------


async def greeted(pump: ServerPump, there: socket.socket) -> None:
    """As far as an EHLO, which leaves nothing to read."""
    there.send(b"EHLO a.example\r\n")
    for kind in (Connected, Hello):
        event = await pump.next_event()
        assert isinstance(event, kind)
        reply(pump.connection, event)


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("by", ["shut down", "session deadline"])
async def test_end_before_the_event_is_asked_for(watched: bool, by: str) -> None:
    """An event waits in the pump when the connection ends: it comes first, and its answer is the last word but one."""
    async with pumped(watched) as (pump, there):
        await greeted(pump, there)

        def answer(event: ServerEvent) -> bool:
            if isinstance(event, RcptTo):
                now = trio.current_time()
                if by == "shut down":
                    pump.shut_down(now)
                else:
                    pump.tick(now + 10**6)
            return isinstance(event, MailFrom) and reply(pump.connection, event)

        pump.answer = answer
        there.send(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nNOOP\r\n")
        event = await pump.next_event()
        assert isinstance(event, RcptTo)
        assert pump.connection.phase is not Phase.CLOSED
        reply(pump.connection, event)
        closed = await pump.next_event()
        expected = Closed(Cause.SHUTDOWN) if by == "shut down" else Closed(Cause.TIMED_OUT, "session")
        assert closed == expected
        there.shutdown(socket.SHUT_WR)
        assert await pump.next_event() is None
        lines = there.recv(10_000).splitlines()
        assert [line[:3] for line in lines[-3:]] == [b"250", b"250", b"421"]


@pytest.mark.parametrize("watched", [False, True])
async def test_chunk_before_the_deadline(watched: bool) -> None:
    """A chunk waits in the pump when the time is over: it is handed out before the end is."""
    async with pumped(watched) as (pump, there):
        await greeted(pump, there)
        pump.answer = lambda event: isinstance(event, MailFrom | RcptTo | BodyBegin) and reply(pump.connection, event)
        there.send(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nBDAT 10\r\nabc")
        kinds: list[type] = []
        assert isinstance(await pump.next_event(), BodyChunk)
        pump.tick(trio.current_time() + Timeouts().session + 1)
        there.shutdown(socket.SHUT_WR)
        while (event := await pump.next_event()) is not None:
            kinds.append(type(event))
        assert kinds[-1] is Closed


async def test_error_while_nobody_asks() -> None:
    """Whoever asks next hears of it, and the hub goes on."""
    async with pumped(watched=True) as (pump, there):
        await greeted(pump, there)

        def fall(event: ServerEvent) -> bool:
            raise ZeroDivisionError

        pump.answer = fall
        there.send(b"MAIL FROM:<a@b.c>\r\n")
        with pytest.raises(ZeroDivisionError):
            await pump.next_event()
        pump.answer = None
        there.send(b"QUIT\r\n")
        assert pump.connection.awaits_answer  # which nobody has given
