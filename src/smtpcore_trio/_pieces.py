"""A message that a client sends, in the pieces that it gives to the engine."""

import io
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO, Final

import trio

BLOCK_OCTETS: Final = 65536
"""Of a message that are given to the engine at a time."""

Message = bytes | BinaryIO | AsyncIterator[bytes]
"""The octets of a message: all of them, a file open for reading, or as they come."""


class Pieces:
    """A message, in pieces that are worth a write each."""

    __slots__ = ("_in_memory", "_iterator", "_read", "octets")

    def __init__(self, message: Message) -> None:
        self.octets = 0  # that were given to the engine
        self._iterator: AsyncIterator[bytes] | None = None
        self._read: Callable[[int], bytes] | None = None
        self._in_memory = isinstance(message, bytes | io.BytesIO)
        if isinstance(message, bytes):
            self._read = io.BytesIO(message).read
        elif isinstance(message, AsyncIterator):
            self._iterator = message
        else:
            self._read = message.read

    async def next(self) -> tuple[bytes, bool]:
        """A piece, and whether it is the last: an end that is known beforehand needs no write of its own."""
        if self._iterator is not None:
            try:
                return await anext(self._iterator), False
            except StopAsyncIteration:
                return b"", True
        assert self._read is not None
        if self._in_memory:
            octets = self._read(BLOCK_OCTETS)
            return octets, len(octets) < BLOCK_OCTETS
        octets = await trio.to_thread.run_sync(self._read, BLOCK_OCTETS)
        return octets, not octets
