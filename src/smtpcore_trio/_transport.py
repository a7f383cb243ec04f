"""Octets from and to a socket, in the clear and through TLS.

Theory of operation. One task uses a transport, and either receives or sends, so nothing here is locked.
To receive is to wait first and then to read, which is also what keeps a busy connection from starving the
others; to send is to try first. A wait has no cancel scope of its own; whoever wants to end it calls `wake`.
With a `trio.SocketStream` in a cancel scope a command and its reply took 59 us of processor time; so 29.

The sockets of a server are watched by its `Hub`, a task that lets each connection go on by itself as far as that
needs no waiting (`until`). Its own task sleeps meanwhile: to wake a task for every command would cost as much as
the command does.

A `trio.SSLStream` hands out one TLS record at a time, with a turn of the scheduler for each. Some clients
write a record for every line of a message, and anybody may write one for every octet. Here all the records
that have arrived are handed out together: 1.3 us each, where it was 40.
"""

import contextlib
import math
import select
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from typing import Final, Protocol

import outcome
import trio

READ_OCTETS: Final = 65536
"""Of one read; and what a connection holds on top of its limits."""

# RFC 8446 5.1: a record has at most 2^14 octets of content.
_RECORD_OCTETS: Final = 16384

_RESET: Final = struct.pack("ii", 1, 0)
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


Advance = Callable[[], bool]
"""Go on as far as that needs no waiting; whether somebody else has to go on from there."""


class Transport(Protocol):
    """What a connection needs of the layer below it."""

    def receive_now(self) -> bytes | None:
        """Some octets that have come; none at the end of the stream; None if nothing has come.

        Raises:
            trio.BrokenResourceError: the connection is lost.
        """

    async def until(self, advance: Advance) -> None:
        """Wait, and call *advance* whenever something may have come, until it returns true.

        It is called in the context of this task, perhaps by another.

        Raises:
            trio.ClosedResourceError: `wake` was called.
        """

    async def receive(self) -> bytes:
        """Wait for octets, and receive them.

        Raises:
            trio.BrokenResourceError: the connection is lost.
            trio.ClosedResourceError: `wake` was called.
        """

    def put(self, octets: bytes) -> bool:
        """Send *octets*, as far as that needs no waiting; whether all of them are sent. What is left is for `drain`.

        Raises:
            trio.BrokenResourceError: the connection is lost, and nobody knows how many of them were sent.
        """

    async def drain(self) -> None:
        """Send what `put` has left.

        Raises:
            trio.BrokenResourceError: the connection is lost.
            trio.ClosedResourceError: `wake` was called.
        """

    async def send_all(self, octets: bytes) -> None:
        """Put *octets*, and drain."""

    async def end(self) -> None:
        """Tell the peer that nothing more comes.

        Raises:
            trio.BrokenResourceError: the connection is lost.
        """

    def wake(self) -> None:
        """End what another task waits for here; without effect where none waits."""

    def quiet(self) -> bool:
        """Whether nothing has come, not even the end of the stream."""

    def close(self, *, reset: bool = False) -> None:
        """Close the connection; with *reset* drop what has not been delivered."""


