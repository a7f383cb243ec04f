"""Octets from and to a socket, in the clear and through TLS.

Theory of operation. One task uses a transport, and either receives or sends, so nothing here is locked.
To receive is to wait first and then to read, which is also what keeps a busy connection from starving the
others; to send is to try first. A wait has no cancel scope of its own; whoever wants to end it calls `wake`.
With a `trio.SocketStream` in a cancel scope a command and its reply took 59 us of processor time; now 29.

A `trio.SSLStream` hands out one TLS record at a time, with a turn of the scheduler for each. Some clients
write a record for every line of a message, and anybody may write one for every octet. Here all the records
that have arrived are handed out together: 1.3 us each, where it was 40.
"""

import contextlib
import math
import socket
import ssl
import struct
from typing import Final, Protocol

import trio

READ_OCTETS: Final = 65536
"""Of one read; and what a connection holds on top of its limits."""

# RFC 8446 5.1: a record has at most 2^14 octets of content.
_RECORD_OCTETS: Final = 16384

_RESET: Final = struct.pack("ii", 1, 0)
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


class Transport(Protocol):
    """What a connection needs of the layer below it."""

    async def receive(self) -> bytes:
        """Some octets; none at the end of the stream.

        Raises:
            trio.BrokenResourceError: the connection is lost.
            trio.ClosedResourceError: `wake` was called.
        """

    async def send_all(self, octets: bytes) -> None:
        """Send *octets*. After an exception nobody knows how many of them were sent.

        Raises:
            trio.BrokenResourceError: the connection is lost.
            trio.ClosedResourceError: `wake` was called.
        """

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

    __slots__ = ("socket",)

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self.socket = connected
        # Replies leave as they are written; they are written in groups.
        self._set(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def receive(self) -> bytes:
        """See `Transport`."""
        while True:
            await trio.lowlevel.wait_readable(self.socket)
            try:
                return self.socket.recv(READ_OCTETS)
            except BlockingIOError:  # a false alarm
                continue
            except OSError as error:
                raise trio.BrokenResourceError from error

    async def send_all(self, octets: bytes) -> None:
        """See `Transport`."""
        rest = memoryview(octets)
        while rest:
            try:
                rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self.socket)
            except OSError as error:
                raise trio.BrokenResourceError from error

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

    async def receive(self) -> bytes:
        """See `Transport`."""
        deadline = self._deadline()
        if deadline == math.inf:
            return await super().receive()
        waits = self._waits(deadline)
        waits[self] = deadline
        try:
            return await SocketTransport.receive(self)
        finally:
            del waits[self]

    async def send_all(self, octets: bytes) -> None:
        """See `Transport`."""
        try:
            sent = self.socket.send(octets)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise trio.BrokenResourceError from error
        if sent == len(octets):
            return
        deadline = self._deadline()
        waits = self._waits(deadline)
        waits[self] = deadline
        try:
            await super().send_all(octets[sent:])
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

    __slots__ = ("_below", "_incoming", "_outgoing", "tls")

    def __init__(self, below: SocketTransport, context: ssl.SSLContext, name: str | None = None) -> None:
        self._below = below
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
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

    async def receive(self) -> bytes:
        """See `Transport`."""
        pieces: list[bytes] = []
        size = 0
        while size < READ_OCTETS:
            try:
                piece = self.tls.read(_RECORD_OCTETS)
            except ssl.SSLWantReadError:
                if pieces:
                    break
                await self._flush()  # such as the answer to a new key
                await self._fill()
                continue
            except ssl.SSLError:  # the stream has ended, politely or not, or was tampered with
                break
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    async def send_all(self, octets: bytes) -> None:
        """See `Transport`."""
        try:
            self.tls.write(octets)
        except ssl.SSLError as error:
            raise trio.BrokenResourceError from error
        await self._flush()

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
        if octets := await self._below.receive():
            self._incoming.write(octets)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._below.send_all(self._outgoing.read())
