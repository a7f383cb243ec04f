"""Octets from and to a socket, in the clear and through TLS.

Theory of operation. One task uses a transport, and either receives or sends, so nothing here is locked.
To receive is to wait first and then to read, which is also what keeps a busy connection from starving the
others; to send is to try first. A wait has no cancel scope of its own; whoever wants to end it calls `wake`.
With a `trio.SocketStream` in a cancel scope a command and its reply took 59 us of processor time; so 29.

A `trio.SSLStream` hands out one TLS record at a time, with a turn of the scheduler for each. Some clients
write a record for every line of a message, and anybody may write one for every octet. Here all the records
that have arrived are handed out together: 1.3 us each, where it was 40.
"""

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Final, Protocol

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
        done = False

        def advance_once() -> bool:
            nonlocal done
            done = advance()
            return done or self._more

        while not done:
            if self._more:
                await trio.lowlevel.checkpoint()
                done = advance()
            else:
                await self._below.until(advance_once)

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
