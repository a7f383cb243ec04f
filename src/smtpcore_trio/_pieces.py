"""A message that a client sends, in the pieces that it gives to the engine."""

import io
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO, Final

import trio

BLOCK_OCTETS: Final = 65536
"""Of a message that are given to the engine at a time."""

Message = bytes | BinaryIO | AsyncIterator[bytes]
"""The octets of a message: all of them, a file open for reading, or as they come."""


def checked(message: BinaryIO) -> BinaryIO:
    """*message*, which is to be a file.

    Raises:
        TypeError: it is nothing of what can be sent.
    """
    if not hasattr(message, "read"):
        hint = ": send message.as_bytes(policy=email.policy.SMTP)" if hasattr(message, "as_bytes") else ""
        kind = type(message).__name__
        raise TypeError(f"a message is octets, a file or an asynchronous iterator of octets, not {kind}{hint}")
    return message


class Pieces:
    """A message, in pieces that are worth a write each."""

    __slots__ = ("_in_memory", "_iterator", "_read", "octets", "whole")

    def __init__(self, message: Message) -> None:
        self.octets = 0  # that were given to the engine
        self.whole: bytes | None = None
        """All of it, where that is one piece, and nothing has to be waited for."""
        self._iterator: AsyncIterator[bytes] | None = None
        self._read: Callable[[int], bytes] | None = None
        self._in_memory = isinstance(message, bytes | io.BytesIO)
        if isinstance(message, bytes):
            if len(message) < BLOCK_OCTETS:
                self.whole = message
            else:
                self._read = io.BytesIO(message).read
        elif isinstance(message, AsyncIterator):
            self._iterator = message
        else:
            self._read = checked(message).read

    async def next(self) -> tuple[bytes, bool]:
        """A piece, and whether it is the last: an end that is known beforehand needs no write of its own."""
        if self.whole is not None:
            return self.whole, True
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
