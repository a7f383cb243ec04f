"""`serve` in several processes: `Workers` starts them, and sees to them.

Theory of operation. Each worker is a Python of its own, which `multiprocessing` has spawned, and runs `serve` over
sockets that it is given. Of a listener with SO_REUSEPORT each has one of its own, which does not listen before it is
ready, so that the system gives it no connection that would have to wait for it; any other listener all of them share.
What this process keeps of the former is a socket that does not listen: the address is its own while no worker is.
"""

import contextlib
import logging
import math
import signal
import socket
from collections import deque
from multiprocessing import get_context, resource_tracker
from multiprocessing.context import SpawnProcess
from typing import Final

import trio

from ._worker import NOT_FOR_WORKERS, Channel, Letter, Order, Unsendable, main
from .listening import another, reuses_port

logger: Final = logging.getLogger("smtpcore_trio")

_SPAWN: Final = get_context("spawn")

# Before the next worker is started in the place of one that has ended; twice as long each time, unless one has lived.
_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 30.0
_LIVED: Final = 60.0
# Beyond the grace, for a worker to end by itself.
_ALLOWANCE: Final = 5.0
# For the last words of a worker, should another process hold its end of the pair.
_LAST_WORDS: Final = 1.0


class WorkerFailed(Exception):
    """A worker ended before it was ready. Why is on its standard error."""


