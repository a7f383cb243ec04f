"""Transports that a hub watches, and somebody who waits for them."""

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import trio
import trio.testing

from smtpcore_trio._hub import Hub, WatchedTransport


@contextlib.contextmanager
def connected(hub: Hub, kind: str = "tcp") -> Iterator[tuple[WatchedTransport, socket.socket]]:
    """A transport, and the blocking socket at its other end."""
    if kind == "unix":
        here, there = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            there = socket.create_connection(listening.getsockname())
            here, _ = listening.accept()
            there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    there.settimeout(10)
    with there, contextlib.closing(WatchedTransport(here, hub)) as transport:
        yield transport, there


class Reader:
    """Lets a transport go on, to the end of the stream or until `enough`; `read` is what came."""

    def __init__(self, transport: WatchedTransport, enough: float = float("inf")) -> None:
        self.transport = transport
        self.enough = enough
        self.read: list[bytes] = []
        self.calls = 0
        self.error: Exception | None = None
        self.over = trio.Event()

    def advance(self) -> bool:
        self.calls += 1
        octets = self.transport.receive_now()
        if octets is None:
            return False
        self.read.append(octets)
        return not octets or sum(map(len, self.read)) >= self.enough

    async def run(self) -> None:
        try:
            await self.transport.until(self.advance)
        except Exception as error:
            self.error = error
        self.over.set()


@contextlib.asynccontextmanager
async def reading(transport: WatchedTransport, enough: float = float("inf")) -> AsyncIterator[Reader]:
    """A reader that waits already, and is to be over at the end."""
    reader = Reader(transport, enough)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.run)
        await trio.testing.wait_all_tasks_blocked()
        yield reader
        await reader.over.wait()


async def heard(reader: Reader, count: int) -> None:
    """Wait until so many octets have come."""
    for _ in range(1000):
        if sum(map(len, reader.read)) >= count:
            return
        await trio.sleep(0.01)
    raise TimeoutError(reader.read)


async def send_soon(there: socket.socket, octets: bytes) -> None:
    """Send *octets* when everybody waits."""
    await trio.testing.wait_all_tasks_blocked()
    there.sendall(octets)
