"""A server with a hub, and one without: it is the same to a client."""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Sequence

import pytest
import trio
import trio.testing
from trio_play import LOOPBACK, Client, Taker, deliver, serving, until

from smtpcore import STANDARD, Abort, Limits, Reply, ServerConfig, Timeouts
from smtpcore.extensions import STARTTLS
from smtpcore_trio import Aborted, TlsContext, _hub, server

TLS_CONFIG = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS))
RESET = b"\1\0\0\0\0\0\0\0"


@pytest.fixture(params=["hub", "none"], autouse=True)
def watched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    watching: bool = request.param == "hub"
    if not watching:
        monkeypatch.setattr(server, "new_hub", lambda: None)
    elif _hub.new_hub() is None:
        pytest.skip("there is no hub")
    return watching


async def test_message(watched: bool) -> None:
    async with serving() as host, await host.client() as client:
        assert (host.server._hub is not None) == watched
        assert await deliver(client, b"x" * 1_000_000 + b"\r\n") == "250 2.0.0 Stored\r\n"
        assert await client.ask("QUIT") == "221 2.0.0 mx.example.org closing connection\r\n"
        assert await client.rest() == b""
        assert len(host.sessions[0].messages[0]) == 1_000_002


async def test_starttls(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    async with serving(Taker, TLS_CONFIG, tls_context=tls_context) as host, await host.client() as client:
        await client.greet()
        await client.ask("STARTTLS")
        await client.start_tls(client_tls)
        await client.ask("EHLO a.example", "MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "DATA")
        await client.send(b"x" * 1_000_000 + b"\r\n.\r\n")
        assert (await client.reply()).startswith("250")
        assert (await client.ask("QUIT")).startswith("221 ")
        assert await client.rest() == b""


async def test_implicit_tls(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    async with serving(Taker, tls_context=tls_context, implicit_tls=True) as host, await host.client() as client:
        await client.start_tls(client_tls)
        assert (await deliver(client)).startswith("250")


async def test_proxied() -> None:
    """What comes with the header is read, though the system does not tell of it again."""
    async with serving(Taker, proxies=(LOOPBACK,)) as host, await host.client() as client:
        await client.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 4242 25\r\nEHLO a.example\r\n")
        # It did not wait for the greeting, which is how one sees that it was heard.
        assert (await client.rest()).startswith(b"554 ")
        assert host.sessions[0].facts.peer.address == "192.0.2.1"


@pytest.mark.parametrize("reset", [False, True])
async def test_lost_client(reset: bool) -> None:
    reasons: list[Abort] = []

    class Watcher(Taker):
        async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
            try:
                return await super().data(body)
            except Aborted as aborted:
                reasons.append(aborted.reason)
                raise

    async with serving(Watcher) as host:
        async with await host.client() as idle, await host.client() as busy:
            await idle.greet()
            await busy.begin()
            await busy.ask("DATA")
            await busy.send(b"half a message\r\n")
            for client in (idle, busy):
                assert isinstance(client.transport, trio.SocketStream)
                if reset:
                    client.transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await host.empty()
        assert reasons == [Abort.LOST]


async def test_last_command_and_the_end() -> None:
    async with serving() as host, await host.client() as client:
        await client.greet()
        await client.send(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nNOOP\r\nQUIT\r\n")
        await client.transport.send_eof()
        assert (await client.rest()).count(b"\r\n") == 4


async def test_deadlines() -> None:
    """Of one who says nothing, and of one who takes nothing."""
    config = ServerConfig(
        hostname="mx.example.org",
        limits=Limits(junk_commands=10**9),
        timeouts=Timeouts(command=0.3, write=0.3),
    )
    async with serving(config=config) as host, await host.client() as silent, await host.client() as deaf:
        await silent.greet()
        await deaf.greet()
        assert (await silent.rest()).startswith(b"421 4.4.2 ")
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                await deaf.send(b"HELP\r\n" * 10_000)
        await host.empty()


@pytest.mark.parametrize("by", ["drain", "cancel"])
async def test_drain(by: str) -> None:
    async with serving() as host, await host.client() as idle, await host.client() as busy:
        await idle.greet()
        await busy.begin()
        await busy.ask("DATA")
        if by == "drain":
            host.server.drain()
        else:
            host.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            assert (await idle.rest()).startswith(b"421 4.3.2 ")
            await busy.send(b"x\r\n.\r\n")
            assert (await busy.reply()).startswith("250")
            assert (await busy.rest()).startswith(b"421 4.3.2 ")


async def test_cut() -> None:
    async with serving() as host, await host.client() as client:
        await client.begin()
        await client.ask("DATA")
        host.server.drain(0.1)
        with contextlib.suppress(trio.BrokenResourceError):
            assert await client.rest() == b""
        await host.empty()
        assert host.server.cut == 1


async def test_what_is_cut_may_still_read() -> None:
    """A session that shields itself: its client is heard of as before."""
    read = bytearray()

    class Stubborn(Taker):
        async def data(self, body: AsyncIterator[bytes]) -> Reply:
            with trio.CancelScope(shield=True):
                async for octets in body:
                    read.extend(octets)
            raise AssertionError("not reached, as the client has gone")

    async with serving(Stubborn) as host:
        async with await host.client() as client:
            await client.begin()
            await client.ask("DATA")
            await client.send(b"one\r\n")
            await until(lambda: read.startswith(b"one"))
            host.server.drain(0)
            await trio.sleep(0.05)
            await client.send(b"two\r\n")
            await until(lambda: b"two" in read)
        await host.empty()


async def test_flood_leaves_others_their_turn() -> None:
    """Commands without end, and another client that is answered meanwhile."""
    config = ServerConfig(hostname="mx.example.org", limits=Limits(junk_commands=10**9))
    async with serving(config=config) as host, await host.client() as loud, await host.client() as other:
        await loud.greet()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood, loud)
            nursery.start_soon(swallow, loud)
            await deliver(other)
            nursery.cancel_scope.cancel()


async def flood(client: Client) -> None:
    while True:
        await client.send(b"NOOP\r\n" * 20_000)


async def swallow(client: Client) -> None:
    while await client.stream.receive_some():
        pass


@pytest.mark.parametrize("watched", ["hub"], indirect=True)
async def test_client_that_cannot_be_watched(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It is closed, its place is free again, and the others go on."""

    def full(self: object, transport: object) -> None:
        raise OSError("no space left")

    async with serving() as host, await host.client() as other:
        await other.greet()
        with monkeypatch.context() as patched:
            patched.setattr(_hub.Hub, "watch", full)
            async with await host.client() as client:
                assert await client.rest() == b""
        assert host.server.connections == 1
        assert (await other.ask("NOOP")).startswith("250")
    assert len(caplog.records) == 1


@pytest.mark.parametrize("watched", ["hub"], indirect=True)
async def test_hub_that_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would hear of anything any more: the server ends."""

    async def run(self: object) -> None:
        await started.wait()
        raise ZeroDivisionError

    started = trio.Event()
    monkeypatch.setattr(_hub.Hub, "run", run)
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with serving() as host, await host.client() as client:
            await client.reply()
            started.set()
            await trio.sleep_forever()
