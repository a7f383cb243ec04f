"""Transports, over real sockets."""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from smtpcore_trio import TlsContext, _transport
from smtpcore_trio._transport import SocketTransport, TlsTransport, Transport

Pair = tuple[SocketTransport, socket.socket]


@pytest.fixture(params=["unix", "tcp"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A transport, and the blocking socket at its other end."""
    if request.param == "unix":
        here, there = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            there = socket.create_connection(listening.getsockname())
            here, _ = listening.accept()
    with here, there:
        there.settimeout(10)
        yield SocketTransport(here), there


async def test_octets(pair: Pair) -> None:
    transport, there = pair
    there.sendall(b"hello")
    assert await transport.receive() == b"hello"
    await transport.send_all(b"hi")
    assert there.recv(100) == b"hi"
    there.shutdown(socket.SHUT_WR)
    assert await transport.receive() == b""
    await transport.end()
    assert there.recv(100) == b""


async def test_more_than_fits(pair: Pair) -> None:
    transport, there = pair
    octets = bytes(range(256)) * 40_000 + b"tail"
    received = bytearray()

    def read() -> None:
        while len(received) < len(octets):
            received.extend(there.recv(1_000_000))

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            assert not transport.put(octets[:-4])
            nursery.start_soon(transport.send_all, octets[-4:])
            await trio.testing.wait_all_tasks_blocked()
            await trio.to_thread.run_sync(read)
    assert bytes(received) == octets


async def test_receiving_lets_others_run(pair: Pair) -> None:
    """However much there is to read."""
    transport, there = pair
    ran = 0

    async def other() -> None:
        nonlocal ran
        while True:
            await trio.lowlevel.checkpoint()
            ran += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(100):
            there.sendall(b"x" * 1000)
            await transport.receive()
        nursery.cancel_scope.cancel()
    assert ran > 50


@pytest.mark.parametrize("act", ["receive", "send"])
async def test_wake(pair: Pair, act: str) -> None:
    transport, there = pair
    transport.wake()  # nobody waits: nothing happens
    ended = False

    async def wait() -> None:
        nonlocal ended
        with pytest.raises(trio.ClosedResourceError):
            await (transport.receive() if act == "receive" else transport.send_all(b"x" * 50_000_000))
        ended = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        transport.wake()
    assert ended
    if act == "receive":  # and it can be used as before
        there.sendall(b"x")
        assert await transport.receive() == b"x"


class Moody(socket.socket):
    """Says that there is something to read, and then that there is not."""

    alarms = 1

    def recv(self, size: int, flags: int = 0) -> bytes:
        self._may_alarm()
        return super().recv(size, flags)

    def send(self, octets: Any, flags: int = 0) -> int:
        self._may_alarm()
        return super().send(octets, flags)

    def _may_alarm(self) -> None:
        if self.alarms:
            self.alarms -= 1
            raise BlockingIOError


async def test_false_alarm() -> None:
    here, there = socket.socketpair()
    with there, Moody(fileno=here.detach()) as moody:
        there.sendall(b"x")
        assert await SocketTransport(moody).receive() == b"x"
        moody.alarms = 2  # when it is put, and once more
        await SocketTransport(moody).send_all(b"y")
        assert there.recv(100) == b"y"


async def test_lost_while_it_drains() -> None:
    here, there = socket.socketpair()
    with here, there:
        transport = SocketTransport(here)
        assert not transport.put(bytes(10_000_000))
        assert not transport.put(b"more")
        there.close()
        with pytest.raises(trio.BrokenResourceError):
            await transport.drain()


async def test_unread(pair: Pair) -> None:
    transport, there = pair
    there.sendall(b"later")
    transport.unread(b"first")
    assert [await transport.receive(), await transport.receive()] == [b"first", b"later"]


@pytest.mark.parametrize("pair", ["tcp"], indirect=True)
async def test_reset(pair: Pair) -> None:
    transport, there = pair
    with contextlib.suppress(BlockingIOError):
        while True:
            transport.socket.send(b"x" * 65536)
    transport.close(reset=True)

    def read_all() -> None:
        while there.recv(65536):
            pass

    with pytest.raises(ConnectionResetError):
        read_all()


@pytest.mark.parametrize("pair", ["tcp"], indirect=True)
async def test_lost(pair: Pair) -> None:
    transport, there = pair
    there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _transport._RESET)
    there.close()
    with pytest.raises(trio.BrokenResourceError):
        await transport.receive()
    with pytest.raises(trio.BrokenResourceError):
        await transport.send_all(b"x")
    with pytest.raises(trio.BrokenResourceError):
        await transport.end()


async def test_acknowledging(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    transport, _ = pair
    transport.acknowledge_at_once()
    monkeypatch.setattr(_transport, "_QUICKACK", None)
    transport.acknowledge_at_once()


# --- TLS ----------------------------------------------------------------------------------------------


class Tls:
    """Both ends of a connection through TLS; the client's in a blocking socket."""

    def __init__(self, transport: TlsTransport, client: ssl.SSLSocket, plain: socket.socket) -> None:
        self.transport = transport
        self.client = client
        self.plain = plain


@contextlib.asynccontextmanager
async def shaken(pair: Pair, ours: TlsContext, theirs: ssl.SSLContext) -> AsyncIterator[Tls]:
    transport, there = pair
    clients: list[ssl.SSLSocket] = []

    def client() -> None:
        clients.append(theirs.wrap_socket(there, server_hostname="localhost", suppress_ragged_eofs=False))

    above = TlsTransport(transport, ours.context)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, client)
            await above.shake_hands()
        with clients[0]:
            yield Tls(above, clients[0], there)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls(pair: Pair, tls_context: TlsContext, client_tls: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    client_tls.maximum_version = version
    async with shaken(pair, tls_context, client_tls) as tls:
        assert tls.transport.tls.version() == version.name.replace("_", ".")
        tls.client.sendall(b"hello")
        assert await tls.transport.receive() == b"hello"
        await tls.transport.send_all(b"hi")
        assert tls.client.recv(100) == b"hi"
        await tls.transport.end()
        assert tls.client.recv(100) == b""  # with a close_notify, since ragged ends are errors here


@pytest.mark.catalogue("G10")
async def test_records_come_together(pair: Pair, tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    async with shaken(pair, tls_context, client_tls) as tls:
        for _ in range(50):
            tls.client.sendall(b"x")
        reads = [len(await tls.transport.receive())]
        while sum(reads) < 50:
            reads.append(len(await tls.transport.receive()))
        assert len(reads) < 5


async def test_a_read_is_bounded(pair: Pair, tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    octets = bytes(range(256)) * 4000
    async with shaken(pair, tls_context, client_tls) as tls:
        received = b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.to_thread.run_sync, tls.client.sendall, octets))
            while len(received) < len(octets):
                piece = await tls.transport.receive()
                assert 0 < len(piece) < 65536 + 16384
                received += piece
        assert received == octets


@pytest.mark.catalogue("C8")
@pytest.mark.parametrize("polite", [False, True])
async def test_end_of_the_stream(pair: Pair, tls_context: TlsContext, client_tls: ssl.SSLContext, polite: bool) -> None:
    async with shaken(pair, tls_context, client_tls) as tls:
        tls.client.sendall(b"last words")
        if polite:
            with contextlib.suppress(TimeoutError):
                tls.client.settimeout(0.1)
                tls.client.unwrap()
        else:
            tls.client.shutdown(socket.SHUT_WR)
        received = b""
        while octets := await tls.transport.receive():
            received += octets
        assert received == b"last words"
        assert await tls.transport.receive() == b""


async def test_broken_record(pair: Pair, tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    """What came before it is handed out; it is the end of the stream."""
    async with shaken(pair, tls_context, client_tls) as tls:
        tls.client.sendall(b"good")
        raw = socket.socket(fileno=tls.client.detach())
        with raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            received = b""
            while octets := await tls.transport.receive():
                received += octets
            assert received == b"good"
            with pytest.raises(trio.BrokenResourceError):
                await tls.transport.send_all(b"x")


async def test_wake_through_tls(pair: Pair, tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    async with shaken(pair, tls_context, client_tls) as tls, trio.open_nursery() as nursery:
        nursery.start_soon(wake_soon, tls.transport)
        with pytest.raises(trio.ClosedResourceError):
            await tls.transport.receive()
        tls.transport.close()


async def wake_soon(transport: Transport) -> None:
    await trio.testing.wait_all_tasks_blocked()
    transport.wake()


async def test_failed_handshake_is_told(pair: Pair, tls_context: TlsContext) -> None:
    """By an alert, so that the client knows why."""
    transport, there = pair
    there.sendall(b"\x16\x03\x01\x00\x05hello")
    with pytest.raises(trio.BrokenResourceError):
        await TlsTransport(transport, tls_context.context).shake_hands()
    assert there.recv(100)[:1] == b"\x15"


async def test_end_of_the_stream_in_a_handshake(pair: Pair, tls_context: TlsContext) -> None:
    transport, there = pair
    there.close()
    with pytest.raises(trio.BrokenResourceError):
        await TlsTransport(transport, tls_context.context).shake_hands()


# --- what has come -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [b"x", b"", None])
async def test_quiet(pair: Pair, what: bytes | None) -> None:
    transport, there = pair
    assert transport.quiet()
    if what:
        there.sendall(what)
    else:
        if what is None:
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        there.close()
    assert not transport.quiet()
    if what:
        assert await transport.receive() == what
        assert transport.quiet()


async def test_tls_is_quiet(pair: Pair, client_tls: ssl.SSLContext) -> None:
    transport, there = pair
    above = TlsTransport(transport, client_tls, "localhost")
    assert above.quiet()
    there.sendall(b"x")
    assert not above.quiet()
