"""A server that is cut at any step of a session: no socket, task or file is left, and it is known how many were cut."""

import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import pytest
import trio
import trio.testing
from fault_play import (
    EHLO,
    QUIT,
    STARTTLS,
    AtStep,
    Drop,
    Group,
    Wire,
    at_each_step,
    by_chunks,
    by_data,
    message,
    nothing_left,
    of_sessions,
    one,
    play,
    slowly,
)
from observe_play import Recorder
from trio_play import Taker, serving

from smtpcore import STANDARD, Extended, Hello, Limits, Peer, RcptTo, Reply, ServerConfig, Verify, XClient
from smtpcore.extensions import STARTTLS as OFFER_STARTTLS
from smtpcore_trio import Facts, TlsContext

CONFIG = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, OFFER_STARTTLS))


Recording = Callable[[int], tuple[Group, ...]]


class Sleepy(Taker):
    """Lets others run wherever it is asked."""

    async def connected(self, peer: Peer) -> Reply | None:
        await trio.lowlevel.checkpoint()
        return await super().connected(peer)

    async def rcpt(self, event: RcptTo) -> Reply | None:
        await trio.lowlevel.checkpoint()
        return await super().rcpt(event)

    async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
        await trio.lowlevel.checkpoint()
        reply = await super().data(body)
        await trio.lowlevel.checkpoint()
        return reply


SESSIONS = {
    "clear": slowly((EHLO, *by_data(1))),
    "chunks": slowly((EHLO, *by_chunks(1))),
    "STARTTLS": slowly((*STARTTLS, EHLO, *by_data(1))),
    "implicit": slowly((EHLO, *by_data(1))),
}


@pytest.mark.parametrize("name", SESSIONS)
async def test_session(
    name: str, tls_context: TlsContext, client_tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    implicit = name == "implicit"
    cuts: set[int] = set()

    async def run(step: int) -> bool:
        caplog.clear()
        recorder = Recorder()
        options = {"tls_context": tls_context, "implicit_tls": implicit, "observer": recorder}
        async with nothing_left(), serving(Sleepy, CONFIG, **options) as host:
            address = host.listener.socket.getsockname()
            with AtStep(step, lambda: host.server.drain(0), of_sessions) as instrument:
                try:
                    await play(address, SESSIONS[name], Drop.FIN, context=client_tls, implicit=implicit)
                except (OSError, EOFError, ssl.SSLError):
                    assert instrument.acted
                await host.empty()
        cut = host.server.cut
        cuts.add(cut)
        assert len(recorder.of("opened")) == len(recorder.of("closed")) == len(host.sessions)
        assert recorder.of("closed").count(None) == cut
        assert [record.getMessage() for record in caplog.records] == [
            f"{cut} sessions were cut, as they did not end in time"
        ] * cut
        return instrument.acted

    assert await at_each_step(run) > 10
    assert cuts == {0, 1}


# --- a session that gives up ---------------------------------------------------------------------------

SLOW = Reply(451, "Too slow", "4.3.0")


def asking(line: bytes) -> Recording:
    """A client that has a question between its chunks."""

    def record(number: int) -> tuple[Group, ...]:
        groups = list(slowly((EHLO, *by_chunks(number))))
        between = next(place for place, group in enumerate(groups) if group.lines[0][0] == b"BDAT 0\r\n")
        return (*groups[:between], one(line), *groups[between:])

    return record


class Hasty(Taker):
    """Gives up reading a message."""

    def __init__(self, facts: Facts, step: int) -> None:
        super().__init__(facts)
        self.step = step
        self.instrument: AtStep

    async def hello(self, event: Hello) -> Reply | None:
        await trio.lowlevel.checkpoint()
        return await super().hello(event)

    async def extended(self, question: Verify | Extended | XClient) -> Reply | None:
        await trio.lowlevel.checkpoint()
        return await super().extended(question)

    async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
        with trio.CancelScope() as scope, AtStep(self.step, scope.cancel) as self.instrument:
            await trio.lowlevel.checkpoint()
            return await super().data(body)
        return SLOW


@pytest.mark.parametrize(
    "recording",
    [
        lambda number: slowly((EHLO, *by_data(number))),
        lambda number: slowly((EHLO, *by_chunks(number))),
        asking(b"VRFY tim\r\n"),
        asking(b"EHLO again.example\r\n"),
    ],
    ids=["DATA", "BDAT", "VRFY", "EHLO"],
)
async def test_session_that_gives_up(recording: Recording, caplog: pytest.LogCaptureFixture) -> None:
    """It may, at any step: the client has a reply to each command, and the message is discarded."""
    config = ServerConfig(hostname="mx.example.org", verify=True)

    async def run(step: int) -> bool:
        async with nothing_left(), serving(partial(Hasty, step=step), config) as host:
            wire = await play(host.listener.socket.getsockname(), recording(1), Drop.FIN)
            await host.empty()
            (session,) = host.sessions
            given_up = b"Too slow" in wire.heard
            assert session.instrument.acted >= given_up
            assert (b"Stored" in wire.heard) == (session.messages == [message(1)])
            assert wire.asked["quit"] == wire.heard.count(b"\r\n221 ") == 1
            assert caplog.records == []
        return bool(session.instrument.acted)

    assert await at_each_step(run) >= 3


async def test_giving_up_while_replies_wait() -> None:
    """A client that reads late gets all of them, and whole, whenever the session has given up."""
    chunks = 4000
    lines = ((b"MAIL FROM:<a@b.c>\r\n", ""), (b"RCPT TO:<d@e.f>\r\n", ""), (b"BDAT 3\r\nabc" * chunks, ""))
    config = ServerConfig(hostname="mx.example.org", limits=Limits(errors=chunks))

    async def run(step: int) -> bool:
        async with nothing_left(), serving(partial(Hasty, step=step), config) as host:
            host.listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
            with trio.socket.socket() as connected:
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
                await connected.connect(host.listener.socket.getsockname())
                wire = Wire(connected)
                await wire.hear(1)
                await wire.say(EHLO)
                await wire.hear(1)
                await wire.say(Group(lines, 0))
                await trio.testing.wait_all_tasks_blocked(0.01)
                await wire.say(QUIT)
                await wire.drop(Drop.FIN)
            await host.empty()
            (session,) = host.sessions
        codes = [line[:4] for line in wire.heard.splitlines()[8:]]
        taken = codes.index(b"451 ") if b"451 " in codes else chunks + 2  # where no chunk came after it
        refused = [b"451 ", *[b"503 "] * (chunks + 1 - taken)][: chunks + 2 - taken]
        assert codes == [b"250 "] * taken + refused + [b"221 "]
        return bool(session.instrument.acted)

    assert await at_each_step(run) >= 3
