"""The PROXY header: demanded of proxies, a command from everybody else."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_play import CONFIG, LOOPBACK, Client, Host, Taker, deliver, serving, until

from smtpcore import STANDARD, EarlyInput, Peer, Reply
from smtpcore._value import evolve
from smtpcore.extensions import STARTTLS
from smtpcore_trio import Admission, Facts, Port, Server, TlsContext, listen_tcp, listen_unix, serve
from smtpcore_trio.observe import BaseObserver, SessionFacts
from smtpcore_trio.proxied import is_proxy

HERE = (ip_network("127.0.0.1/32"),)
HEADER = b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 25\r\n"
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"


def version_2(tlvs: bytes = b"") -> bytes:
    """A header for 192.0.2.7."""
    block = bytes([192, 0, 2, 7, 192, 0, 2, 1]) + (1234).to_bytes(2) + (25).to_bytes(2) + tlvs
    return b"\r\n\r\n\x00\r\nQUIT\n\x21\x11" + len(block).to_bytes(2) + block


def tlv(kind: int, octets: bytes) -> bytes:
    return bytes([kind]) + len(octets).to_bytes(2) + octets


class Noting(BaseObserver):
    def __init__(self) -> None:
        self.refusals: list[tuple[str, str | None]] = []
        self.sessions: list[SessionFacts] = []

    def opened(self, session: SessionFacts) -> None:
        self.sessions.append(session)

    def refused(self, limit: str, peer: Peer, session: SessionFacts | None = None) -> None:
        self.refusals.append((limit, peer.address))


@asynccontextmanager
async def behind_proxy(**options: Any) -> AsyncIterator[Host]:
    """A server to which 127.0.0.1 is a proxy."""
    async with serving(**{"proxies": HERE, **options}) as host:
        yield host


@pytest.mark.parametrize(
    ("header", "address"), [(HEADER, "192.0.2.7"), (version_2(), "192.0.2.7"), (LOCAL, "127.0.0.1")]
)
async def test_header(header: bytes, address: str) -> None:
    """The session hears of the client, not of the proxy; LOCAL is the proxy's own."""
    noting = Noting()
    async with behind_proxy(observer=noting) as host, await host.client() as client:
        await client.send(header)
        assert (await deliver(client)).startswith("250")
        assert host.sessions[0].facts.peer.address == address
        assert noting.sessions[0].peer.address == address


async def test_header_in_pieces() -> None:
    async with behind_proxy() as host, await host.client() as client:
        for at in range(len(HEADER)):
            await client.send(HEADER[at : at + 1])
            await trio.sleep(0.001)
        assert (await deliver(client)).startswith("250")


async def test_octets_behind_the_header() -> None:
    """They are the first of the session, and come before its greeting."""
    config = evolve(CONFIG, early_input=EarlyInput.REPORT)
    async with behind_proxy(config=config) as host, await host.client() as client:
        await client.send(HEADER + b"EHLO a.example\r\n")
        assert (await client.reply()).startswith("220 ")
        assert (await client.reply()).startswith("250")
        assert (await client.ask("MAIL FROM:<a@b.c>")).startswith("250")