class _Door:
    """A listener of which each worker is to have a share."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self._reserve = another(listener.socket) if reuses_port(listener) else None
        self._first = True

    def share(self) -> socket.socket:
        """A socket for a worker.

        Raises:
            OSError: there is none.
        """
        if self._reserve is None:
            return socket.socket(fileno=self._listener.socket.dup().detach())
        if self._first:
            # Whoever has connected to it by now waits there.
            self._first = False
            return socket.socket(fileno=self._listener.socket.detach())
        return another(self._reserve)

    def close(self) -> None:
        self._listener.socket.close()
        if self._reserve is not None:
            self._reserve.close()


class _Worker:
    """A process, as this one sees it."""

    def __init__(self, number: int, process: SpawnProcess, end: socket.socket) -> None:
        self.number = number
        self.process = process
        self.pid = process.pid or 0
        self.ready = False
        self.channel = Channel(end)
        self.counts = {"connections": 0, "handshakes": 0, "cut": 0}
        self._answers: deque[tuple[trio.Event, list[str]]] = deque()

    def reload(self) -> tuple[trio.Event, list[str]]:
        """Have it read its certificates; an event for when it has, and the list of what went wrong."""
        answer: tuple[trio.Event, list[str]] = trio.Event(), []
        self._answers.append(answer)
        self.channel.tell(reload=True)
        return answer

    def answered(self, errors: list[str]) -> None:
        """It has answered `reload`."""
        event, list_of = self._answers.popleft()
        list_of += errors
        event.set()

    def ended(self) -> str:
        """Nothing is to be had of it any more; how it ended."""
        while self._answers:
            # Whatever takes its place reads them.
            self.answered([])
        self.channel.close()
        code = self.process.exitcode
        assert code is not None
        self.process.close()
        return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"


def _start(process: SpawnProcess) -> None:
    """Start *process*, for which the signals that are not for workers are blocked. Blocks; not for the main thread."""
    resource_tracker.ensure_running()  # which unblocks them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NOT_FOR_WORKERS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Workers:
    """Processes that serve, for looking at and for draining. Made by `serve`, with *workers*.

    **What they are told.** *new_session*, *observer*, and the config and TLS context of each port are pickled, and so
    must be found by import: a class or function of a module, or an instance of such a class, but no lambda and no
    function in a function; a program that is a script begins under ``if __name__ == "__main__":``. An extension that
    was made, as by `smtpcore.extensions.xclient`, needs a name in a module. A `TlsContext` goes by the names of its
    files. What else a worker needs, such as logging, is for the module of *new_session* to see to: a worker has
    nothing of this process but its arguments, its environment and its standard streams.

    **Listeners.** `listen_tcp` with *reuse_port* gives each worker a queue of its own, which the system fills evenly;
    any other listener is shared, and who is idle accepts.

    **Limits.** Of `Admission`, *connections* and *handshakes* are divided by the number of workers, rounded up. The
    limits of an address hold in each worker by itself, and the connections of an address spread over them: up to
    so many times as much may come from one. *reserve_descriptors* is of each process.

    **Ends.** Draining is one for all. A worker that ends unasked takes its sessions with it; it is logged,
    and another takes its place, at once or, if that goes on, later and later. Workers heed no Ctrl-C; one that gets
    SIGTERM drains by itself, and is replaced. Should this process die, they drain.
    """

    def __init__(self, order: Order, count: int) -> None:
        if count < 1:
            raise ValueError("there is no worker")
        self.ports = tuple(order.ports)
        self._order = order
        self._letter = Letter(order, count)
        self._starting_up = set(range(count))  # the numbers of those that have never been ready
        self._doors = [[_Door(listener) for listener in port.listeners] for port in order.ports]
        self._workers: set[_Worker] = set()
        self._cut = 0  # by those that are no more
        self._deadline = math.inf  # of the grace
        self._patience = trio.CancelScope()
        self._lock = trio.Lock()  # `multiprocessing` keeps a set of all its children
        self._ready = trio.Event()
        self._drained = trio.Event()
        self._over = trio.Event()
        self._failure: Exception | None = None

    @property
    def draining(self) -> bool:
        """Whether they are to end."""
        return self._drained.is_set()

    @property
    def connections(self) -> int:
        """How many there were when the workers last told, half a second ago at most."""
        return self._sum("connections")

    @property
    def handshakes(self) -> int:
        """How many TLS handshakes there were then."""
        return self._sum("handshakes")

    @property
    def cut(self) -> int:
        """The sessions that were not over when the grace was."""
        return self._cut + self._sum("cut")

    @property
    def pids(self) -> tuple[int, ...]:
        """Those of the processes that serve now."""
        return tuple(sorted(worker.pid for worker in self._workers if worker.ready))

    def _sum(self, what: str) -> int:
        return sum(worker.counts[what] for worker in self._workers)

    def drain(self, grace: float | None = None) -> None:
        """Drain all workers; see `Server.drain`. One that is not done soon after its grace is killed."""
        now = trio.current_time()
        self._deadline = min(self._deadline, now + (self._order.grace if grace is None else grace))
        self._patience.deadline = self._deadline + _ALLOWANCE
        if not self.draining:
            self._drained.set()
            self._close()
        for worker in self._workers:
            self._tell_to_drain(worker)

    def _tell_to_drain(self, worker: _Worker) -> None:
        worker.channel.tell(drain=max(self._deadline - trio.current_time(), 0.0))

    def _close(self) -> None:
        for of_port in self._doors:
            for door in of_port:
                door.close()

    async def reload(self) -> bool:
        """See `Server.reload`: every worker reads the files. One that starts later reads what is in them then."""
        answers = [worker.reload() for worker in self._workers]
        errors: list[str] = []
        for event, wrong in answers:
            await event.wait()
            errors += wrong
        for error in dict.fromkeys(errors):
            logger.error("a certificate could not be read again: %s", error)
        return not errors

    # --- their lives -------------------------------------------------------------------------------

    async def run(self, task_status: "trio.TaskStatus[Workers]") -> None:
        """Start them, and see to them until they are drained.

        Raises:
            OSError, Unsendable, WorkerFailed: see `serve`.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hold)
            try:
                await self._ready.wait()
                if self._failure is None:
                    task_status.started(self)
                await self._over.wait()
            finally:
                self.drain()
        if self._failure is not None:
            raise self._failure

    async def _hold(self) -> None:
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as late:
                late.start_soon(self._kill_late)
                async with trio.open_nursery() as keepers:
                    for number in tuple(self._starting_up):
                        keepers.start_soon(self._keep, number)
                late.cancel_scope.cancel()
            self._over.set()

    async def _kill_late(self) -> None:
        with self._patience:
            await trio.sleep_forever()
        for worker in self._workers:
            logger.error("worker %d does not end, and is killed", worker.number)
            worker.process.kill()

    def _fail(self, failure: Exception) -> None:
        self._failure = self._failure or failure
        self._ready.set()
        self.drain(0.0)

    async def _keep(self, number: int) -> None:
        """Have one worker, and after it another, until all are to drain."""
        pause = _PAUSE
        while not self._drained.is_set():
            began = trio.current_time()
            try:
                worker = await self._begin(number)
            except (OSError, Unsendable) as error:
                failure: Exception = error
                how = f"could not be started: {error}"
            else:
                how = await self._attend(worker)
                failure = WorkerFailed(f"worker {number} {how}, before it was ready")
            if self.draining:
                return
            if not self._ready.is_set():
                self._fail(failure)
                return
            if trio.current_time() - began >= _LIVED:
                pause = _PAUSE
            logger.error("worker %d %s; it is replaced in %g seconds", number, how, pause)
            with trio.move_on_after(pause):
                await self._drained.wait()
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _begin(self, number: int) -> _Worker:
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            end, its_end = socket.socketpair()
            ours.enter_context(end)
            theirs.enter_context(its_end)
            sockets = [[theirs.enter_context(door.share()) for door in of_port] for of_port in self._doors]
            process = _SPAWN.Process(
                target=main, args=(self._letter, sockets, its_end), name=f"smtpcore worker {number}"
            )
            async with self._lock:
                await trio.to_thread.run_sync(_start, process)
            ours.pop_all()
            return _Worker(number, process, end)

    async def _attend(self, worker: _Worker) -> str:
        """Hear what *worker* tells until it ends; how it did."""
        self._workers.add(worker)
        try:
            if self.draining:
                self._tell_to_drain(worker)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, worker)
                await trio.lowlevel.wait_readable(worker.process.sentinel)
                nursery.cancel_scope.deadline = trio.current_time() + _LAST_WORDS
        finally:
            with trio.CancelScope(shield=True):
                worker.process.kill()  # which is nothing to one that has ended
                async with self._lock:
                    await trio.to_thread.run_sync(worker.process.join)
            self._workers.discard(worker)
            how = worker.ended()
        self._cut += worker.counts["cut"]
        if self.draining:
            # None, unless it was killed.
            self._cut += worker.counts["connections"]
        return how

    async def _listen(self, worker: _Worker) -> None:
        while (message := await worker.channel.hear()) is not None:
            if "errors" in message:
                worker.answered(message["errors"])
            else:
                worker.counts.update(message)
                worker.ready = True
                self._starting_up.discard(worker.number)
                if not self._starting_up:
                    self._ready.set()
