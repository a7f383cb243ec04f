"""`serve`: accept connections, hold each in a task, and end them all in good order.

Theory of operation. A connection that is accepted is let in or turned away at once, in the task that accepts:
no limit can be overrun before it is looked at, and to turn one away takes no task and no waiting. One that
comes from a proxy is held to the limits of an address only when the proxy has said whose it is.

The sessions live in a task that does not hear of cancellation. What is cancelled is the accepting; after it
the sessions are let end, until the grace is over.
"""

import contextlib
import errno
import inspect
import math
import socket
from collections.abc import Callable, Sequence
from typing import Final

import trio

from smtpcore import Closed, Envelope, Hello, Identity, Limits, Peer, ServerConnection, TlsInfo
from smtpcore.proxy import ProxyError

from ._conversation import LOCAL_ERROR, Conversation, ServerPump, logger, reads_bodies
from ._hub import WatchedTransport, new_hub
from ._transport import SocketTransport, TlsTransport, Transport
from ._worker import Order, reload_certificates
from .admission import Admission, Full, Gate, Seat, descriptors
from .listening import Port, waiting
from .observe import NO_PROXY_HEADER, NO_TLS, NOBODY, Observer, SessionFacts, guarded, new_session_id, observing
from .proxied import hear_proxy, is_proxy
from .session import BaseSession, Facts, Session
from .tls import TlsContext
from .workers import Workers

NewSession = Callable[[Facts], Session]

# How late a deadline may be noticed: so many seconds, or this part of the shortest timeout.
_TICK: Final = 1.0
_TICK_PART: Final = 8

# accept(2) fails with these for good, with others for now: no file descriptor, no memory, a network that is down.
_NO_LISTENER: Final = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP)
_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_COMPLAIN_EVERY: Final = 60.0

# For `closed` of a session, also of one that was cut.
_CLOSED_SECONDS: Final = 5.0