async def test_header_before_tls(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    async with behind_proxy(tls_context=tls_context, implicit_tls=True) as host, await host.client() as client:
        await client.send(HEADER)
        await client.start_tls(client_tls)
        assert (await deliver(client)).startswith("250")
        facts = host.sessions[0].facts
        assert (facts.peer.address, facts.tls.version) == ("192.0.2.7", "TLSv1.3")


async def test_proxy_that_ends_tls(tls_context: TlsContext) -> None:
    """What the proxy says of the client's TLS is true of the session, which needs no more of it."""
    tls = tlv(0x20, b"\x01\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x23, b"TLS_AES_128_GCM_SHA256"))
    config = evolve(CONFIG, extensions=(*STANDARD, STARTTLS))
    async with behind_proxy(config=config, tls_context=tls_context) as host, await host.client() as client:
        await client.send(version_2(tls))
        await client.reply()
        assert "STARTTLS" not in await client.ask("EHLO a.example")
        assert host.sessions[0].facts.tls.version == "TLSv1.3"


@pytest.mark.catalogue("F15")
async def test_header_of_a_stranger() -> None:
    """It is a command, and not a good one; nothing of it is believed."""
    async with serving(proxies=(ip_network("192.0.2.0/24"),)) as host, await host.client() as client:
        await client.reply()
        await client.send(HEADER)
        assert (await client.reply()).startswith("500 ")
        assert host.sessions[0].facts.peer.address == "127.0.0.1"


@pytest.mark.parametrize("sent", [b"EHLO a.example\r\n", b"PROXY TCP4 192.0.2.7 x", b""])
async def test_proxy_without_a_header(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "smtpcore_trio")
    async with behind_proxy() as host, await host.client() as client:
        await client.send(sent)
        if not sent:
            await client.transport.send_eof()
        assert await client.rest() == b""
        assert host.sessions == []
    assert caplog.text.count("had no PROXY header") == 1


async def test_header_that_does_not_come(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "smtpcore_trio")
    monkeypatch.setattr("smtpcore_trio.proxied.HEADER_SECONDS", 0.2)
    async with behind_proxy() as host, await host.client() as client:
        await client.send(HEADER[:10])
        assert await client.rest() == b""
        assert (host.sessions, host.server.connections) == ([], 0)
    assert "took too long" in caplog.text


async def test_proxy_that_is_lost() -> None:
    async with behind_proxy() as host:
        async with await host.client() as client:
            await client.send(HEADER[:10])
            await until(lambda: host.server.connections)
            assert isinstance(client.transport, trio.SocketStream)
            client.transport.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: it resets the connection
        await host.empty()
        assert host.sessions == []


async def test_drain_does_not_wait_for_a_header() -> None:
    async with behind_proxy() as host, await host.client() as client:
        await until(lambda: host.server._early)
        host.server.drain()
        assert await client.rest() == b""


async def test_drain_just_before_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    let_in = Server._let_in

    def drain_then(self: Server, *arguments: Any) -> None:
        let_in(self, *arguments)
        self.drain()

    async with behind_proxy() as host, await host.client() as client:
        await until(lambda: host.server._early)
        monkeypatch.setattr(Server, "_let_in", drain_then)
        async with await host.client() as late:
            assert await late.rest() == b""
        assert await client.rest() == b""


# --- admission ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "value"), [("per_address", 2), ("rate", (2, 60.0))])
async def test_limits_of_the_named_address(limit: str, value: Any) -> None:
    """The proxy is held to the limit in total only, whom it speaks for to those of an address."""
    noting = Noting()
    async with (
        behind_proxy(admission=Admission(**{limit: value}), observer=noting) as host,
        await host.client() as one,
        await host.client() as two,
        await host.client() as three,
        await host.client() as other,
    ):
        for client in (one, two):
            await client.send(HEADER)
            await client.greet()
        await three.send(HEADER)
        assert await three.rest() == b"421 Too many connections from your address, try again later\r\n"
        await other.send(HEADER.replace(b"192.0.2.7", b"192.0.2.8"))
        await other.greet()
    assert noting.refusals == [(limit, "192.0.2.7")]


async def test_limit_in_total_is_for_proxies_too() -> None:
    async with behind_proxy(admission=Admission(connections=1)) as host, await host.client() as one:
        await one.send(HEADER)
        await one.greet()
        async with await host.client() as two:
            assert (await two.rest()).startswith(b"421 Too many connections, ")


async def test_handshakes_of_the_named_address(tls_context: TlsContext) -> None:
    admission = Admission(handshakes_per_address=1)
    options: dict[str, Any] = {"tls_context": tls_context, "implicit_tls": True, "admission": admission}
    async with behind_proxy(**options) as host, await host.client() as one, await host.client() as two:
        await one.send(HEADER)
        await until(lambda: host.server.handshakes)
        await two.send(HEADER)
        assert await two.rest() == b""
        assert host.server.handshakes == 1


async def test_exempt_client_of_a_proxy() -> None:
    class Greeter(Taker):
        async def connected(self, peer: Peer) -> Reply | None:
            return None if peer == Peer("127.0.0.9", 1) else Reply(554, "Not you")

    admission = Admission(per_address=1, exempt=(LOOPBACK,))
    header = b"PROXY TCP4 127.0.0.9 127.0.0.1 1 25\r\n"
    async with (
        serving(Greeter, proxies=HERE, admission=admission) as host,
        await host.client() as one,
        await host.client() as two,
    ):
        for client in (one, two):
            await client.send(header)
            await client.greet()


# --- by a Unix socket ---------------------------------------------------------------------------------


@asynccontextmanager
async def behind_local_proxy(path: Path, **options: Any) -> AsyncIterator[list[Taker]]:
    """A server with a TCP and a Unix socket; by the latter come proxies."""
    sessions: list[Taker] = []

    def make(facts: Facts) -> Taker:
        sessions.append(Taker(facts))
        return sessions[-1]

    listeners = (*listen_unix(path), *await listen_tcp("127.0.0.1", 0))
    port = Port(listeners=listeners, config=CONFIG, unix_proxies=True, name="mx")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(partial(serve, [port], make, **options))
            yield sessions
            server.drain(0)


@pytest.mark.parametrize(
    ("header", "address"),
    [(HEADER, "192.0.2.7"), (version_2(), "192.0.2.7"), (LOCAL, None), (b"PROXY UNKNOWN\r\n", None)],
)
async def test_header_by_a_unix_socket(header: bytes, address: str | None, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with behind_local_proxy(path) as sessions, Client(await trio.open_unix_socket(str(path))) as client:
        await client.send(header)
        assert (await deliver(client)).startswith("250")
        assert sessions[0].facts.peer.address == address


async def test_limits_of_the_named_address_by_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    noting = Noting()
    async with (
        behind_local_proxy(path, admission=Admission(per_address=1), observer=noting),
        Client(await trio.open_unix_socket(str(path))) as one,
        Client(await trio.open_unix_socket(str(path))) as two,
    ):
        await one.send(HEADER)
        await one.greet()
        await two.send(HEADER)
        assert (await two.rest()).startswith(b"421 Too many connections from your address")
    assert noting.refusals == [("per_address", "192.0.2.7")]


async def test_no_header_by_a_unix_socket(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is demanded there."""
    caplog.set_level("INFO", "smtpcore_trio")
    path = tmp_path / "socket"
    async with behind_local_proxy(path) as sessions, Client(await trio.open_unix_socket(str(path))) as client:
        await client.send(b"EHLO a.example\r\n")
        with contextlib.suppress(trio.BrokenResourceError):
            assert await client.rest() == b""
        assert sessions == []
    assert caplog.text.count("a connection from a Unix socket to mx had no PROXY header: ") == 1


async def test_unix_proxies_are_no_others(tmp_path: Path) -> None:
    """Nobody who has an address is one by that; nor is who comes by another port's Unix socket."""
    (listener,) = await listen_tcp("127.0.0.1", 0)
    with pytest.raises(ValueError, match="a Unix socket"):
        Port(listeners=(listener,), config=CONFIG, unix_proxies=True)
    with_both = Port(listeners=(listener, *listen_unix(tmp_path / "x")), config=CONFIG, unix_proxies=True, proxies=HERE)
    without = Port(listeners=with_both.listeners, config=CONFIG, proxies=HERE)
    peers = Peer(None), Peer("127.0.0.1"), Peer("192.0.2.1")
    assert [is_proxy(with_both, peer) for peer in peers] == [True, True, False]
    assert [is_proxy(without, peer) for peer in peers] == [False, True, False]
    for each in with_both.listeners:
        await each.aclose()