class SocketTransport:
    """A connected stream socket, which is made non-blocking."""

    __slots__ = ("_unread", "_unsent", "socket")

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self.socket = connected
        self._unread = b""
        self._unsent = memoryview(b"")
        # Replies leave as they are written; they are written in groups.
        self._set(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def unread(self, octets: bytes) -> None:
        """Let *octets* be received next."""
        self._unread = octets

    def receive_now(self) -> bytes | None:
        """See `Transport`."""
        if self._unread:
            octets, self._unread = self._unread, b""
            return octets
        try:
            return self.socket.recv(READ_OCTETS)
        except BlockingIOError:  # a false alarm
            return None
        except OSError as error:
            raise trio.BrokenResourceError from error

    async def until(self, advance: Advance) -> None:
        """See `Transport`."""
        while True:
            if self._unread:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self.socket)
            if advance():
                return

    async def receive(self) -> bytes:
        """See `Transport`."""
        return await _received(self)

    def put(self, octets: bytes) -> bool:
        """See `Transport`."""
        if self._unsent:
            self._unsent = memoryview(bytes(self._unsent) + octets)
            return False
        try:
            sent = self.socket.send(octets)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise trio.BrokenResourceError from error
        if sent == len(octets):
            return True
        self._unsent = memoryview(octets)[sent:]
        return False

    async def drain(self) -> None:
        """See `Transport`."""
        while self._unsent:
            await trio.lowlevel.wait_writable(self.socket)
            try:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
            except BlockingIOError:  # a false alarm
                continue
            except OSError as error:
                raise trio.BrokenResourceError from error

    async def send_all(self, octets: bytes) -> None:
        """See `Transport`."""
        if not self.put(octets):
            await self.drain()

    async def end(self) -> None:
        """See `Transport`."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise trio.BrokenResourceError from error

    def wake(self) -> None:
        """See `Transport`."""
        # The socket goes on to be used: this is how Trio ends all waits for one.
        trio.lowlevel.notify_closing(self.socket)

    def quiet(self) -> bool:
        """See `Transport`."""
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def close(self, *, reset: bool = False) -> None:
        """See `Transport`."""
        if reset:
            self._set(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.socket.close()

    def acknowledge_at_once(self) -> None:
        """Do not delay the next TCP acknowledgement, where the system lets us say so."""
        if _QUICKACK is not None:
            self._set(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _set(self, level: int, option: int, value: int | bytes) -> None:
        with contextlib.suppress(OSError):  # the peer has gone, or it is a Unix socket
            self.socket.setsockopt(level, option, value)


async def _received(transport: Transport) -> bytes:
    received: bytes | None = None

    def advance() -> bool:
        nonlocal received
        received = transport.receive_now()
        return received is not None

    await transport.until(advance)
    assert received is not None
    return received


class Hub:
    """Watches the sockets of a server. `run` it in a task; where it is None, each connection waits for itself.

    The sockets are registered once, and edge-triggered: `trio.lowlevel.wait_readable` has a system call for each wait.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, WatchedTransport] = {}
        self._again: dict[WatchedTransport, None] = {}

    def watch(self, transport: "WatchedTransport") -> None:
        """Notify *transport* of what comes, until it is closed."""
        descriptor = transport.socket.fileno()
        self._watched[descriptor] = transport
        self._epoll.register(descriptor, _EVENTS)

    def forget(self, transport: "WatchedTransport") -> None:
        """It is about to be closed."""
        if self._watched.pop(transport.socket.fileno(), None) is not None and not self._epoll.closed:
            self._epoll.unregister(transport.socket)

    def again(self, transport: "WatchedTransport") -> None:
        """Go on with it, when the others have had their turn."""
        self._again[transport] = None

    async def run(self) -> None:
        """Until cancelled."""
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
                        watched.notify(events)


def new_hub() -> Hub | None:
    """A hub, where the system has what it needs."""
    return Hub() if sys.platform == "linux" else None


if sys.platform == "linux":
    _OVER: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
    _EVENTS: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET


def _stay() -> bool:
    return False


class WatchedTransport(SocketTransport):
    """A socket that a `Hub` watches."""

    __slots__ = ("_advance", "_context", "_hub", "_over", "_ready", "_task")

    def __init__(self, connected: socket.socket, hub: Hub) -> None:
        super().__init__(connected)
        self._hub = hub
        self._ready = False  # something may have come since the last read
        self._over = False  # nothing more will come than has
        self._task: trio.lowlevel.Task | None = None  # that waits
        self._advance = _stay
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
        self._ready = self._over or len(octets) == READ_OCTETS
        return octets

    async def until(self, advance: Advance) -> None:
        """See `Transport`."""
        while self._ready:
            await trio.lowlevel.checkpoint()
            if advance():
                return
        self._advance = advance
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._forget_task)

    def notify(self, events: int) -> None:
        """These have happened."""
        self._ready = True
        if events & _OVER:
            self._over = True
        self.go_on()

    def go_on(self) -> None:
        """As `until` was told."""
        task = self._task
        if task is None:
            return
        try:
            done = task.context.run(self._advance)
        except Exception as error:  # which is for the connection's own task
            self._resume(task, outcome.Error(error))
            return
        if done:
            self._resume(task, outcome.Value(None))
        elif self._ready:
            self._hub.again(self)

    def wake(self) -> None:
        """See `Transport`."""
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
            self._advance = _stay
            trio.lowlevel.reschedule(task, result)

    def _forget_task(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._task = None
        self._advance = _stay
        return trio.lowlevel.Abort.SUCCEEDED


class Timed(Protocol):
    """What has deadlines: an engine."""

    def next_deadline(self) -> float:
        """When to call `handle_timeout`."""

    def handle_timeout(self, now: float) -> None:
        """So late it is."""


class TimedTransport(SocketTransport):
    """A socket whose waits end when `timed` says so; that is told then, and the wait ends as if woken."""

    __slots__ = ("_keeper", "timed")

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected)
        self.timed: Timed | None = None
        self._keeper: _Keeper | None = None

    async def until(self, advance: Advance) -> None:
        """See `Transport`."""
        deadline = self._deadline()
        if deadline == math.inf:
            await super().until(advance)
            return
        waits = self._waits(deadline)
        waits[self] = deadline
        try:
            await SocketTransport.until(self, advance)
        finally:
            del waits[self]

    async def drain(self) -> None:
        """See `Transport`."""
        deadline = self._deadline()
        waits = self._waits(deadline)
        waits[self] = deadline
        try:
            await SocketTransport.drain(self)
        finally:
            del waits[self]

    def expire(self, now: float) -> None:
        """Say that it is *now*, which is too late."""
        if self.timed is not None:
            self.timed.handle_timeout(now)
        if self.socket.fileno() >= 0:  # nobody has closed it meanwhile
            self.wake()

    def _deadline(self) -> float:
        return math.inf if self.timed is None else self.timed.next_deadline()

    def _waits(self, deadline: float) -> "dict[TimedTransport, float]":
        """Where a wait is written down, so that it is ended at *deadline*."""
        keeper = self._keeper
        if keeper is None:
            try:
                keeper = _keeper.get()
            except LookupError:
                keeper = _Keeper()
                _keeper.set(keeper)
            self._keeper = keeper
        if deadline < keeper.wakes:
            keeper.wake_at(deadline)
        return keeper.waits


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

    def wake_at(self, deadline: float) -> None:
        """Be awake at *deadline*, if not before."""
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


