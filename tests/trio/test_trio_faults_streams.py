"""Transports, put to the tests that Trio has for streams."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from fault_play import nothing_left

from smtpcore_trio._timed import LoneTransport
from smtpcore_trio._transport import SocketTransport, TlsTransport, Transport


class TransportStream(trio.abc.HalfCloseableStream):
    """A transport as a stream: what a stream promises beyond it is added here.

    That is a checkpoint in every call, an error for a second task at the same end or for a use after the end, and
    what comes of ``max_bytes``.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._read = b""
        self._busy: set[str] = set()
        self._closed = False
        self._ended = False

    @contextmanager
    def _alone(self, side: str) -> Iterator[None]:
        if side in self._busy:
            raise trio.BusyResourceError
        if self._closed or (side == "send" and self._ended):
            raise trio.ClosedResourceError
        self._busy.add(side)
        try:
            yield
        finally:
            self._busy.discard(side)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        with self._alone("send"):
            await self._transport.send_all(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()
        with self._alone("send"):
            pass

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if not isinstance(max_bytes, int | None):
            raise TypeError(max_bytes)
        if max_bytes is not None and max_bytes < 1:
            raise ValueError(max_bytes)
        await trio.lowlevel.checkpoint()
        with self._alone("receive"):
            octets = self._read or await self._transport.receive()
        size = len(octets) if max_bytes is None else max_bytes
        self._read = octets[size:]
        return octets[:size]

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        if not self._ended:
            with self._alone("send"):
                self._ended = True
                await self._transport.end()

    async def aclose(self) -> None:
        closed, self._closed = self._closed, True
        try:
            await trio.lowlevel.checkpoint()
            if not (closed or self._ended or "send" in self._busy):
                await self._transport.end()
        except trio.BrokenResourceError:
            pass
        finally:
            if not closed:
                self._transport.wake()
                self._transport.close()


def connected(family: str) -> tuple[socket.socket, socket.socket]:
    if family == "unix":
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        there = socket.create_connection(listening.getsockname())
        return listening.accept()[0], there


@pytest.mark.parametrize("kind", [SocketTransport, LoneTransport])
@pytest.mark.parametrize("family", ["tcp", "unix"])
async def test_socket_as_a_stream(family: str, kind: type[SocketTransport]) -> None:
    async def make() -> tuple[TransportStream, TransportStream]:
        here, there = connected(family)
        return TransportStream(kind(here)), TransportStream(kind(there))

    with trio.fail_after(20):
        async with nothing_left():
            await trio.testing.check_half_closeable_stream(make, None)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_as_a_stream(
    version: ssl.TLSVersion, certificate_files: tuple[Path, Path], client_tls: ssl.SSLContext
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate_files)
    # To close a socket without having read them resets the connection.
    context.num_tickets = 0
    client_tls.maximum_version = client_tls.minimum_version = version

    async def make() -> tuple[TransportStream, TransportStream]:
        here, there = connected("tcp")
        server = TlsTransport(SocketTransport(here), context)
        client = TlsTransport(SocketTransport(there), client_tls, "mx.example.org")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.shake_hands)
            nursery.start_soon(client.shake_hands)
        return TransportStream(server), TransportStream(client)

    with trio.fail_after(20):
        async with nothing_left():
            await trio.testing.check_two_way_stream(make, None)
