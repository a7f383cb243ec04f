"""A message that is read again."""

import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

import trio

from ._entry import Corrupt, Entry, NoSuchMessage, SpoolError, id_of
from ._rows import Unreadable, content_digest, entry_of
from ._store import Store, refusal
from ._system import Row

PIECE_OCTETS: Final = 65_536


class Reader:
    """A message, for use by ``async with``; inside, ``async for`` gives its octets: the prefix, then the content.

    They are those that were kept only when the loop has ended: until then nobody may take the message for whole.

    Attributes:
        entry: of the message, from the beginning of the block on.

    Raises (at the beginning, or in the loop):
        NoSuchMessage: there is none.
        Corrupt: it is not what was kept, and was set aside.
        SpoolError: the disk does not let it be read.
    """

    entry: Entry

    def __init__(
        self,
        store: Store,
        limiter: trio.CapacityLimiter,
        number: int,
        look: Callable[[int], Awaitable[Row | None]],
        reject: Callable[[int, str], Awaitable[None]],
    ) -> None:
        self._store = store
        self._limiter = limiter
        self._number = number
        self._look = look
        self._reject = reject
        self._file = -1
        self._pieces: list[bytes] = []
        self._digest = content_digest()
        self._octets = 0

    async def __aenter__(self) -> Self:
        row = await self._look(self._number)
        if row is None:
            raise NoSuchMessage(id_of(self._number))
        try:
            self.entry = entry_of(row)
        except Unreadable as error:
            await self._fail(str(error))
        content = row[-1]
        if content is None:
            await self._open()
            self._pieces = [self.entry.prefix] if self.entry.prefix else []
        else:
            self._count(content)
            await self._check()
            whole = self.entry.prefix + content
            cuts = range(0, len(whole), PIECE_OCTETS)
            self._pieces = [whole[cut : cut + PIECE_OCTETS] for cut in reversed(cuts)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pieces = []
        if self._file >= 0:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._close, limiter=self._limiter)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._pieces:
            return self._pieces.pop()
        if self._file >= 0:
            try:
                octets = await trio.to_thread.run_sync(self._read, limiter=self._limiter)
            except OSError as error:
                raise self._unread(error) from error
            if octets:
                self._count(octets)
                return octets
            await self._check()
        raise StopAsyncIteration

    def _read(self) -> bytes:
        return self._store.system.read(self._file, PIECE_OCTETS)

    def _close(self) -> None:
        file, self._file = self._file, -1
        with contextlib.suppress(OSError):  # all that was wanted has been read
            self._store.system.close(file)

    async def _open(self) -> None:
        try:
            self._file = await trio.to_thread.run_sync(
                self._store.system.open, self._store.body(self._number), limiter=self._limiter
            )
        except FileNotFoundError:
            await self._fail("its file is missing")
        except OSError as error:
            raise self._unread(error) from error

    def _unread(self, error: OSError) -> SpoolError:
        # What cannot be read now says nothing of what can be written; the message stays.
        return SpoolError(f"{id_of(self._number)} cannot be read: {refusal(error)}")

    def _count(self, octets: bytes) -> None:
        self._octets += len(octets)
        self._digest.update(octets)

    async def _check(self) -> None:
        if self._octets != self.entry.octets:
            await self._fail(f"its content has {self._octets} octets, not {self.entry.octets}")
        if self._digest.digest() != self.entry.digest:
            await self._fail("its content has changed")

    async def _fail(self, reason: str) -> None:
        await self._reject(self._number, reason)
        raise Corrupt(f"{id_of(self._number)}: {reason}")
