"""The one loop: between a transport, an engine of either side and the clock.

Theory of operation. One task serves a connection. It asks `Pump.next_event`, which does what the engine
tells it (send, read, shake hands, close) until there is an event, and then does nothing more until it is
asked again: that is all the back-pressure there is. Everything that the engine wants sent leaves before
anything is waited for, so a pipelined group is answered by one write.

No wait of the pump has a deadline of its own. In a server one task calls `Pump.tick` of every connection now
and then, which hands the time to the engine and wakes the pump of a connection that is over by it. The pump
asks the engine between any two waits, so a connection that ends while the pump does not wait is not missed
either. In a client nobody else could tick: there each wait of the transport ends by itself (`_timed`), as
if it had been woken.
"""

import contextlib
import math
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

import trio

from smtpcore import LocalProtocolError, Phase, TlsInfo, Wait

from ._transport import SocketTransport, TlsTransport, Transport

LINGER_SECONDS: Final = 1.0
LINGER_OCTETS: Final = 1_048_576

# Members of an enum are looked up by Python code in CPython 3.11: too slow for every wait.
_DATA: Final = Wait.DATA
_SEND: Final = Wait.SEND
_TLS: Final = Wait.TLS
_INTENT: Final = Wait.INTENT
_CLOSED: Final = Wait.CLOSED

_Event = TypeVar("_Event")
_Event_co = TypeVar("_Event_co", covariant=True)
_Event_contra = TypeVar("_Event_contra", contravariant=True)


class Engine(Protocol[_Event_co]):
    """What both ends have in common: `ServerConnection` and `ClientConnection`."""

    @property
    def phase(self) -> Phase:
        """Where the connection stands."""

    def next_event(self) -> _Event_co | Wait:
        """The next event, or what to do before there can be one."""

    def receive_data(self, data: bytes, now: float) -> None:
        """Octets of the peer's; none at the end of its stream."""

    def data_to_send(self, now: float) -> list[bytes]:
        """What is to be sent now."""

    def data_sent(self, now: float) -> None:
        """All of it was sent."""

    def next_deadline(self) -> float:
        """When to call `handle_timeout`."""

    def handle_timeout(self, now: float) -> None:
        """So late it is."""

    def tls_started(self, info: TlsInfo) -> None:
        """The handshake has succeeded."""

    def tls_failed(self) -> None:
        """It has not."""

    def close(self) -> None:
        """End the connection."""


class Shaker(Protocol):
    """What begins TLS over a socket: `TlsContext` or `ClientTlsContext`."""

    async def shake_hands(self, transport: SocketTransport) -> tuple[TlsTransport, TlsInfo]:
        """Shake hands with the peer.

        Raises:
            trio.BrokenResourceError: it failed.
            trio.ClosedResourceError: *transport* was woken.
        """


class Tap(Protocol):
    """What looks at the octets that pass, outside of TLS."""

    def sent(self, octets: bytes) -> None:
        """These are about to be sent."""

    def received(self, octets: bytes) -> None:
        """These came."""


class Watch(Tap, Protocol[_Event_contra]):
    """A tap that is told of everything else, too."""

    def happened(self, event: _Event_contra) -> None:
        """The engine has said this, and it is about to be handed out."""

    def secured(self, tls: TlsInfo) -> None:
        """A handshake after STARTTLS has succeeded."""

    def expired(self, deadline: str) -> None:
        """A deadline has ended what the engine had no event for any more."""


# The type of the events goes with that of the engine, but no type checker can find it by that.
_Engine = TypeVar("_Engine", bound=Engine[Any])


