"""Sockets that are watched by one task: those of a server, or of all clients of a run of Trio.

Theory of operation. A `Hub` lets each connection go on by itself as far as that needs no waiting (`until`). The
connection's own task sleeps meanwhile: to wake a task for every command would cost as much as the command does.
"""

import select
import socket
import sys

import outcome
import trio

from ._transport import READ_OCTETS, Advance, SocketTransport


class Hub:
    """Watches sockets. `run` it in a task; where it is None, each connection waits for itself.

    The sockets are registered once, and edge-triggered: `trio.lowlevel.wait_readable` has a system call for each wait.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, WatchedTransport] = {}
        self._again: dict[WatchedTransport, None] = {}

    def watch(self, transport: "WatchedTransport") -> None:
        """Notify *transport* of what comes, until it is closed."""
        descriptor = transport.socket.fileno()
        self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLPRI | select.EPOLLET)
        self._watched[descriptor] = transport

    def forget(self, transport: "WatchedTransport") -> None:
        """It is about to be closed."""
        if self._watched.pop(transport.socket.fileno(), None) is not None and not self._epoll.closed:
            self._epoll.unregister(transport.socket)

    def again(self, transport: "WatchedTransport") -> None:
        """Go on with it, when the others have had their turn."""
        self._again[transport] = None

    async def run(self) -> None:
        """Until cancelled."""
        # The end; and urgent octets, of which SMTP knows nothing: a read ends before them.
        more = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR | select.EPOLLPRI
        with self._epoll:
            while True:
                if self._again:
                    await trio.lowlevel.checkpoint()
                    waiting, self._again = self._again, {}
                    for transport in waiting:
                        transport.go_on()
                else:
                    await trio.lowlevel.wait_readable(self._epoll.fileno())
                for descriptor, events in self._epoll.poll(0):
                    watched = self._watched.get(descriptor)
                    if watched is not None:  # and was not closed by one before it
                        watched.notify(more=bool(events & more))


def new_hub() -> Hub | None:
    """A hub, where the system has what it needs."""
    return Hub() if sys.platform == "linux" else None


class WatchedTransport(SocketTransport):
    """A socket that a `Hub` watches."""

    __slots__ = ("_advance", "_hub", "_ready", "_remains", "_task", "_woken")

    def __init__(self, connected: socket.socket, hub: Hub) -> None:
        super().__init__(connected)
        self._hub = hub
        self._ready = False  # something may have come since the last read
        self._remains = False  # also when a read was not filled
        self._task: trio.lowlevel.Task | None = None  # that waits
        self._woken = False  # since somebody began to wait
        self._advance: Advance = bool  # which returns False
        hub.watch(self)

    def unread(self, octets: bytes) -> None:
        """See `SocketTransport`."""
        super().unread(octets)
        self._ready = self._ready or bool(octets)

    def receive_now(self) -> bytes | None:
        """See `Transport`."""
        if self._unread:
            octets, self._unread = self._unread, b""
            return octets
        try:
            octets = self.socket.recv(READ_OCTETS)
        except BlockingIOError:
            self._ready = False
            return None
        except OSError as error:
            raise trio.BrokenResourceError from error
        # A read that is not filled has taken everything; of what comes then the hub hears. The end does not come twice.
        self._ready = self._remains or len(octets) == READ_OCTETS
        return octets

    async def until(self, advance: Advance) -> None:
        """See `Transport`."""
        if self._task is not None:
            raise trio.BusyResourceError("another task waits for this connection")
        self._woken = False
        while self._ready:
            await trio.lowlevel.checkpoint()
            if self._woken:
                raise trio.ClosedResourceError
            if advance():
                return
        self._advance = advance
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._forget_task)

    def notify(self, *, more: bool) -> None:
        """Something has come; and perhaps *more* than a read that is not filled takes."""
        self._ready = True
        self._remains = self._remains or more
        self.go_on()

    def go_on(self) -> None:
        """As `until` was told."""
        task = self._task
        if task is None:
            return
        try:
            done = task.context.run(self._advance)
        except BaseException as error:  # which is for the connection's own task, and for no other
            self._resume(task, outcome.Error(error))
            return
        if done:
            self._resume(task, outcome.Value(None))
        elif self._ready:
            self._hub.again(self)

    def wake(self) -> None:
        """See `Transport`."""
        self._woken = True
        if self._task is not None:
            self._resume(self._task, outcome.Error(trio.ClosedResourceError()))
        super().wake()

    def close(self, *, reset: bool = False) -> None:
        """See `Transport`."""
        self._hub.forget(self)
        super().close(reset=reset)

    def _resume(self, task: trio.lowlevel.Task, result: "outcome.Outcome[None]") -> None:
        if self._task is task:  # and nobody else has, from within `advance`
            self._task = None
            self._advance = bool
            trio.lowlevel.reschedule(task, result)

    def _forget_task(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._task = None
        self._advance = bool
        return trio.lowlevel.Abort.SUCCEEDED
