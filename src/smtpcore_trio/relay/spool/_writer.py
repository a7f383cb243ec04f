"""A message that is being received."""

import contextlib
import enum
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import trio

from ._entry import SpoolFailed, id_of
from ._rows import content_digest
from ._store import Store
from ._system import sync_directory, write_all

PIECE_OCTETS: Final = 262_144


class Stage(enum.Enum):
    """What becomes of what is written."""

    OPEN = enum.auto()
    SETTLED = enum.auto()
    GONE = enum.auto()


class Writer:
    """Content on its way into the spool, for one task, and for use by ``async with``.

    What is not committed when the block ends is gone. Memory: the larger of 256 KiB and ``inline_octets``, and the
    octets that are written at a time.

    Attributes:
        id: of the message.
        octets: of the content so far.
        is_filed: whether they are in a file.
    """

    def __init__(self, store: Store, limiter: trio.CapacityLimiter, number: int, tell: Callable[[], None]) -> None:
        self.number = number
        self.id = id_of(number)
        self.octets = 0
        self._store = store
        self._limiter = limiter
        self._tell = tell
        self._stage = Stage.OPEN
        self._buffer = bytearray()
        self._file = -1
        self.is_filed = False
        self._most = store.settings.inline_octets

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.discard()

    @property
    def content(self) -> bytearray:
        """The content that is not in a file."""
        return self._buffer

    def check(self) -> None:
        """Find the writer in use, and the spool at work.

        Raises:
            RuntimeError: it has been committed or discarded.
            SpoolFailed: nothing is taken any more.
        """
        if self._stage is not Stage.OPEN:
            raise RuntimeError("the message is committed, or gone")
        if self._store.failure is not None:
            raise SpoolFailed(str(self._store.failure))

    async def write(self, octets: bytes) -> None:
        """Put *octets* behind what there is.

        Raises:
            SpoolError: they cannot be stored; the message is gone.
        """
        self.check()
        self._buffer += octets
        self.octets += len(octets)
        if len(self._buffer) > self._most:
            await self._in_thread(self._spill)

    async def settle(self) -> bytes:
        """Give the content its final place: a file is durable under its name after this.

        Returns:
            The digest of what is in a file; else nothing.

        Raises:
            SpoolError: it cannot be stored; the message is gone.
        """
        self.check()
        if self.is_filed:
            await self._in_thread(self._settle)
        self._stage = Stage.SETTLED
        return self._digest.digest() if self.is_filed else b""

    async def undo(self) -> None:
        """Remove content that was settled, and has no row."""
        if self.is_filed:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._remove, limiter=self._limiter)

    async def discard(self) -> None:
        """Forget what there is, unless it is settled."""
        if self._stage is Stage.OPEN:
            self._stage = Stage.GONE
            self._buffer = bytearray()
            await self.undo()

    async def _in_thread(self, work: Callable[[], None]) -> None:
        try:
            await trio.to_thread.run_sync(work, limiter=self._limiter)
        except OSError as error:
            refused = self._store.blame(error)
            self._tell()
            await self.discard()
            raise refused from error

    # --- in a thread ---------------------------------------------------------------------------------

    def _spill(self) -> None:
        system = self._store.system
        self._store.require(len(self._buffer))
        if not self.is_filed:
            self._incoming = self._store.incoming / self.id
            self._body = self._store.body(self.number)
            self._digest = content_digest()
            self._file = system.create(self._incoming)
            self.is_filed = True
            self._most = max(self._most, PIECE_OCTETS)
        write_all(system, self._file, self._buffer)
        self._digest.update(self._buffer)
        self._buffer.clear()

    def _settle(self) -> None:
        system = self._store.system
        self._spill()
        # An error here means that the kernel has given up on the octets: to sync again would find nothing to do, and
        # report success.
        system.sync(self._file)
        self._close()
        self._store.shard(self._body)
        system.rename(self._incoming, self._body)
        sync_directory(system, self._body.parent)

    def _close(self) -> None:
        if self._file >= 0:
            file, self._file = self._file, -1
            self._store.system.close(file)

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._close()
        for path in (self._incoming, self._body):
            with contextlib.suppress(OSError):  # the next start removes it
                self._store.system.unlink(path)
