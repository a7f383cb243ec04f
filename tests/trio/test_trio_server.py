"""The server: TLS, lost and late clients, many of them, and the end of them all."""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Sequence

import pytest
import trio
import trio.testing
from trio_play import CONFIG, OK, Client, Taker, deliver, serving, until

from smtpcore import (
    STANDARD,
    Abort,
    Limits,
    MailFrom,
    Peer,
    Reply,
    ServerConfig,
    Timeouts,
)
from smtpcore.extensions import STARTTLS
from smtpcore_trio import Aborted, BaseSession, Port, Server, TlsContext, listen_tcp, serve
from smtpcore_trio._pump import Pump
from smtpcore_trio.server import plain_address

TLS_CONFIG = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS))


def timeouts(**lengths: float) -> ServerConfig:
    return ServerConfig(hostname="mx.example.org", timeouts=Timeouts(**lengths))


# --- TLS ----------------------------------------------------------------------------------------------


async def test_starttls(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    async with serving(Taker, TLS_CONFIG, tls_context=tls_context) as host, await host.client() as client:
        await client.greet()
        await client.ask("MAIL FROM:<a@b.c>", "RSET", "STARTTLS")
        await client.start_tls(client_tls)
        # RFC 3207 4.2: all is forgotten, EHLO too, and STARTTLS is not offered again.
        assert (await client.ask("MAIL FROM:<a@b.c>")).startswith("503 ")
        assert "STARTTLS" not in await client.ask("EHLO client.example")
        await client.ask("MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "DATA")
        await client.send(b"x" * 1_000_000 + b"\r\n.\r\n")
        assert (await client.reply()).startswith("250")
        assert (await client.ask("QUIT")).startswith("221 ")
        assert await client.rest() == b""
        assert len(host.sessions[0].messages[0]) == 1_000_002
        tls = host.sessions[0].facts.tls
        assert (tls.version, tls.server_name) == ("TLSv1.3", "mx.example.org")
        assert tls.cipher
        assert tls.channel_bindings == tls_context.bindings


async def test_implicit_tls(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    async with serving(Taker, tls_context=tls_context, implicit_tls=True) as host, await host.client() as client:
        await client.start_tls(client_tls)
        assert (await deliver(client)).startswith("250")
        assert host.sessions[0].facts.tls.version == "TLSv1.3"
        assert (await client.ask("QUIT")).startswith("221 ")
        assert await client.rest() == b""


@pytest.mark.catalogue("C4")
@pytest.mark.parametrize(
    "garbage", [b"EHLO again.example\r\n", b"\x16\x03\x01\x00\x05hello", b"\x15\x03\x01\x00\x02\x02\x28"]
)
async def test_failed_handshake_closes(tls_context: TlsContext, garbage: bytes) -> None:
    async with serving(Taker, TLS_CONFIG, tls_context=tls_context) as host, await host.client() as client:
        await client.greet()
        await client.ask("STARTTLS")
        await client.send(garbage)
        received = b""
        with contextlib.suppress(trio.BrokenResourceError):
            await client.send(b"NOOP\r\n")
            received = await client.rest()
        # An alert perhaps, but nothing is said in the clear any more.
        assert received[:1] in (b"", b"\x15")
        assert b"250" not in received
        assert host.sessions[0].said == ["connected", "hello"]


@pytest.mark.catalogue("C1")
async def test_octets_behind_starttls(tls_context: TlsContext) -> None:
    async with serving(Taker, TLS_CONFIG, tls_context=tls_context) as host, await host.client() as client:
        await client.greet()
        await client.send(b"STARTTLS\r\nMAIL FROM:<a@b.c>\r\n")
        assert (await client.rest()).startswith(b"554 ")
        assert host.sessions[0].said == ["connected", "hello"]


@pytest.mark.catalogue("C1")
async def test_octets_after_starttls_are_for_the_tls_layer(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    """Sent in a packet of their own, before the 220 was read: they break the handshake."""
    async with serving(Taker, TLS_CONFIG, tls_context=tls_context) as host, await host.client() as client:
        await client.greet()
        await client.ask("STARTTLS")
        await client.send(b"MAIL FROM:<a@b.c>\r\n")
        with pytest.raises(trio.BrokenResourceError):
            await client.start_tls(client_tls)
        assert host.sessions[0].said == ["connected", "hello"]


@pytest.mark.catalogue("C7")
@pytest.mark.parametrize("implicit", [False, True])
async def test_handshake_deadline(tls_context: TlsContext, implicit: bool) -> None:
    config = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS), timeouts=Timeouts(tls=0.3))
    options = {"tls_context": tls_context, "implicit_tls": implicit}
    async with serving(Taker, config, **options) as host, await host.client() as client:
        if not implicit:
            await client.greet()
            await client.ask("STARTTLS")
        with contextlib.suppress(trio.BrokenResourceError):
            assert await client.rest() == b""


@pytest.mark.catalogue("C4")
async def test_session_deadline_while_the_client_shakes_hands(tls_context: TlsContext) -> None:
    """There is a reply to say then, and it is not said in the clear."""
    config = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS), timeouts=Timeouts(session=0.4))
    async with serving(Taker, config, tls_context=tls_context) as host, await host.client() as client:
        await client.greet()
        await client.ask("STARTTLS")
        with contextlib.suppress(trio.BrokenResourceError):
            assert await client.rest() == b""


