"""Servers that never come to an end, or to a beginning: a client is done with them in time, and in little memory."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial

import pytest
import trio
from client_play import GREETING, MESSAGE, NAME, REPLIES, Script, envelope
from load_play import HERE, tracing

from smtpcore import Cause, ClientConfig, ClientTimeouts, Closed, Fate, Violation
from smtpcore._value import fields
from smtpcore_trio import Disconnected, SMTPClient, TlsMode, connect
from smtpcore_trio._transport import READ_OCTETS

SECONDS = 0.4
CONFIG = ClientConfig(
    timeouts=ClientTimeouts(**{field.name: SECONDS for field in fields(ClientTimeouts) if field.name != "session"})
)
# The reads, and a reply up to its limits, whose lines are small objects.
BABBLE_OCTETS = 10 * READ_OCTETS


@pytest.fixture(autouse=True)
def no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that will not go is waited for another second, which is no matter here."""
    monkeypatch.setattr("smtpcore_trio._pump.LINGER_SECONDS", 0.05)


Misbehave = Callable[[Script], Awaitable[None]]


async def endlessly(script: Script, octets: bytes) -> None:
    while True:
        await script.say(octets)


async def slowly(script: Script, octets: bytes) -> None:
    """An octet now and then; none, where *octets* is empty."""
    for octet in octets:
        await script.say(bytes([octet]))
        await trio.sleep(SECONDS / 8)
    await trio.sleep_forever()


LINES = partial(endlessly, octets=b"250-x\r\n" * 2000)
LINE = partial(endlessly, octets=b"250 " + b"x" * 20_000)
SILENCE = partial(slowly, octets=b"")
OCTETS = partial(slowly, octets=b"250-x\r\n" * 1000)
WAYS = [
    pytest.param(LINES, Violation.REPLY_TOO_LONG, id="lines without end"),
    pytest.param(LINE, Violation.REPLY_TOO_LONG, id="a line without end"),
    pytest.param(SILENCE, None, id="silence"),
    pytest.param(OCTETS, None, id="an octet at a time"),
]


@asynccontextmanager
async def server(stage: bytes, misbehave: Misbehave) -> AsyncIterator[int]:
    """The port of one that is fine until it is to answer *stage*: a verb, the end of a message, or a connection."""

    async def serve(stream: trio.SocketStream) -> None:
        script = Script(stream)
        with contextlib.suppress(trio.BrokenResourceError):  # the client has enough
            if stage == b"":
                await misbehave(script)
            await script.say(GREETING)
            while (line := await script.line()) is not None:
                word = line.partition(b" ")[0].partition(b":")[0]
                if word == stage:
                    await misbehave(script)
                await script.say(REPLIES.get(word, b"250 ok\r\n"))
                if word == b"DATA":
                    await script.message()
                    if stage == b".":
                        await misbehave(script)
                    await script.say(REPLIES[b"."])

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host=HERE))
            yield listener.socket.getsockname()[1]
            nursery.cancel_scope.cancel()


def connecting(port: int) -> Awaitable[SMTPClient]:
    return connect(HERE, port, tls=TlsMode.NONE, config=CONFIG, server_name=NAME)


def ended(closed: Closed | None, violation: Violation | None, seconds: float) -> None:
    """See that *closed* tells what was wrong, and that a deadline was not moved by octets."""
    assert closed is not None
    assert closed.violation is violation
    if violation is None:
        assert closed.cause is Cause.TIMED_OUT
        assert seconds >= SECONDS


@pytest.mark.catalogue("G3", "G4")
@pytest.mark.parametrize("stage", [b"", b"EHLO"], ids=["greeting", "EHLO"])
@pytest.mark.parametrize(("way", "violation"), WAYS)
async def test_connect(stage: bytes, way: Misbehave, violation: Violation | None) -> None:
    if stage == b"" and isinstance(way, partial):
        way = partial(way.func, octets=way.keywords["octets"].replace(b"250", b"220"))
    async with server(stage, way) as port:
        with tracing() as allocated:
            began = trio.current_time()
            with pytest.raises(Disconnected) as raised:
                await connecting(port)
            most = allocated()
        ended(raised.value.closed, violation, trio.current_time() - began)
        assert most <= BABBLE_OCTETS


@pytest.mark.catalogue("G3", "G4", "F13")
@pytest.mark.parametrize(
    ("stage", "fate"),
    [(b"MAIL", Fate.UNSENT), (b".", Fate.UNKNOWN)],
    ids=["MAIL", "end"],
)
@pytest.mark.parametrize(("way", "violation"), WAYS)
async def test_send(stage: bytes, fate: Fate, way: Misbehave, violation: Violation | None) -> None:
    """Each recipient has its fate, and nobody waits for more."""
    async with server(stage, way) as port, await connecting(port) as client:
        with tracing() as allocated:
            began = trio.current_time()
            outcomes = await client.send(envelope(), MESSAGE)
            most = allocated()
        ended(client.closed, violation, trio.current_time() - began)
        assert {outcome.fate for outcome in outcomes} == {fate}
        assert most <= BABBLE_OCTETS


@pytest.mark.catalogue("G3")
@pytest.mark.parametrize("way", [SILENCE, OCTETS], ids=["silence", "an octet at a time"])
async def test_quit(way: Misbehave) -> None:
    """To leave takes no longer than anything else."""
    async with server(b"QUIT", way) as port:
        client = await connecting(port)
        await client.quit()
        assert client.closed is not None


@pytest.mark.catalogue("G5")
async def test_server_that_takes_no_message() -> None:
    """Of a long message the client keeps no more than it has asked for."""

    async def message() -> AsyncGenerator[bytes, None]:
        while True:
            yield MESSAGE * 1000

    async def stop(script: Script) -> None:
        await script.say(REPLIES[b"DATA"])
        await trio.sleep_forever()

    async with server(b"DATA", stop) as port, await connecting(port) as client, aclosing(message()) as octets:
        with tracing() as allocated:
            outcomes = await client.send(envelope(), octets)
            most = allocated()
        assert client.closed is not None
        assert client.closed.cause is Cause.TIMED_OUT
        assert {outcome.fate for outcome in outcomes} == {Fate.UNSENT}
        assert most <= BABBLE_OCTETS