async def serve(
    ports: Sequence[Port],
    new_session: NewSession,
    *,
    admission: Admission | None = None,
    observer: Observer = NOBODY,
    grace: float = 30.0,
    auth_delay: float = 1.0,
    workers: int | None = None,
    task_status: "trio.TaskStatus[Server | Workers]" = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, then drain.

    To drain is to stop accepting, to say 421 to every client at its next legal moment, and to let
    messages that are coming in end in their verdict. This takes *grace* seconds at most, through any
    cancellation; what is left then is cut, and what it holds let go of (`BaseSession.closed`).

    Args:
        ports: the ways in.
        new_session: called with the facts of each connection, makes its session.
        admission: the limits on connections to all ports together.
        observer: is told of all that happens.
        grace: seconds that draining may take.
        auth_delay: seconds before the reply to a failed AUTH.
        workers: so many other processes serve, and this one sees to them: see `Workers`.
        task_status: is told the `Server`, or the `Workers`, once connections are accepted.

    Raises:
        ValueError: there is no port, no worker, or a process may have no more file descriptors than are to be kept.
        OSError: a listener has failed for good, or no worker can be started; the server has drained.
        Unsendable: the workers cannot be told of an argument.
        WorkerFailed: a worker ended before it was ready.
    """
    if not ports:
        raise ValueError("a server needs a port")
    admission = admission or Admission()
    if admission.reserve_descriptors >= descriptors():
        raise ValueError("reserve_descriptors leaves none for connections")
    if workers is not None:
        order = Order(serve, ports, new_session, admission, observer, grace, auth_delay)
        await Workers(order, workers).run(task_status)
        return
    server = Server(ports, new_session, Gate(admission, guarded(observer)), grace, auth_delay)
    await server._run(task_status)


class Server:
    """A server at work, for looking at and for draining. Made by `serve`."""

    def __init__(
        self, ports: Sequence[Port], new_session: NewSession, gate: Gate, grace: float, auth_delay: float
    ) -> None:
        self.ports = tuple(ports)
        self.draining = False
        self.cut = 0
        """The sessions that were not over when the grace was."""
        self._new_session = new_session
        self._gate = gate
        self._grace = grace
        self._auth_delay = auth_delay
        self._pumps: dict[ServerPump, str] = {}  # to their sessions' ids
        self._early: set[trio.CancelScope] = set()  # around what comes before a session
        self._hub = new_hub()
        self._accepting = trio.CancelScope()
        self._living = trio.CancelScope()
        self._ready = trio.Event()
        self._empty = trio.Event()
        self._closed = False
        self._complained = -math.inf
        self._failure: OSError | None = None  # of a listener

    @property
    def connections(self) -> int:
        """How many there are now, those included that shake hands or have not said whose they are."""
        return self._gate.connections

    @property
    def handshakes(self) -> int:
        """How many TLS handshakes there are now."""
        return self._gate.handshakes

    def drain(self, grace: float | None = None) -> None:
        """Drain, as `serve` does when it is cancelled, and let `serve` return.

        Args:
            grace: seconds left for it. A second call may shorten, and not lengthen, what the first gave.
        """
        now = trio.current_time()
        self._living.deadline = min(self._living.deadline, now + (self._grace if grace is None else grace))
        if self.draining:
            return
        self.draining = True
        self._accepting.cancel()
        for scope in self._early:
            scope.cancel()
        for pump in self._pumps:
            pump.shut_down(now)

    async def reload(self) -> bool:
        """Read the files of all certificates again; whether that could be. What could not be read is logged, and stays.

        Handshakes that begin from now on are with what is in the files now.
        """
        errors = await reload_certificates(self.ports)
        for error in errors:
            logger.error("a certificate could not be read again: %s", error)
        return not errors

    def _note_if_empty(self) -> None:
        if self._closed and self.connections == 0:
            self._empty.set()

    def _close(self) -> None:
        """Stop listening. To whoever has connected by now something is said, too."""
        for port in self.ports:
            for listener in port.listeners:
                if self._ready.is_set() and not self._living.cancel_called:
                    for connected in waiting(listener):
                        self._let_in_safely(port, connected)
                listener.socket.close()
        self._closed = True
        self._note_if_empty()

    async def _run(self, task_status: "trio.TaskStatus[Server]") -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hold_sessions)
            try:
                await self._ready.wait()
                with self._accepting:
                    task_status.started(self)
                    async with trio.open_nursery() as accepting:
                        for port in self.ports:
                            for listener in port.listeners:
                                accepting.start_soon(self._accept, port, listener)
            finally:
                self.drain()
                self._close()
        if self._failure is not None:
            raise self._failure

    async def _hold_sessions(self) -> None:
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as watching:
                if self._hub is not None:
                    watching.start_soon(self._hub.run)
                with self._living:
                    async with trio.open_nursery() as self._sessions:
                        self._sessions.start_soon(self._reap)
                        self._ready.set()
                        await self._empty.wait()
                        self._sessions.cancel_scope.cancel()
                # Not before: what a session does while it is cut may still wait for its client.
                watching.cancel_scope.cancel()
        if self.cut:
            logger.warning("%d sessions were cut, as they did not end in time", self.cut)

    async def _reap(self) -> None:
        """Tell every connection the time, now and then."""
        shortest = min(
            min(each.command, each.body, each.write, each.tls, each.session)
            for each in (port.config.timeouts for port in self.ports)
        )
        tick = min(_TICK, shortest / _TICK_PART)
        due = -math.inf
        while True:
            await trio.sleep(tick)
            now = trio.current_time()
            if now < due and not self.draining:
                continue
            # A deadline that is armed from now on is later than this, and one that is armed moves to later only.
            due = now + shortest
            for pump, session_id in self._pumps.items():
                try:
                    due = min(due, pump.tick(now))
                except Exception:
                    logger.exception("the deadlines of the session %s were lost by an error", session_id)

    # --- letting in --------------------------------------------------------------------------------

    async def _accept(self, port: Port, listener: trio.SocketListener) -> None:
        pause = _PAUSE
        while True:
            try:
                accepted, _ = await listener.socket.accept()
            except OSError as error:
                if error.errno in _NO_LISTENER:
                    self._failure = error
                    self._accepting.cancel()
                    return
                self._complain(port, error)
                await trio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause = _PAUSE
            self._let_in_safely(port, socket.socket(fileno=accepted.detach()))

    def _let_in_safely(self, port: Port, connected: socket.socket) -> None:
        try:
            self._let_in(port, connected)
        except Exception:
            logger.exception("a connection was lost by an error")
            connected.close()

    def _complain(self, port: Port, error: OSError) -> None:
        now = trio.current_time()
        if now - self._complained >= _COMPLAIN_EVERY:
            self._complained = now
            logger.error("connections to %s cannot be accepted, trying on: %s", port.name, error)

    def _let_in(self, port: Port, connected: socket.socket) -> None:
        """Start the task of a connection, or turn it away."""
        peer = peer_of(connected)
        if peer is None:
            connected.close()
            return
        proxy = is_proxy(port, peer)
        try:
            seat = self._gate.enter(peer, connected.fileno())
            try:
                if not proxy:
                    seat.claim(peer, trio.current_time())
            except BaseException:
                seat.leave()
                raise
        except Full as full:
            self._turn_away(port, connected, full)
            connected.close()
        else:
            self._sessions.start_soon(self._serve_one, port, connected, peer, seat, proxy)

    def _turn_away(self, port: Port, connected: socket.socket, full: Full) -> None:
        """Say why, where that needs no waiting."""
        if self._gate.admission.silent or port.implicit_tls:  # which is not worth a handshake
            return
        with contextlib.suppress(OSError):
            connected.setblocking(False)
            # RFC 2034 4: no enhanced status code in a greeting.
            connected.send(full.reply.wire(False))
            connected.shutdown(socket.SHUT_WR)
            # To close a socket with octets that nobody has read resets the connection, and the reply may be lost.
            connected.recv(65536)

    async def _serve_one(self, port: Port, connected: socket.socket, peer: Peer, seat: Seat, proxy: bool) -> None:
        session_id = new_session_id()
        try:
            with connected:  # should it not come to a transport
                below = SocketTransport(connected) if self._hub is None else WatchedTransport(connected, self._hub)
                with contextlib.closing(below):
                    introduced = await self._introduce(port, below, peer, seat, proxy)
                    if introduced is not None:
                        await self._converse(port, session_id, introduced, seat)
        except BaseException as error:
            # Nothing that one connection does may end the others.
            ours, theirs = BaseExceptionGroup("", [error]).split(_is_ours)
            if theirs is not None:
                logger.error("the session %s was lost by an error", session_id, exc_info=error)
            if ours is not None:
                raise ours from None
        finally:
            seat.leave()
            self._note_if_empty()

    # --- what comes before a session ---------------------------------------------------------------

    async def _introduce(
        self, port: Port, below: SocketTransport, peer: Peer, seat: Seat, proxy: bool
    ) -> "Introduced | None":
        """A PROXY header, a handshake; None where they fail, or do not come in time."""
        if not proxy and not port.implicit_tls:
            return below, peer, None
        with trio.CancelScope() as scope:
            self._early.add(scope)
            try:
                if self.draining:  # it was accepted just before
                    return None
                if not proxy:
                    return await self._shake_hands(port, below, peer, seat)
                return await self._hear_proxy(port, below, peer, seat)
            except trio.BrokenResourceError:
                return None
            finally:
                self._early.discard(scope)
        return None

    async def _hear_proxy(self, port: Port, below: SocketTransport, proxy: Peer, seat: Seat) -> "Introduced | None":
        try:
            header = await hear_proxy(below)
            if header.source is not None:
                seat.claim(header.source, trio.current_time())
        except ProxyError as error:
            whence = proxy.address or "a Unix socket"
            logger.info("a connection from %s to %s had no PROXY header: %s", whence, port.name, error)
            self._gate.observer.refused(NO_PROXY_HEADER, proxy)
            return None
        except Full as full:
            self._turn_away(port, below.socket, full)
            return None
        peer = header.peer(proxy)
        if port.implicit_tls:
            return await self._shake_hands(port, below, peer, seat)
        return below, peer, header.tls_info()

    async def _shake_hands(self, port: Port, below: SocketTransport, peer: Peer, seat: Seat) -> "Introduced | None":
        assert port.tls_context is not None
        with trio.move_on_after(port.config.timeouts.tls):
            try:
                above, tls = await Handshaker(port.tls_context, seat).shake_hands(below)
            except trio.BrokenResourceError as error:
                if not isinstance(error.__cause__, Full):
                    self._gate.observer.refused(NO_TLS, peer)
                raise
            return above, peer, tls
        self._gate.observer.refused("tls", peer)
        return None

    # --- a session ---------------------------------------------------------------------------------

    async def _converse(self, port: Port, session_id: str, introduced: "Introduced", seat: Seat) -> None:
        transport, peer, tls = introduced
        handshaker = None if port.tls_context is None else Handshaker(port.tls_context, seat)
        connection = ServerConnection(port.config, peer=peer, tls=tls, dialect=port.dialect)
        facts = ConnectionFacts(connection, session_id, port.name)
        refusal = connection.replies.shutting_down if self.draining else None
        session: Session
        try:
            session = self._new_session(facts)
            if not reads_bodies(type(session)):
                raise TypeError("Session.data must be a coroutine function")
        except Exception:
            logger.exception("no session could be made for %s", session_id)
            session, refusal = BaseSession(facts), LOCAL_ERROR
        told = SessionFacts(session_id, peer, port.name, tls)
        with observing(self._gate.observer, told, connection) as observation:
            pump = ServerPump(connection, transport, handshaker, observation=observation)
            # Where there is no context, the answer is that of bool(): False.
            conversation = Conversation(
                pump,
                session,
                refusal=refusal,
                starttls=bool if handshaker is None else handshaker.free,
                auth_delay=self._auth_delay,
                session_id=session_id,
                observation=observation,
            )
            self._pumps[pump] = session_id
            try:
                await conversation.run()
            finally:
                del self._pumps[pump]
                if conversation.closed is None and self._living.cancel_called:
                    self.cut += 1
                await _release(session, conversation.closed, session_id)


async def _release(session: Session, closed: Closed | None, session_id: str) -> None:
    """Tell *session* that it is over, where it wants to know."""
    hook = getattr(session, "closed", None)
    if not callable(hook):
        return
    try:
        waiting = hook(closed)
        if inspect.isawaitable(waiting):
            with trio.CancelScope(deadline=trio.current_time() + _CLOSED_SECONDS, shield=True) as scope:
                await waiting
            if scope.cancelled_caught:
                logger.error("the session %s took too long at closed", session_id)
    except Exception:
        logger.exception("the session %s failed at closed", session_id)


Introduced = tuple[Transport, Peer, TlsInfo | None]


class Handshaker:
    """Begins TLS with one client, where there is room for that."""

    __slots__ = ("_context", "_seat")

    def __init__(self, context: TlsContext, seat: Seat) -> None:
        self._context = context
        self._seat = seat

    def free(self) -> bool:
        """Whether there is room now."""
        return self._seat.handshake_limit() is None

    async def shake_hands(self, transport: SocketTransport) -> tuple[TlsTransport, TlsInfo]:
        """See `TlsContext.shake_hands`."""
        try:
            with self._seat.handshake():
                return await self._context.shake_hands(transport)
        except Full as full:
            raise trio.BrokenResourceError from full


class ConnectionFacts:
    """The `Facts` of a connection."""

    __slots__ = ("_connection", "port", "session_id")

    def __init__(self, connection: ServerConnection, session_id: str, port: str) -> None:
        self._connection = connection
        self.session_id = session_id
        self.port = port

    @property
    def peer(self) -> Peer:
        """See `Facts`."""
        return self._connection.peer

    @property
    def tls(self) -> TlsInfo | None:
        """See `Facts`."""
        return self._connection.tls

    @property
    def hello(self) -> Hello | None:
        """See `Facts`."""
        return self._connection.hello

    @property
    def identity(self) -> Identity | None:
        """See `Facts`."""
        return self._connection.identity

    @property
    def envelope(self) -> Envelope | None:
        """See `Facts`."""
        return self._connection.envelope

    @property
    def limits(self) -> Limits:
        """See `Facts`."""
        return self._connection.limits


def _is_ours(error: BaseException) -> bool:
    """Whether *error* is not of a session, but ends it: not so a `trio.Cancelled` that it has let out by mistake."""
    if isinstance(error, trio.Cancelled):
        return trio.current_effective_deadline() == -math.inf
    return isinstance(error, KeyboardInterrupt | SystemExit)


def peer_of(connected: socket.socket) -> Peer | None:
    """Who is at the other end; None if nobody is any more."""
    try:
        name = connected.getpeername()
    except OSError:
        return None
    if not isinstance(name, tuple):  # a Unix socket
        return Peer(None)
    return Peer(plain_address(str(name[0])), int(name[1]))


def plain_address(address: str) -> str:
    """An IP address without the scope that its host wrote to it; IPv4 as such, also where it came by an IPv6 socket."""
    address = address.partition("%")[0]
    return address.removeprefix("::ffff:") if "." in address else address
