"""Group commit: whatever waits when the disk is free becomes durable together.

One task takes what has gathered while the last batch was written, and hands it to a thread. So a change that comes
alone waits for one sync, and under load a sync is shared by as many as came during the last.
"""

import collections
from collections.abc import Callable

import trio

from ._entry import SpoolFailed
from ._jobs import Job
from ._store import Store


class Committer:
    """The only one who changes the index.

    Args:
        tell: called when there may be alerts.
    """

    def __init__(self, store: Store, tell: Callable[[], None]) -> None:
        self._store = store
        self._tell = tell
        self._limiter = trio.CapacityLimiter(1)
        self._waiting: collections.deque[Job] = collections.deque()
        self._woken = trio.Event()
        self._closing = False
        self._gone = False

    async def run(self) -> None:
        """Write, until `close`, and then what is left."""
        batch: list[Job] = []
        try:
            with trio.CancelScope(shield=True):
                while self._waiting or not self._closing:
                    if not self._waiting:
                        self._woken = trio.Event()
                        await self._woken.wait()
                        continue
                    batch = [
                        self._waiting.popleft() for _ in range(min(len(self._waiting), self._store.settings.batch))
                    ]
                    await trio.to_thread.run_sync(self._store.change, batch, limiter=self._limiter)
                    while batch:
                        trio.lowlevel.reschedule(batch.pop(0).task)
                    if self._store.is_checkpoint_due:
                        await trio.to_thread.run_sync(self._store.checkpoint, limiter=self._limiter)
                    self._tell()
        finally:
            self._gone = True
            for job in (*batch, *self._waiting):  # none, unless there is a mistake in this program
                job.error = SpoolFailed("the spool is not at work")
                trio.lowlevel.reschedule(job.task)

    def close(self) -> None:
        """Take no more, and let `run` end when all is written."""
        self._closing = True
        self._woken.set()

    async def do(self, job: Job) -> None:
        """Make a change. It is not cancelled once it waits.

        Raises:
            SpoolError: it was not made.
            NoSuchMessage, ValueError: it is not to be made.
        """
        if self._closing or self._gone:
            raise SpoolFailed("the spool is closed")
        self._waiting.append(job)
        self._woken.set()
        await trio.lowlevel.wait_task_rescheduled(_stay)
        if isinstance(job.error, SpoolFailed):
            raise SpoolFailed(str(job.error))  # one of its own, for each that waits
        if job.error is not None:
            raise job.error


def _stay(raise_cancel: Callable[[], None]) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
