"""The sockets of clients: one task watches them, and one ends the waits that take too long."""

import math
import socket
from typing import Final, Protocol

import trio

from ._hub import Hub, WatchedTransport, new_hub
from ._transport import Advance, SocketTransport


class Timed(Protocol):
    """What has deadlines: an engine."""

    def next_deadline(self) -> float:
        """When to call `handle_timeout`."""

    def handle_timeout(self, now: float) -> None:
        """So late it is."""


class TimedTransport(SocketTransport):
    """A socket whose waits end when `timed` says so; that is told then, and the wait ends as if woken."""

    # Without slots: those of two bases would not go together.
    timed: Timed | None = None
    _keeper: "_Keeper | None" = None

    async def until(self, advance: Advance) -> None:
        """See `Transport`."""
        keeper = self._keeper or self._kept()

        def advance_in_time() -> bool:
            if advance():
                return True
            keeper.keep(self)  # what is waited for now may have another deadline
            return False

        keeper.keep(self)
        try:
            await super().until(advance_in_time)
        finally:
            keeper.waits.pop(self, None)

    async def drain(self) -> None:
        """See `Transport`."""
        keeper = self._keeper or self._kept()
        keeper.keep(self)
        try:
            await super().drain()
        finally:
            keeper.waits.pop(self, None)

    def expire(self, now: float) -> None:
        """Say that it is *now*, which is too late."""
        if self.timed is not None:
            self.timed.handle_timeout(now)
        if self.socket.fileno() >= 0:  # nobody has closed it meanwhile
            self.wake()

    def _kept(self) -> "_Keeper":
        try:
            keeper = _keeper.get()
        except LookupError:
            keeper = _Keeper()
            _keeper.set(keeper)
        self._keeper = keeper
        return keeper


class LoneTransport(TimedTransport):
    """One that waits for itself."""


class SharingTransport(TimedTransport, WatchedTransport):
    """One that a `Hub` watches."""


def client_hub() -> Hub | None:
    """That of all clients of a run of Trio, which stays until its end; None where the system has not what it needs."""
    try:
        return _hub.get()
    except LookupError:
        hub = new_hub()
        _hub.set(hub)
        if hub is not None:
            trio.lowlevel.spawn_system_task(hub.run)
        return hub


def client_transport(connected: socket.socket) -> TimedTransport:
    """A transport for *connected*."""
    hub = client_hub()
    return LoneTransport(connected) if hub is None else SharingTransport(connected, hub)


class _Keeper:
    """Ends the waits that take too long: one task for all clients of a run of Trio.

    A cancel scope for each wait would cost as much as the rest of it. Nearly every deadline is later than those
    before it, so the task is hardly ever told of one: it sleeps to the first that it knows, and then looks around.
    """

    __slots__ = ("_scope", "waits", "wakes")

    def __init__(self) -> None:
        self.waits: dict[TimedTransport, float] = {}
        self.wakes = math.inf
        self._scope = trio.CancelScope()

    def keep(self, transport: TimedTransport) -> None:
        """End the wait of *transport* at its deadline; and be awake then, if not before."""
        timed = transport.timed
        deadline = math.inf if timed is None else timed.next_deadline()
        self.waits[transport] = deadline
        if deadline < self.wakes:
            if self.wakes == math.inf:
                trio.lowlevel.spawn_system_task(self._run)
            self.wakes = self._scope.deadline = deadline

    async def _run(self) -> None:
        while self.wakes < math.inf:
            with self._scope:
                await trio.sleep_forever()
            now = trio.current_time()
            for transport, deadline in list(self.waits.items()):
                if deadline <= now:
                    transport.expire(now)
            self.wakes = min((deadline for deadline in self.waits.values() if deadline > now), default=math.inf)
            self._scope = trio.CancelScope(deadline=self.wakes)


_keeper: Final = trio.lowlevel.RunVar[_Keeper]("smtpcore_trio keeper")
_hub: Final = trio.lowlevel.RunVar[Hub | None]("smtpcore_trio hub")