class TlsTransport:
    """TLS over a socket. Use it after `shake_hands`.

    Args:
        below: the socket.
        context: for our side.
        name: of the server, where we are the client; None where we are the server.

    A peer that hangs up without a close_notify, as many do, has ended its stream like one that says so, and
    so has one whose records are broken. The end of the stream completes nothing in SMTP, so that a truncation
    gains nobody anything.
    """

    __slots__ = ("_below", "_incoming", "_more", "_outgoing", "tls")

    def __init__(self, below: SocketTransport, context: ssl.SSLContext, name: str | None = None) -> None:
        self._below = below
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        # More may have been read from the socket than was handed out: behind the handshake, or the end of the stream.
        self._more = True
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=name is None, server_hostname=name)

    async def shake_hands(self) -> None:
        """Wait for the peer's side of the handshake, and do ours.

        Raises:
            trio.BrokenResourceError: it failed.
            trio.ClosedResourceError: `wake` was called.
        """
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError as error:
                with contextlib.suppress(trio.BrokenResourceError):
                    await self._flush()  # the alert
                raise trio.BrokenResourceError from error
            else:
                break
        # What waits at a server in TLS 1.3 are tickets. They go with what is sent next, as a client that does not
        # read before it has written may block for them.
        if not self.tls.server_side or self.tls.version() != "TLSv1.3":
            await self._flush()
        # The client may wait for the acknowledgement of its last message before it sends more.
        self._below.acknowledge_at_once()

    def receive_now(self) -> bytes | None:
        """See `Transport`."""
        pieces: list[bytes] = []
        size = 0
        while size < READ_OCTETS:
            try:
                piece = self.tls.read(_RECORD_OCTETS)
            except ssl.SSLWantReadError:
                if pieces:
                    self._more = False
                    return b"".join(pieces)
                if self._outgoing.pending:  # such as the answer to a new key
                    self._below.put(self._outgoing.read())
                octets = self._below.receive_now()
                if octets is None:
                    self._more = False
                    return None
                self._feed(octets)
                continue
            except ssl.SSLError:  # the stream has ended, politely or not, or was tampered with
                break
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
        self._more = True
        return b"".join(pieces)

    async def until(self, advance: Advance) -> None:
        """See `Transport`."""
        while self._more:
            await trio.lowlevel.checkpoint()
            if advance():
                return

        def advance_all() -> bool:
            while not advance():
                if not self._more:
                    return False
            return True

        await self._below.until(advance_all)

    async def receive(self) -> bytes:
        """See `Transport`."""
        return await _received(self)

    def put(self, octets: bytes) -> bool:
        """See `Transport`."""
        try:
            self.tls.write(octets)
        except ssl.SSLError as error:
            raise trio.BrokenResourceError from error
        return self._below.put(self._outgoing.read())

    async def drain(self) -> None:
        """See `Transport`."""
        await self._below.drain()

    async def send_all(self, octets: bytes) -> None:
        """See `Transport`."""
        if not self.put(octets):
            await self.drain()

    async def end(self) -> None:
        """See `Transport`."""
        with contextlib.suppress(ssl.SSLError):  # that the peer has not said so as well
            self.tls.unwrap()
        await self._flush()
        await self._below.end()

    def wake(self) -> None:
        """See `Transport`."""
        self._below.wake()

    def quiet(self) -> bool:
        """See `Transport`."""
        return self._below.quiet()

    def close(self, *, reset: bool = False) -> None:
        """See `Transport`."""
        self._below.close(reset=reset)

    async def _fill(self) -> None:
        self._feed(await self._below.receive())

    def _feed(self, octets: bytes) -> None:
        if octets:
            self._incoming.write(octets)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._below.send_all(self._outgoing.read())