@pytest.mark.catalogue("C8")
async def test_truncated_tls(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    async with serving(Taker, tls_context=tls_context, implicit_tls=True) as host, await host.client() as client:
        await client.start_tls(client_tls)
        await client.begin()
        await client.ask("DATA")
        await client.send(b"x\r\n")
        await client.transport.send_eof()  # without a close_notify
        await host.empty()
        assert host.sessions[0].messages == []


async def test_failed_implicit_handshake(tls_context: TlsContext) -> None:
    async with serving(Taker, tls_context=tls_context, implicit_tls=True) as host, await host.client() as client:
        await client.send(b"EHLO client.example\r\n")
        with contextlib.suppress(trio.BrokenResourceError):
            assert (await client.rest())[:1] in (b"", b"\x15")
        assert host.sessions == []


# --- lost and late clients ----------------------------------------------------------------------------

SENT = b"EHLO a.example\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n"


@pytest.mark.catalogue("A10", "F6")
@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"EH",
        SENT,
        SENT + b"DATA\r\n",
        SENT + b"BDAT 10\r\nabc",
        SENT + b"BDAT 3\r\nabc",
        SENT + b"BDAT 9 LAST\r\nabc",
    ],
)
async def test_lost_client(sent: bytes, reset: bool) -> None:
    """Nothing is accepted, and nothing is left; the session hears of it where it reads a message."""
    reasons: list[Abort] = []

    class Watcher(Taker):
        async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
            try:
                return await super().data(body)
            except Aborted as aborted:
                reasons.append(aborted.reason)
                raise

    async with serving(Watcher) as host:
        async with await host.client() as client:
            await client.reply()
            for line in sent.splitlines(keepends=True):
                await client.send(line)
                if line.endswith(b"\r\n") and not line.startswith(b"BDAT"):
                    await client.reply()
            if sent.endswith(b"DATA\r\n"):
                await client.send(b"half a message\r\n")
            await trio.testing.wait_all_tasks_blocked(0.02)
            if reset:
                assert isinstance(client.transport, trio.SocketStream)
                client.transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await host.empty()
        assert host.sessions[0].messages == []
        assert reasons == ([Abort.LOST] if b"DATA" in sent or b"BDAT" in sent else [])


