"""What the benchmarks drive: the engine, and aiosmtpd with its socket taken away.

Both get the same octets in the same pieces, and both say yes to everything.
"""

import asyncio
import warnings
from collections.abc import Callable
from typing import Any

from aiosmtpd import smtp

from smtpcore import BodyChunk, EarlyInput, Limits, Peer, ServerConfig, ServerConnection, Wait

_CONFIG = ServerConfig(
    hostname="mx.example.org",
    limits=Limits(junk_commands=1 << 30, recipients=1 << 30),
    early_input=EarlyInput.REPORT,
)
_DATA, _SEND, _REPLY = Wait.DATA, Wait.SEND, Wait.REPLY

Feed = Callable[[bytes], None]


def engine() -> Feed:
    """A session with the engine that has been greeted; feed it what the client sends."""
    connection = ServerConnection(_CONFIG, peer=Peer("192.0.2.1"))
    next_event, accept = connection.next_event, connection.accept

    def flush() -> None:
        connection.data_to_send(0.0)
        connection.data_sent(0.0)

    def pump() -> None:
        event = None
        while True:
            last, event = event, next_event()
            if event is _DATA:
                break
            if event is _SEND:
                flush()
            elif event is _REPLY:
                accept(last)  # type: ignore[arg-type]
            elif type(event) is not BodyChunk and hasattr(event, "path"):
                accept(event)  # type: ignore[arg-type]
        flush()

    def feed(data: bytes) -> None:
        connection.receive_data(data, 0.0)
        pump()

    pump()
    feed(b"EHLO client.example\r\n")
    return feed


class _Transport(asyncio.Transport):
    """Counts the replies that are written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.replies = 0
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.replies += sum(line[3:4] == b" " for line in bytes(data).split(b"\r\n"))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 25) if name == "peername" else default

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Sink:
    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        return "250 OK"


class Aiosmtpd:
    """A session with aiosmtpd, fed as the engine is; it runs until *replies* more were written."""

    def __init__(self) -> None:
        warnings.simplefilter("ignore")
        self.loop = asyncio.new_event_loop()
        self.transport = _Transport()
        self.loop.run_until_complete(self._connect())
        self.feed(b"EHLO client.example\r\n", 1)

    async def _connect(self) -> None:
        self.server = smtp.SMTP(_Sink(), loop=self.loop, data_size_limit=None, command_call_limit=1 << 30)
        self.server.connection_made(self.transport)
        await self._until(1)

    async def _until(self, replies: int) -> None:
        for _ in range(1_000_000):
            if self.transport.replies >= replies:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{self.transport.replies} replies, not {replies}")

    def feed(self, data: bytes, replies: int) -> None:
        """Feed *data* and wait for *replies*."""
        wanted = self.transport.replies + replies
        self.server.data_received(data)
        self.loop.run_until_complete(self._until(wanted))

    def close(self) -> None:
        """End the session's task and the loop."""
        task = self.server._handler_coroutine
        assert task is not None
        task.cancel()
        self.loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        self.transport.close()
        self.loop.close()
