"""TLS over sockets that a hub watches."""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from functools import partial

import pytest
import trio
import trio.testing
from hub_play import connected

from smtpcore_trio import TlsContext
from smtpcore_trio._hub import Hub, WatchedTransport
from smtpcore_trio._transport import READ_OCTETS, TlsTransport

Shaken = tuple[TlsTransport, ssl.SSLSocket]


@pytest.fixture
async def shaken(hub: Hub, tls_context: TlsContext, client_tls: ssl.SSLContext) -> AsyncIterator[Shaken]:
    clients: list[ssl.SSLSocket] = []

    def client() -> None:
        clients.append(client_tls.wrap_socket(there, server_hostname="localhost"))

    with connected(hub) as (below, there):
        above = TlsTransport(below, tls_context.context)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, client)
            await above.shake_hands()
        with clients[0]:
            yield above, clients[0]


async def test_octets_and_the_end(shaken: Shaken) -> None:
    above, client = shaken
    for size in (1, READ_OCTETS, 300_000):
        octets = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        received = b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.to_thread.run_sync, client.sendall, octets))
            while len(received) < size:
                received += await above.receive()
        assert received == octets
        await above.send_all(b"hi")
        assert client.recv(100) == b"hi"
    client.sendall(b"last words")
    client.close()
    received = b""
    while octets := await above.receive():
        received += octets
    assert received == b"last words"
    assert await above.receive() == b""


async def test_more_than_fits(shaken: Shaken) -> None:
    above, client = shaken
    octets = bytes(range(256)) * 40_000
    received = bytearray()

    def read() -> None:
        while len(received) < len(octets):
            received.extend(client.recv(1_000_000))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(above.send_all, octets)
        await trio.testing.wait_all_tasks_blocked()
        await trio.to_thread.run_sync(read)
    assert bytes(received) == octets


async def test_wake(shaken: Shaken) -> None:
    above, client = shaken
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wake_soon, above)
        with pytest.raises(trio.ClosedResourceError):
            await above.receive()
    client.sendall(b"x")
    assert await above.receive() == b"x"


async def wake_soon(transport: TlsTransport) -> None:
    await trio.testing.wait_all_tasks_blocked()
    transport.wake()


class Supplied(WatchedTransport):
    """Has so much to read as it is given, each piece at once."""

    def __init__(self, connected: socket.socket, hub: Hub) -> None:
        super().__init__(connected, hub)
        self.supply: list[bytes] = []

    def receive_now(self) -> bytes | None:
        if not self.supply:
            return super().receive_now()
        self._ready = True
        return self.supply.pop(0)


class Turns(trio.abc.Instrument):
    """How often somebody went on in each turn of any task."""

    def __init__(self) -> None:
        self.counts = [0]

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.counts.append(0)


async def test_flood_leaves_others_their_turn(hub: Hub, tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    """Reads that are always full, and of which each leaves a part of a record to the next."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_tls.wrap_bio(incoming, outgoing, server_hostname="localhost")
    here, there = socket.socketpair()
    with there, contextlib.closing(Supplied(here, hub)) as below:
        above = TlsTransport(below, tls_context.context)
        for _ in range(3):
            for end in (client, above.tls):
                with contextlib.suppress(ssl.SSLWantReadError):
                    end.do_handshake()
                if end is client:
                    above._incoming.write(outgoing.read())
                else:
                    incoming.write(above._outgoing.read())
        for _ in range(400):
            client.write(bytes(16384))
        octets = outgoing.read()
        turns = Turns()
        read = 0

        def advance() -> bool:
            nonlocal read
            turns.counts[-1] += 1
            read += len(above.receive_now() or b"")
            return read >= 400 * 16384

        async def supply() -> None:
            await trio.testing.wait_all_tasks_blocked()
            below.supply = [octets[at : at + READ_OCTETS] for at in range(0, len(octets), READ_OCTETS)]
            there.send(b"x")

        trio.lowlevel.add_instrument(turns)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supply)
            await above.until(advance)
        trio.lowlevel.remove_instrument(turns)
    assert sum(turns.counts) > 90
    assert max(turns.counts) <= 2  # as it has been told of, and as it had been ready
