"""The one loop: between a socket, a `ServerConnection` and the clock.

Theory of operation. One task serves a connection. It asks `Pump.next_event`, which does what the engine
tells it (send, read, shake hands, close) until there is an event, and then does nothing more until it is
asked again: that is all the back-pressure there is. Everything that the engine wants sent leaves before
anything is waited for, so a pipelined group is answered by one write.

No wait of the pump has a deadline of its own; to enter one in Trio's heap at every read costs half as much
as the read. One task for the whole server calls `Pump.tick`, which hands the time to the engine and
cancels the wait of a connection that is over by it. The pump asks the engine between any two waits, so
a connection that ends while the pump does not wait is not missed either.
"""

import contextlib
import math
import socket
import struct
from typing import Final, assert_never

import trio

from smtpcore import LocalProtocolError, Phase, ServerConnection, ServerEvent, Wait

from .tls import TlsContext

READ_OCTETS: Final = 65536
"""Of one read; and what a connection holds on top of its limits."""

LINGER_SECONDS: Final = 1.0
LINGER_OCTETS: Final = 1_048_576

_RESET: Final = struct.pack("ii", 1, 0)
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


class Pump:
    """Moves octets and time between a stream and an engine, and hands its events out.

    Args:
        connection: the engine.
        transport: the stream below TLS.
        stream: the one above it, where the connection began with TLS.
        tls_context: for STARTTLS.
    """

    __slots__ = ("_broken", "_sending", "_stream", "_tls_context", "_transport", "_waiting", "connection")

    def __init__(
        self,
        connection: ServerConnection,
        transport: trio.abc.HalfCloseableStream,
        stream: trio.abc.Stream | None = None,
        tls_context: TlsContext | None = None,
    ) -> None:
        self.connection = connection
        self._transport = transport
        self._stream = stream or transport
        self._tls_context = tls_context
        self._waiting: trio.CancelScope | None = None  # for the peer
        self._sending = False
        self._broken = False  # nothing can be sent any more

    async def next_event(self) -> ServerEvent | None:
        """The next event; None after the last one, when the connection is closed.

        Raises:
            LocalProtocolError: a question is open.
        """
        while True:
            step = self.connection.next_event()
            if not isinstance(step, Wait):
                return step
            # To send takes time, in which the engine may change its mind.
            if await self._flush():
                continue
            match step:
                case Wait.DATA:
                    await self._read()
                case Wait.TLS:
                    await self._shake_hands()
                case Wait.CLOSED:
                    await self._close()
                    return None
                case Wait.REPLY | Wait.SEND:  # of which the latter has been done
                    raise LocalProtocolError("the open question was not answered")
                case _:
                    assert_never(step)

    def tick(self, now: float) -> None:
        """Tell the engine the time, if that is news to it; end the wait of a connection that is over by it."""
        connection = self.connection
        if connection.next_deadline() > now:
            return
        connection.handle_timeout(now)
        self._wake_if_closed(now)

    def shut_down(self, now: float) -> None:
        """Let the connection end in good order, as soon as it can."""
        self.connection.close()
        self._wake_if_closed(now)

    def _wake_if_closed(self, now: float) -> None:
        connection = self.connection
        if self._waiting is None or connection.phase is not Phase.CLOSED:
            return
        # What is being sent has a deadline of its own, the only one that outlives the session.
        if not self._sending or not now < connection.next_deadline() < math.inf:
            self._waiting.cancel()

    # --- what the engine may want ------------------------------------------------------------------

    async def _flush(self) -> bool:
        """Send what there is to send; whether there was something."""
        connection = self.connection
        octets = connection.data_to_send(trio.current_time())
        if not octets:
            return False
        if not self._broken:
            self._sending = True
            with trio.CancelScope() as self._waiting:
                try:
                    await self._stream.send_all(b"".join(octets))
                except trio.BrokenResourceError:
                    self._broken = True
            # How much of it was sent nobody knows then.
            self._broken |= self._waiting.cancelled_caught
            self._waiting = None
            self._sending = False
        connection.data_sent(trio.current_time())
        return True

    async def _read(self) -> None:
        """Feed what the peer sends. The engine has read all it had, so it wants data now."""
        data: bytes | bytearray = b""
        with trio.CancelScope() as self._waiting:
            if not self._broken:
                with contextlib.suppress(trio.BrokenResourceError):
                    data = await self._stream.receive_some(READ_OCTETS)
            self.connection.receive_data(bytes(data), trio.current_time())
        self._waiting = None

    async def _shake_hands(self) -> None:
        if self._tls_context is None:
            raise LocalProtocolError("STARTTLS was accepted, and there is no TLS context")
        info = None
        with trio.CancelScope() as self._waiting, contextlib.suppress(trio.BrokenResourceError):
            self._stream, info = await self._tls_context.handshake(self._transport)
        self._waiting = None
        # From here on nothing may be sent in the clear.
        self._broken = info is None
        if self.connection.phase is not Phase.TLS:  # it took too long
            self._broken = True
        elif info is None:
            self.connection.tls_failed()
        else:
            acknowledge_at_once(self._transport)
            self.connection.tls_started(info)

    async def _close(self) -> None:
        if self._broken:
            # Or the kernel would go on trying to deliver what nobody takes.
            reset_on_close(self._transport)
        else:
            with trio.move_on_after(LINGER_SECONDS), contextlib.suppress(trio.BrokenResourceError):
                await self._part()
        await trio.aclose_forcefully(self._transport)

    async def _part(self) -> None:
        """Say that this is the end, and let the peer finish.

        To close a socket that has unread octets resets the connection, which may take the last reply from
        the peer.
        """
        if isinstance(self._stream, trio.SSLStream):
            with contextlib.suppress(trio.BrokenResourceError):
                await self._stream.unwrap()
        await self._transport.send_eof()
        octets = 0
        while (data := await self._transport.receive_some(READ_OCTETS)) and octets < LINGER_OCTETS:
            octets += len(data)


def acknowledge_at_once(stream: trio.abc.Stream) -> None:
    """Do not delay the next TCP acknowledgement.

    A client may wait for that of its last handshake message before it sends more.
    """
    if _QUICKACK is not None:
        _set_option(stream, socket.IPPROTO_TCP, _QUICKACK, 1)


def reset_on_close(stream: trio.abc.Stream) -> None:
    """Let closing drop what was not sent."""
    _set_option(stream, socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _set_option(stream: trio.abc.Stream, level: int, option: int, value: int | bytes) -> None:
    if isinstance(stream, trio.SocketStream):
        with contextlib.suppress(OSError):  # the peer has gone, or it is a Unix socket
            stream.setsockopt(level, option, value)
