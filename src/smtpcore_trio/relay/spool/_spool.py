"""The spool: messages that were acknowledged, until their last recipient is done with."""

import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

import trio

from smtpcore import Envelope

from ._commits import Committer
from ._entry import (
    Alert,
    Entry,
    Free,
    NoSuchMessage,
    Numbers,
    RecipientState,
    SpoolError,
    SpoolFailed,
    SpoolSettings,
    number_of,
)
from ._jobs import Drop, Insert, Record
from ._reader import Reader
from ._recovery import recover, set_aside
from ._rows import Unreadable, by_message, entry_of, states_of
from ._store import Store
from ._system import Row, System
from ._writer import Writer

_T = TypeVar("_T")
Kept = tuple[Entry, tuple[RecipientState, ...]]


def _unheard(alert: Alert) -> None:
    pass


class Spool:
    """Messages on the disk; made by `open_spool`."""

    def __init__(self, store: Store, alert: Callable[[Alert], None], now: Callable[[], float]) -> None:
        self._store = store
        self._alert = alert
        self._now = now
        self._numbers = Numbers(store.last)
        self._random = random.Random()
        self._files = trio.CapacityLimiter(store.settings.threads)
        self._index = trio.CapacityLimiter(1)
        self._commits = Committer(store, self._tell)

    @property
    def failure(self) -> str | None:
        """Why nothing is taken any more, None while all is well."""
        return None if self._store.failure is None else str(self._store.failure)

    def free(self) -> Free:
        """What is left on the disk.

        Raises:
            SpoolError: it does not say.
        """
        try:
            space = self._store.system.space(self._store.path)
        except OSError as error:
            raise SpoolError(str(error)) from error
        # File systems that make inodes as they go have none to count.
        return Free(octets=space.f_bavail * space.f_frsize, inodes=space.f_favail if space.f_files else None)

    def has_room(self, octets: int) -> bool:
        """Whether a message of so many octets may be taken: for 452 4.3.1 before MAIL is accepted."""
        if self._store.failure is not None:
            return False
        try:
            free = self.free()
        except SpoolError:
            return False
        settings = self._store.settings
        return free.octets - octets >= settings.reserve_octets and (
            free.inodes is None or free.inodes > settings.reserve_inodes
        )

    def writer(self) -> Writer:
        """Begin a message.

        Raises:
            SpoolFailed: nothing is taken any more.
        """
        number = self._numbers.next(self._now(), self._random.getrandbits(32))
        writer = Writer(self._store, self._files, number, self._tell)
        writer.check()
        return writer

    async def commit(
        self,
        writer: Writer,
        envelope: Envelope,
        *,
        received: float,
        prefix: bytes = b"",
        facts: Mapping[str, str] | None = None,
    ) -> Entry:
        """Make a message durable. It is not cancelled once it has begun.

        Args:
            received: when, in seconds since 1970.
            prefix: header fields to put before the content.
            facts: what the journal is to say of it.

        Returns:
            When message and envelope are on the disk.

        Raises:
            SpoolFull: there is no room; nothing is left of it.
            SpoolFailed: the disk has failed; the next start removes what may be left of it.
            SpoolError: it cannot be stored for another reason; nothing is left of it.
            Unencodable, ValueError: envelope or time cannot be kept; the writer is as it was.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        writer.check()
        job = Insert(
            writer.number,
            envelope,
            received=received,
            prefix=prefix,
            facts=facts or {},
            content=None if writer.is_filed else writer.content,
            octets=writer.octets,
        )
        try:
            job.digest = await writer.settle()
            await self._commits.do(job)
        except SpoolFailed:  # nobody knows what is there: the next start removes it
            raise
        except SpoolError:
            await writer.undo()
            raise
        return job.entry

    def open(self, identifier: str) -> Reader:
        """Read a message: see `Reader`.

        Raises:
            NoSuchMessage: *identifier* is none.
        """
        return Reader(self._store, self._files, _number(identifier), self._row, self._reject)

    async def record(self, identifier: str, rows: Sequence[RecipientState]) -> None:
        """Make durable what has become of recipients; one for whom there was something is as this says.

        Raises:
            NoSuchMessage: there is none.
            ValueError: it has no such recipient.
            SpoolError: it could not be made durable.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._commits.do(Record(_number(identifier), rows))

    async def drop(self, identifier: str) -> None:
        """Remove a message, durably.

        Raises:
            NoSuchMessage: there is none.
            SpoolError: it could not be removed.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._drop(_number(identifier))

    def scan(self, after: str | None = None) -> "Scan":
        """Messages in the order of their identifiers, each with a state for every recipient.

        Those that are committed meanwhile may be among them. What cannot be read is set aside.

        Raises:
            NoSuchMessage: *after* is no identifier.
            SpoolError: in the loop; the index cannot be read.
        """
        return Scan(self._turn, -1 if after is None else _number(after))

    # --- within --------------------------------------------------------------------------------------

    async def _look(self, work: Callable[[int], _T], number: int) -> _T:
        """Read the index, in a thread."""
        try:
            return await trio.to_thread.run_sync(work, number, limiter=self._index)
        except SpoolError:
            self._tell()
            raise

    async def _row(self, number: int) -> Row | None:
        return await self._look(self._store.row, number)

    async def _turn(self, after: int) -> tuple[list[Kept], int]:
        """The messages of a page, and where the next begins; -1 if there is none."""
        good, bad, last = await self._look(self._page, after)
        for number, reason in bad:
            await self._reject(number, reason)
        return good, last

    def _page(self, after: int) -> tuple[list[Kept], list[tuple[int, str]], int]:
        """What can be read of a page, what cannot, and where the next begins. Blocks."""
        rows, recipients = self._store.page(after)
        states = dict(by_message(recipients))
        good = []
        bad = []
        for row in rows:
            number = row[0]
            try:
                entry = entry_of(row)
                good.append((entry, states_of(entry, states.get(number, ()))))
            except Unreadable as error:
                bad.append((number, str(error)))
        return good, bad, rows[-1][0] if len(rows) == self._store.settings.page else -1

    async def _reject(self, number: int, reason: str) -> None:
        """Set a message aside."""
        with trio.CancelScope(shield=True):
            gone = await trio.to_thread.run_sync(set_aside, self._store, number, reason, limiter=self._index)
            if gone:
                with contextlib.suppress(SpoolError, NoSuchMessage):  # the next who reads it tries again
                    await self._drop(number)
        self._tell()

    async def _drop(self, number: int) -> None:
        with trio.CancelScope(shield=True):
            await self._commits.do(Drop(number))
            # The row has gone: what a crash leaves of the file, the next start removes.
            await trio.to_thread.run_sync(self._unlink, number, limiter=self._files)

    def _unlink(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self._store.system.unlink(self._store.body(number))

    def _tell(self) -> None:
        while self._store.alerts:
            self._alert(self._store.alerts.pop(0))


class Scan:
    """Messages, for ``async for``: read a page at a time."""

    def __init__(self, turn: Callable[[int], Awaitable[tuple[list[Kept], int]]], after: int) -> None:
        self._turn = turn
        self._after = after
        self._more = True
        self._page: list[Kept] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Kept:
        while not self._page:
            if not self._more:
                raise StopAsyncIteration
            self._page, self._after = await self._turn(self._after)
            self._page.reverse()
            self._more = self._after >= 0
        return self._page.pop()


def _number(identifier: str) -> int:
    try:
        return number_of(identifier)
    except ValueError as error:
        raise NoSuchMessage(identifier) from error


@contextlib.asynccontextmanager
async def open_spool(
    directory: Path,
    *,
    settings: SpoolSettings | None = None,
    alert: Callable[[Alert], None] = _unheard,
    now: Callable[[], float] = time.time,
    system: System | None = None,
) -> AsyncIterator[Spool]:
    """The spool in *directory*, which is made if need be, for this process alone.

    What a crash has left is brought in order first. When the block ends, what was begun is finished.

    Args:
        alert: hears of what somebody should look at; it must not raise.
        now: seconds since 1970, for identifiers.
        system: the calls on files and database.

    Raises:
        SpoolLocked: another process uses it.
        SpoolError: it cannot be opened.
    """
    store = Store(directory, settings or SpoolSettings(), system or System())
    limiter = trio.CapacityLimiter(1)
    await trio.to_thread.run_sync(_start, store, limiter=limiter)
    ours: BaseException | None = None
    try:
        spool = Spool(store, alert, now)
        spool._tell()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(spool._commits.run)
            try:
                yield spool
            except trio.Cancelled:
                raise
            except BaseException as error:  # it is not to be put into a group
                ours = error
            finally:
                spool._commits.close()
        if ours is not None:
            raise ours
    finally:
        ours = None
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(store.close, limiter=limiter)


def _start(store: Store) -> None:
    store.open()
    try:
        recover(store)
    except BaseException:
        store.close()
        raise