class Pump(Generic[_Engine, _Event]):
    """Moves octets and time between a transport and an engine, and hands its events out.

    Args:
        connection: the engine.
        transport: through TLS, where the connection began with it.
        tls_context: for STARTTLS.
        last_words: when nothing can be sent any more, read on: the peer may have said why.
        tap: is told of all octets.
        observation: a tap that is told of the events, too.
    """

    __slots__ = (
        "_ahead", "_broken", "_ended", "_last_words", "_now", "_sending", "_stuck", "_tap", "_tls_context",
        "_transport", "_waiting", "answer", "connection", "observation", "tls_failure",
    )  # fmt: skip

    def __init__(
        self,
        connection: _Engine,
        transport: Transport,
        tls_context: Shaker | None = None,
        *,
        last_words: bool = False,
        tap: Tap | None = None,
        observation: Watch[_Event] | None = None,
    ) -> None:
        self.connection = connection
        self.observation = observation
        self._transport = transport
        self._tls_context = tls_context
        self._last_words = last_words
        self._tap = tap if observation is None else observation
        self.answer: Callable[[_Event], bool] | None = None
        """Deals with an event, if that needs no waiting; whether it has. For what comes while nobody asks."""
        self._ahead: _Event | None = None  # an event that nobody has asked for yet
        self._now = trio.lowlevel.current_clock().current_time
        self._waiting = False  # for the peer
        self._sending = False
        self._broken = False  # nothing can be sent any more
        self._ended = False  # nor received
        self._stuck = False  # because the peer takes nothing
        self.tls_failure: BaseException | None = None

    async def next_event(self) -> _Event | None:
        """The next event; None after the last one, when the connection is closed.

        In a client, None is also the answer where the next move is the application's.

        Raises:
            LocalProtocolError: a question is open.
        """
        while True:
            if self._sending and not self._broken:
                # Before anything is read: who takes no replies earns no more. (Or who waited here was cancelled.)
                await self._drain()
            if (ahead := self._ahead) is not None:
                self._ahead = None
                return ahead
            # Not isinstance, which narrows the type: of what is no member of an enum it costs as much as a call.
            step: Any = self._turn()
            if type(step) is not Wait:
                if self.answer is not None and self.answer(step):
                    continue
                event: _Event = step
                return event
            if step is _DATA:
                await self._read()
            elif step is _SEND:
                continue
            elif step is _INTENT and not self._broken:
                return None
            elif step is _INTENT:
                await self._read()  # or the application would go on, and nobody would notice
            elif step is _TLS:
                await self._shake_hands()
            elif step is _CLOSED:
                await self._close()
                return None
            else:
                raise LocalProtocolError("the open question was not answered")

    def _turn(self, now: float | None = None) -> _Event | Wait:
        """The next event, or what to wait for; what is to be sent has left by then, or it is `Wait.SEND`."""
        connection = self.connection
        while True:
            step: Any = connection.next_event()
            if type(step) is not Wait:
                if self.observation is not None:
                    self.observation.happened(step)
                event: _Event = step
                return event
            if now is None:
                now = self._now()
            if (octets := connection.data_to_send(now)) and not self._put(b"".join(octets), now):
                # To wait for the peer to take them is time in which the engine may change its mind.
                return _SEND
            if step is not _SEND:
                wait: Wait = step
                return wait

    def tick(self, now: float) -> float:
        """Tell the engine the time, if that is news to it; end the wait of a connection that is over.

        Returns:
            When to call it again, at the latest.
        """
        if self.connection.next_deadline() <= now:
            # The engine has had its last event: only what is to be written has a deadline now.
            if self.observation is not None and self.connection.phase is Phase.CLOSED:
                self.observation.expired("write")
            self.connection.handle_timeout(now)
        self._wake_if_closed(now)
        # The wait of a connection that is over may begin only now, and has to be ended then.
        return -math.inf if self.connection.phase is Phase.CLOSED else self.connection.next_deadline()

    @property
    def broken(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._broken

    def quiet(self) -> bool:
        """Whether nothing has come since it was last waited for."""
        return self._transport.quiet()

    def cut(self) -> None:
        """Close the transport at once, whatever is under way."""
        self._broken = self._ended = True
        self._transport.wake()
        self._transport.close()

    def shut_down(self, now: float) -> None:
        """Let the connection end in good order, as soon as it can."""
        self.connection.close()
        self._wake_if_closed(now)

    def _wake_if_closed(self, now: float) -> None:
        connection = self.connection
        if not self._waiting or connection.phase is not Phase.CLOSED:
            return
        # What is being sent has a deadline of its own, the only one that outlives the session.
        if not self._sending or not now < connection.next_deadline() < math.inf:
            self._transport.wake()

    # --- what the engine may want ------------------------------------------------------------------

    def _put(self, octets: bytes, now: float) -> bool:
        """Send *octets* at once, if that can be done."""
        if self._broken:
            self.connection.data_sent(now)
            return True
        if self._tap is not None:
            self._tap.sent(octets)
        try:
            if not self._transport.put(octets):
                self._sending = True
                return False
        except trio.BrokenResourceError:
            self._broken = True
            self._ended = not self._last_words
        self.connection.data_sent(now)
        return True

    async def _drain(self) -> None:
        """Wait until the peer has taken what is sent."""
        self._waiting = True
        try:
            await self._transport.drain()
        except trio.BrokenResourceError:
            self._broken = True
            self._ended = not self._last_words
        except trio.ClosedResourceError:
            self._broken = self._ended = self._stuck = True
        finally:
            self._waiting = False
        self._sending = False
        self.connection.data_sent(self._now())

    async def _read(self) -> None:
        """Feed what the peer sends. The engine has read all it had, so it wants data now."""
        if self._ended:
            self.connection.receive_data(b"", self._now())
            return
        self._waiting = True
        try:
            await self._transport.until(self._advance)
        except trio.ClosedResourceError:  # the engine has closed
            pass
        finally:
            self._waiting = False

    def _advance(self) -> bool:
        """Feed what has come, and go on as far as that needs no waiting; whether the task has to."""
        now = self._now()
        if not self.hear(now):
            return False
        answer = self.answer
        while answer is not None:
            step: Any = self._turn(now)
            if type(step) is Wait:
                return step is not _DATA
            if not answer(step):
                self._ahead = step
                break
        return True

    def hear(self, now: float) -> bool:
        """Feed what has come, were it the end; whether something has."""
        try:
            data = self._transport.receive_now()
        except trio.BrokenResourceError:
            self._broken = self._ended = True
            data = b""
        if data is None:
            return False
        if self._tap is not None:
            self._tap.received(data)
        self.connection.receive_data(data, now)
        return True

    async def _shake_hands(self) -> None:
        transport = self._transport
        if self._tls_context is None or not isinstance(transport, SocketTransport):
            raise LocalProtocolError("STARTTLS was accepted where there cannot be TLS")
        self._waiting = True
        try:
            self._transport, info = await self._tls_context.shake_hands(transport)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.tls_failure = error.__cause__
            self._broken = self._ended = True  # nothing may be sent in the clear
            if self.connection.phase is Phase.TLS:
                self.connection.tls_failed()
        else:
            if self.connection.phase is Phase.TLS:  # it did not take too long
                self.connection.tls_started(info)
                if self.observation is not None:
                    self.observation.secured(info)
        finally:
            self._waiting = False

    async def _close(self) -> None:
        if not self._broken:
            with trio.move_on_after(LINGER_SECONDS), contextlib.suppress(trio.BrokenResourceError):
                await self._part()
        # Or the kernel would go on trying to deliver what nobody takes.
        self._transport.close(reset=self._stuck)

    async def _part(self) -> None:
        """Say that this is the end, and let the peer finish.

        To close a socket that has unread octets resets the connection, which may take the last reply from
        the peer.
        """
        await self._transport.end()
        octets = 0
        while octets < LINGER_OCTETS and (data := await self._transport.receive()):
            octets += len(data)
