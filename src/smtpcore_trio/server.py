"""`serve`: accept connections, hold each in a task, and end them all in good order."""

import socket
from collections.abc import Callable, Sequence
from typing import Final

import trio

from smtpcore import SMTP, Dialect, Peer, Reply, ServerConfig, ServerConnection, TlsInfo

from ._conversation import LOCAL_ERROR, Conversation, ServerPump, logger
from ._transport import SocketTransport, Transport
from .session import BaseSession, Facts, Session
from .tls import TlsContext

NewSession = Callable[[Facts], Session]

TOO_MANY: Final = Reply(421, "Too many connections, try again later", "4.3.2")

# How late a deadline may be noticed: so many seconds, or this part of the shortest timeout.
_TICK: Final = 1.0
_TICK_PART: Final = 8


async def serve(
    listeners: Sequence[trio.SocketListener],
    new_session: NewSession,
    config: ServerConfig,
    *,
    dialect: Dialect = SMTP,
    tls_context: TlsContext | None = None,
    implicit_tls: bool = False,
    max_connections: int = 1000,
    grace: float = 30.0,
    auth_delay: float = 1.0,
    task_status: "trio.TaskStatus[Server]" = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, then drain.

    To drain is to stop accepting, to say 421 to every client at its next legal moment, and to let
    messages that are coming in end in their verdict. This takes *grace* seconds at most, through any
    cancellation; what is left then is cut.

    Args:
        listeners: such as `trio.open_tcp_listeners` returns; they are closed in the end.
        new_session: called with the facts of each connection, makes its session.
        config: of every connection.
        dialect: SMTP, SUBMISSION or LMTP.
        tls_context: for STARTTLS, if the config has it, or for *implicit_tls*.
        implicit_tls: every connection begins with TLS (RFC 8314 section 3).
        max_connections: one more is told so by a 421, many more are closed at once.
        grace: seconds that draining may take.
        auth_delay: seconds before the reply to a failed AUTH.
        task_status: is told the `Server` once connections are accepted.

    Raises:
        ValueError: TLS is wanted, and there is no context for it.
        LocalProtocolError: the config does not suit the dialect.
    """
    offered = {extension.keyword for extension in config.extensions}
    if tls_context is None and (implicit_tls or "STARTTLS" in offered):
        raise ValueError("TLS needs a tls_context")
    config.plan(dialect)
    server = Server(new_session, config, dialect, tls_context, implicit_tls, max_connections, grace, auth_delay)
    await server._run(listeners, task_status)


class Server:
    """A server at work, for looking at and for draining. Made by `serve`."""

    def __init__(
        self,
        new_session: NewSession,
        config: ServerConfig,
        dialect: Dialect,
        tls_context: TlsContext | None,
        implicit_tls: bool,
        max_connections: int,
        grace: float,
        auth_delay: float,
    ) -> None:
        self._new_session = new_session
        self._config = config
        self._dialect = dialect
        self._tls_context = tls_context
        self._implicit_tls = implicit_tls
        self._max_connections = max_connections
        self._grace = grace
        self._auth_delay = auth_delay
        self._pumps: set[ServerPump] = set()
        self._handshakes: set[trio.CancelScope] = set()
        self._accepting = trio.CancelScope()
        self._living = trio.CancelScope(shield=True)
        self._ready = trio.Event()
        self._empty = trio.Event()
        self.draining = False

    @property
    def connections(self) -> int:
        """How many there are now, those that shake hands and those that are being refused included."""
        return len(self._pumps) + len(self._handshakes)

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
        for scope in self._handshakes:
            scope.cancel()
        for pump in self._pumps:
            pump.shut_down(now)
        self._note_if_empty()

    def _note_if_empty(self) -> None:
        if self.draining and self.connections == 0:
            self._empty.set()

    async def _run(self, listeners: Sequence[trio.SocketListener], task_status: "trio.TaskStatus[Server]") -> None:
        # The sessions live in a task that does not hear of cancellation; what is cancelled is the accepting.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hold_sessions)
            try:
                await self._ready.wait()
                with self._accepting:
                    task_status.started(self)
                    await trio.serve_listeners(self._serve_one, list(listeners), handler_nursery=self._sessions)
            finally:
                self.drain()

    async def _hold_sessions(self) -> None:
        with self._living:
            async with trio.open_nursery() as self._sessions:
                self._sessions.start_soon(self._reap)
                self._ready.set()
                await self._empty.wait()
                self._sessions.cancel_scope.cancel()

    async def _reap(self) -> None:
        """Tell every connection the time, now and then."""
        timeouts = self._config.timeouts
        shortest = min(timeouts.command, timeouts.body, timeouts.write, timeouts.tls, timeouts.session)
        tick = min(_TICK, shortest / _TICK_PART)
        while True:
            await trio.sleep(tick)
            now = trio.current_time()
            for pump in self._pumps:
                try:
                    pump.tick(now)
                except Exception:
                    logger.exception("the deadlines of a connection were lost by an error")

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        try:
            with socket.socket(fileno=stream.socket.detach()) as connected:
                await self._converse(SocketTransport(connected))
        except Exception:
            # Nothing that one connection does may end the others.
            logger.exception("a connection was lost by an error")
        finally:
            self._note_if_empty()

    async def _converse(self, below: SocketTransport) -> None:
        peer = peer_of(below.socket)
        if peer is None or self.connections >= 2 * self._max_connections:
            return
        refusal = None
        if self.connections >= self._max_connections:
            refusal = TOO_MANY
        elif self.draining:
            refusal = self._config.plan(self._dialect).replies.shutting_down

        tls: TlsInfo | None = None
        transport: Transport = below
        if self._implicit_tls:
            if refusal is not None:  # not worth a handshake
                return
            shaken = await self._shake_hands(below)
            if shaken is None:
                return
            transport, tls = shaken

        connection = ServerConnection(self._config, peer=peer, tls=tls, dialect=self._dialect)
        pump = ServerPump(connection, transport, self._tls_context)
        session: Session
        try:
            session = self._new_session(connection)
        except Exception:
            logger.exception("no session could be made")
            session, refusal = BaseSession(connection), LOCAL_ERROR
        conversation = Conversation(
            pump, session, refusal=refusal, starttls=self._tls_context is not None, auth_delay=self._auth_delay
        )
        self._pumps.add(pump)
        try:
            await conversation.run()
        finally:
            self._pumps.discard(pump)

    async def _shake_hands(self, below: SocketTransport) -> tuple[Transport, TlsInfo] | None:
        """Begin with TLS; None where that fails."""
        assert self._tls_context is not None
        with trio.move_on_after(self._config.timeouts.tls) as scope:
            self._handshakes.add(scope)
            try:
                return await self._tls_context.shake_hands(below)
            except trio.BrokenResourceError:
                return None
            finally:
                self._handshakes.discard(scope)
        return None


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