async def test_half_closed_client_hears_all() -> None:
    """All that it sent before the end of its stream is answered."""
    async with serving() as host, await host.client() as client:
        await client.greet()
        await client.send(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nNOOP\r\n")
        await client.transport.send_eof()
        assert (await client.rest()).count(b"250 ") == 3


@pytest.mark.catalogue("G1", "G2")
async def test_command_deadline() -> None:
    async with serving(config=timeouts(command=0.3)) as host, await host.client() as client:
        await client.greet()
        assert await client.rest() == b"421 4.4.2 mx.example.org timeout exceeded, closing connection\r\n"


@pytest.mark.catalogue("H19")
async def test_deadlines_of_others(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An error of ours with those of one connection is none of theirs."""
    failed: list[Pump] = []
    tick = Pump.tick

    def fail(self: Pump, now: float) -> None:
        if not failed or self in failed:
            failed.append(self)
            raise ZeroDivisionError
        tick(self, now)

    async with serving(config=timeouts(command=0.4)) as host, await host.client() as one:
        await one.greet()
        monkeypatch.setattr(Pump, "tick", fail)
        await until(lambda: failed)
        async with await host.client() as other:
            assert (await other.rest()).endswith(b"421 4.4.2 mx.example.org timeout exceeded, closing connection\r\n")
    assert "deadlines of the session" in caplog.text


@pytest.mark.catalogue("G1", "G2")
async def test_body_deadline() -> None:
    reasons: list[Abort] = []

    class Watcher(Taker):
        async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
            try:
                return await super().data(body)
            except Aborted as aborted:
                reasons.append(aborted.reason)
                return OK  # it is too late for that

    async with serving(Watcher, timeouts(body=0.3)) as host, await host.client() as client:
        await client.begin()
        await client.ask("DATA")
        assert await client.rest() == b"421 4.4.2 mx.example.org timeout exceeded, closing connection\r\n"
        assert reasons == [Abort.LOST]


async def test_session_deadline_while_leaving_early() -> None:
    """The session gives its no after the engine has closed: there is nobody to tell."""

    class Slow(BaseSession):
        async def data(self, body: AsyncIterator[bytes]) -> Reply:
            await anext(body)
            await trio.sleep(0.6)
            return Reply(550, "No", "5.7.1")

    async with serving(Slow, timeouts(session=0.3)) as host, await host.client() as client:
        await client.begin()
        await client.ask("DATA")
        await client.send(b"x\r\n")
        assert await client.rest() == b"421 4.4.2 mx.example.org timeout exceeded, closing connection\r\n"


async def test_slow_session_is_not_late() -> None:
    class Slow(Taker):
        async def mail(self, event: MailFrom) -> Reply | None:
            await trio.sleep(0.8)
            return None

        async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
            await trio.sleep(0.8)
            return await super().data(body)

    async with serving(Slow, timeouts(command=0.5, body=0.5)) as host, await host.client() as client:
        assert (await deliver(client)).startswith("250")


@pytest.mark.catalogue("G5")
async def test_client_that_never_reads() -> None:
    """It is cut, though the server has replies for it."""
    limits = Limits(junk_commands=10**9)
    config = ServerConfig(hostname="mx.example.org", limits=limits, timeouts=Timeouts(write=0.3))
    async with serving(config=config) as host, await host.client() as client:
        await client.greet()
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                await client.send(b"HELP\r\n" * 10_000)
        await host.empty()


# --- draining -----------------------------------------------------------------------------------------

GOODBYE = b"421 4.3.2 mx.example.org shutting down\r\n"


@pytest.mark.parametrize("by", ["drain", "cancel"])
async def test_drain(by: str) -> None:
    """Idle clients hear 421 at once; a message that is coming in gets its verdict, and then 421."""
    async with serving() as host, contextlib.AsyncExitStack() as clients:
        idle, rcpt, busy = [await clients.enter_async_context(await host.client()) for _ in range(3)]
        await idle.greet()
        await rcpt.begin()
        await busy.begin()
        await busy.ask("DATA")
        await busy.send(b"first\r\n")
        if by == "drain":
            host.server.drain()
        else:
            host.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            assert await idle.rest() == GOODBYE
            assert await rcpt.rest() == GOODBYE
            assert host.server.draining
            await busy.send(b"second\r\n.\r\n")
            assert await busy.rest() == b"250 2.0.0 Stored\r\n" + GOODBYE
            assert host.sessions[2].messages == [b"first\r\nsecond\r\n"]
            await host.empty()


async def test_drain_stops_accepting_and_returns() -> None:
    port = Port(listeners=await listen_tcp("127.0.0.1", 0), config=CONFIG)
    host, number = port.addresses[0].split(":")
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(serve, [port], Taker)
            server.drain()
        assert port.listeners[0].socket.fileno() == -1
        with pytest.raises(OSError, match=number):
            await trio.open_tcp_stream(host, int(number))


async def test_drain_waits_for_the_application() -> None:
    go = trio.Event()

    class Slow(Taker):
        async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
            reply = await super().data(body)
            await go.wait()
            return reply

    async with serving(Slow) as host, await host.client() as client:
        await client.begin()
        await client.ask("DATA")
        await client.send(b"x\r\n.\r\n")
        await trio.testing.wait_all_tasks_blocked(0.05)
        host.server.drain()
        await trio.testing.wait_all_tasks_blocked(0.05)
        go.set()
        assert await client.rest() == b"250 2.0.0 Stored\r\n" + GOODBYE


async def test_grace() -> None:
    """What is not done by then is cut; a second call may shorten it."""
    for first, second in ((0.2, None), (60.0, 0.2)):
        async with serving() as host, await host.client() as client:
            await client.begin()
            await client.ask("DATA")
            host.server.drain(first)
            if second is not None:
                host.server.drain(second)
            with trio.fail_after(5):
                with contextlib.suppress(trio.BrokenResourceError):
                    assert await client.rest() == b""
            assert host.sessions[0].messages == []
            await host.empty()
            assert host.server.cut == 1


async def test_what_is_cut_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Those that end by themselves are not, nor those that were over before."""
    async with serving() as host, contextlib.AsyncExitStack() as clients:
        gone, idle, one, two = [await clients.enter_async_context(await host.client()) for _ in range(4)]
        await gone.greet()
        await gone.ask("QUIT")
        await idle.greet()
        for busy in (one, two):
            await busy.begin()
            await busy.ask("DATA")
        host.server.drain(0.3)
        assert await idle.rest() == GOODBYE
        await host.empty()
        await until(lambda: "cut" in caplog.text)
        assert host.server.cut == 2
    assert "2 sessions were cut" in caplog.text


async def test_drain_ends_handshakes(tls_context: TlsContext) -> None:
    async with serving(tls_context=tls_context, implicit_tls=True) as host, await host.client() as client:
        await until(lambda: host.server.handshakes)
        host.server.drain()
        assert await client.rest() == b""


async def test_drain_while_the_client_shakes_hands(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    async with serving(Taker, TLS_CONFIG, tls_context=tls_context) as host, await host.client() as client:
        await client.greet()
        await client.ask("STARTTLS")
        await trio.testing.wait_all_tasks_blocked(0.02)
        host.server.drain()
        await client.start_tls(client_tls)
        assert await client.rest() == GOODBYE


async def test_connection_that_comes_while_draining() -> None:
    """It was accepted just before."""
    asked, release = trio.Event(), trio.Event()

    class Late(Taker):
        async def connected(self, peer: Peer) -> Reply | None:
            asked.set()
            await release.wait()
            return None

    async with serving(Late) as host, await host.client() as client:
        await asked.wait()
        host.server.drain()
        left, right = socket.socketpair()
        host.server._let_in(host.server.ports[0], left)
        async with Client(trio.SocketStream(trio.socket.from_stdlib_socket(right))) as late:
            assert await late.rest() == GOODBYE.replace(b"4.3.2 ", b"")
        release.set()
        assert await client.rest() == b"220 mx.example.org ESMTP ready\r\n" + GOODBYE


async def test_cancelled_before_it_began() -> None:
    port = Port(listeners=await listen_tcp("127.0.0.1", 0), config=CONFIG)
    with trio.fail_after(5), trio.CancelScope() as scope:
        scope.cancel()
        await serve([port], Taker)
    assert scope.cancelled_caught
    assert port.listeners[0].socket.fileno() == -1


# --- peers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
    ],
)
def test_plain_address(address: str, plain: str) -> None:
    assert plain_address(address) == plain


async def test_peer_that_has_gone() -> None:
    async with serving() as host:
        lost = socket.socket()
        host.server._let_in(host.server.ports[0], lost)
        assert lost.fileno() == -1
        assert (host.sessions, host.server.connections) == ([], 0)
