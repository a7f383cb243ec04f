"""`connect`, and the client that it makes: one connection to a server, for any number of messages.

Nothing here knows a rule of SMTP: the engine does. A client moves octets, and turns the engine's events into
what its methods return or raise.
"""

import contextlib
import enum
import os
import socket
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Final, ParamSpec, Protocol, Self, TypeVar

import trio

from smtpcore import (
    SMTP,
    Answer,
    AuthDone,
    Capabilities,
    Cause,
    ClientConfig,
    ClientConnection,
    ClientEvent,
    Closed,
    Command,
    Dialect,
    Envelope,
    Greeting,
    HelloDone,
    Outcome,
    Phase,
    Reply,
    TlsInfo,
    Transaction,
    TransactionDone,
    Wait,
)
from smtpcore.sasl import ClientMechanism

from ._client_errors import Disconnected, NotOffered, Rejected
from ._dialling import dial, dial_unix, our_name
from ._pieces import Message, Pieces
from ._pump import Pump, Tap
from ._timed import TimedTransport, client_transport
from ._transport import Transport
from .observe_client import ClientObservation, ClientObserver, Sent, connecting
from .tls import StockTlsContext

_DIGEST_OCTETS: Final = 32
# Members of an enum are looked up by Python code in CPython 3.11: too slow for every wait.
_WAIT_INTENT: Final = Wait.INTENT
_PHASE_CLOSED: Final = Phase.CLOSED

ClientPump = Pump[ClientConnection, ClientEvent]

_Event = TypeVar("_Event")
_P = ParamSpec("_P")


class TlsMode(enum.Enum):
    """What a client does about TLS."""

    NONE = "speak in the clear"
    OPPORTUNISTIC = "STARTTLS where it is offered; whose certificate that is does not matter by default"
    REQUIRED = "STARTTLS, or no mail"
    IMPLICIT = "begin with TLS (RFC 8314 section 3)"


class Watcher(Tap, Protocol):
    """What is told of all that happens on a connection."""

    def happened(self, event: ClientEvent) -> None:
        """This is an event of the engine's."""

    def secured(self, info: TlsInfo) -> None:
        """From here on octets pass through TLS."""


async def connect(
    host: str,
    port: int,
    *,
    tls: TlsMode = TlsMode.OPPORTUNISTIC,
    context: ssl.SSLContext | None = None,
    server_name: str | None = None,
    hello: str | None = None,
    config: ClientConfig | None = None,
    dialect: Dialect = SMTP,
    connect_seconds: float = 30.0,
    watcher: Watcher | None = None,
    source_address: str | None = None,
    pinned: Collection[bytes] = (),
    observer: ClientObserver | None = None,
) -> "SMTPClient":
    """Connect to a server, greet it, and begin with TLS as *tls* says.

    To end the connection well is to use the client by ``async with``.

    Args:
        host: a domain or an IP address, all addresses of which are tried.
        port: 25 for SMTP, 587 or 465 (`TlsMode.IMPLICIT`) for submission.
        tls: OPPORTUNISTIC suits mail between servers. Who sends a password wants REQUIRED or IMPLICIT.
        context: without one, OPPORTUNISTIC takes any certificate, and the others only one that is valid and is
            for *server_name*.
        server_name: whose certificate is wanted; by default *host*.
        hello: our name for EHLO: a domain or an address literal; by default the best that this host knows.
        config, dialect: of the connection.
        connect_seconds: for the connection itself, before the engine's deadlines begin.
        watcher: is told of all that happens.
        source_address: one of this host's, to connect from.
        pinned: SHA-256 digests of certificates or of their public keys: no other certificate is taken, and of
            these, where there is no *context*, nothing else is asked. Wants REQUIRED or IMPLICIT.
        observer: is told of the connection, its messages and its deadlines.

    Raises:
        ValueError: *pinned* holds no digests, or does not go with *tls*.
        OSError: there is no connection: `TimeoutError`, `socket.gaierror` and others.
        Rejected: the server does not greet us.
        NotOffered: TLS is required and is not offered.
        Disconnected: the connection was lost, or TLS failed; then its cause is a `NotPinned` or an `ssl.SSLError`, and
            its text says so.
    """
    check_pins(pinned, tls)
    with connecting(observer, host, port) as observation:
        connected = await dial(host, port, connect_seconds, source_address)
        return await _converse(
            connected, server_name or host, tls, context, hello, config, dialect, watcher, pinned, observation
        )


async def connect_unix(
    path: str | os.PathLike[str],
    *,
    tls: TlsMode = TlsMode.OPPORTUNISTIC,
    context: ssl.SSLContext | None = None,
    server_name: str = "localhost",
    hello: str | None = None,
    config: ClientConfig | None = None,
    dialect: Dialect = SMTP,
    connect_seconds: float = 30.0,
    watcher: Watcher | None = None,
    pinned: Collection[bytes] = (),
    observer: ClientObserver | None = None,
) -> "SMTPClient":
    """As `connect`, over a Unix socket: such as LMTP is often spoken over."""
    check_pins(pinned, tls)
    where = os.fspath(path)
    with connecting(observer, where, 0) as observation:
        connected = await dial_unix(where, connect_seconds)
        return await _converse(
            connected, server_name, tls, context, hello, config, dialect, watcher, pinned, observation
        )


def check_pins(pinned: Collection[bytes], tls: TlsMode) -> None:
    """See that *pinned* goes with *tls*.

    Raises:
        TypeError: it is no collection of digests.
        ValueError: it does not: mail could go out in the clear, or no certificate could be right.
    """
    if not all(isinstance(digest, bytes) for digest in pinned):
        raise TypeError("pinned holds SHA-256 digests, each of them bytes: pinned=[digest]")
    if pinned and tls not in (TlsMode.REQUIRED, TlsMode.IMPLICIT):
        raise ValueError("a certificate that is pinned wants TLS, not " + tls.name.lower())
    if any(len(digest) != _DIGEST_OCTETS for digest in pinned):
        raise ValueError("a SHA-256 digest has 32 octets")


async def converse(
    connected: socket.socket,
    server_name: str,
    *,
    tls: TlsMode = TlsMode.OPPORTUNISTIC,
    context: ssl.SSLContext | None = None,
    hello: str | None = None,
    config: ClientConfig | None = None,
    dialect: Dialect = SMTP,
    watcher: Watcher | None = None,
    pinned: Collection[bytes] = (),
    observer: ClientObserver | None = None,
) -> "SMTPClient":
    """As `connect`, over a stream socket that is connected already, which becomes the client's."""
    with connecting(observer, server_name, 0) as observation:
        return await _converse(
            connected, server_name, tls, context, hello, config, dialect, watcher, pinned, observation
        )


async def _converse(
    connected: socket.socket,
    server_name: str,
    tls: TlsMode,
    context: ssl.SSLContext | None,
    hello: str | None,
    config: ClientConfig | None,
    dialect: Dialect,
    watcher: Watcher | None,
    pinned: Collection[bytes],
    observation: ClientObservation | None,
) -> "SMTPClient":
    with contextlib.ExitStack() as undo:
        undo.callback(connected.close)
        check_pins(pinned, tls)
        config = config or ClientConfig()
        verify = tls is not TlsMode.OPPORTUNISTIC and not pinned
        secure = StockTlsContext(context, verify, server_name.partition("%")[0].removesuffix("."), pinned)
        below = client_transport(connected)
        undo.callback(below.close)
        transport: Transport = below
        info: TlsInfo | None = None
        if tls is TlsMode.IMPLICIT:
            transport, info = await _shake_hands(secure, below, config.timeouts.tls)
            if watcher is not None:
                watcher.secured(info)
            if observation is not None:
                observation.secured(info)
        connection = ClientConnection(config, tls=info, dialect=dialect)
        below.timed = connection
        pump = ClientPump(connection, transport, secure, last_words=True, tap=watcher)
        client = SMTPClient(pump, hello or our_name(connected), watcher, observation)
        await client._begin(tls)
        undo.pop_all()
        return client


async def _shake_hands(secure: StockTlsContext, below: TimedTransport, seconds: float) -> tuple[Transport, TlsInfo]:
    with trio.move_on_after(seconds):
        try:
            return await secure.shake_hands(below)
        except trio.BrokenResourceError as error:
            raise Disconnected(Closed(Cause.TLS_FAILED), error.__cause__) from error.__cause__
    raise Disconnected(Closed(Cause.TIMED_OUT, "tls"))


class SMTPClient:
    """A connection to a server, made by `connect`; for one task at a time.

    Whatever ends a method early, such as its cancellation, closes the connection.
    """

    def __init__(
        self, pump: ClientPump, name: str, watcher: Watcher | None, observation: ClientObservation | None = None
    ) -> None:
        self.connection = pump.connection
        """The engine, to look at."""
        self.greeting: Reply | None = None
        self.closed: Closed | None = None
        """Why the connection is gone."""
        self.transaction: Transaction | None = None
        """The last one: what became of it is known here also when `send` did not return."""
        self.begun = False
        """Whether octets of that message were asked for."""
        self._pump = pump
        self._name = name
        self._watcher = watcher
        self._observation = observation
        self._busy = False
        self._work = _Work(self)
        self._now = trio.lowlevel.current_clock().current_time
        self._pieces: Pieces | None = None  # of the message that is being sent
        self._whole: bytes | None = None  # of it, where that is one piece, and not given yet
        self._failure: Exception | None = None
        self._is_watched = watcher is not None or observation is not None

    @property
    def capabilities(self) -> Capabilities:
        """What the server offers now."""
        return self.connection.capabilities

    @property
    def tls(self) -> TlsInfo | None:
        """What the TLS layer said; None in the clear."""
        return self.connection.tls

    @property
    def quiet(self) -> bool:
        """Whether the server has said nothing since it was last listened to, and has not gone.

        One that is not asked anything has nothing to say but that it goes. (TLS may have something to say to TLS.)
        """
        return self._pump.quiet()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            await self.quit()
        else:
            self.close()

    # --- what a client can be asked for --------------------------------------------------------------

    async def hello(self, name: str | None = None) -> Reply:
        """Say EHLO, HELO or LHLO anew; `connect` has said it.

        Raises:
            Rejected: the server says no.
            Disconnected: see there.
        """
        with self._at_work():
            verb = self.connection.hello(name or self._name).verb
            return _positive(verb, (await self._until(HelloDone)).reply)

    async def start_tls(self) -> TlsInfo:
        """Say STARTTLS, shake hands, and greet the server anew; `connect` has done so where that was wanted.

        Raises:
            Rejected: the server says no; the connection is as it was.
            Disconnected: the handshake failed, or see there.
        """
        with self._at_work():
            self.connection.start_tls()
            _positive("STARTTLS", (await self._until(Answer)).reply)
            while self.closed is None and self.connection.phase is Phase.TLS:
                await self._next()
            if self.closed is not None:
                raise Disconnected(self.closed, self._pump.tls_failure) from self._pump.tls_failure
            info = self.connection.tls
            assert info is not None
            if self._watcher is not None:
                self._watcher.secured(info)
            if self._observation is not None:
                self._observation.secured(info)
        await self.hello()
        return info

    async def authenticate(self, mechanisms: Sequence[ClientMechanism]) -> Reply:
        """Log in by the strongest of *mechanisms* that the server offers and the config permits now.

        Raises:
            NotOffered: there is none.
            Rejected: the server says no.
            Disconnected: see there.
        """
        with self._at_work():
            mechanism = self.connection.choose(mechanisms)
            if mechanism is None:
                offered = ", ".join(self.capabilities.mechanisms) or "none"
                raise NotOffered(f"no mechanism that may be used now is offered (offered: {offered})")
            self.connection.authenticate(mechanism)
            return _positive(f"AUTH {mechanism.name}", (await self._until(AuthDone)).reply)

    async def send(self, envelope: Envelope, message: Message) -> tuple[Outcome, ...]:
        """Send a message; what became of it for each recipient, in their order.

        That the connection is lost is no exception here: it is in the outcomes, and then in `closed`.

        Args:
            envelope: `ClientConnection.divide` makes several of one that is too large for the server.
            message: is read as the server takes it, and is not read at all when nobody is to get it.

        Raises:
            LocalProtocolError: the envelope, or the message, cannot be sent as it is.
            Disconnected: the connection was gone before.
            Exception: whatever reading *message* raises; the server gets no end of it then.
        """
        pieces = Pieces(message)
        observation = self._observation
        if observation is None:
            return await self._send(envelope, pieces)
        before, start, whole = self.transaction, trio.current_time(), False
        try:
            outcomes = await self._send(envelope, pieces)
            whole = True
            return outcomes
        finally:
            transaction = self.transaction
            if transaction is not None and transaction is not before:
                seconds = trio.current_time() - start
                observation.sent(Sent(envelope, pieces.octets, seconds, transaction.outcomes, whole))

    async def _send(self, envelope: Envelope, pieces: "Pieces") -> tuple[Outcome, ...]:
        with self._at_work():
            pump = self._pump
            self.begun = False
            transaction = self.transaction = self.connection.send(envelope)
            self._pieces, self._whole, self._failure = pieces, pieces.whole, None
            pump.answer = self._answer
            try:
                self._tick()
                while await pump.next_event() is None and self.closed is None:
                    await self._give()
                    self._tick()
            finally:
                pump.answer = self._pieces = self._whole = None
            if self.connection.phase is _PHASE_CLOSED:
                await self._settle()
            if self._failure is not None:
                raise self._failure
            return transaction.outcomes

    def _answer(self, event: ClientEvent) -> bool:
        """Go on with the message that is being sent; whether that goes on after *event*.

        What is one piece is given here: to wake the task for it would cost as much as the rest.
        """
        next_event = self.connection.next_event
        while True:
            if self._is_watched or isinstance(event, Closed):
                self._note(event)
            if isinstance(event, TransactionDone):
                return False
            step = next_event()
            if isinstance(step, Wait):
                if step is _WAIT_INTENT and self._whole is not None and not self._pump.broken:
                    whole, self._whole = self._whole, None
                    self._put(whole, True)
                return True
            event = step

    async def _give(self) -> None:
        """It is our move, and there is only one: the next piece of the message."""
        assert self._pieces is not None
        self.begun = True
        try:
            octets, last = await self._pieces.next()
        except Exception as error:
            self._fail(error)
        else:
            self._put(octets, last)

    def _put(self, octets: bytes, last: bool) -> None:
        connection, transaction, pieces = self.connection, self.transaction, self._pieces
        assert transaction is not None
        assert pieces is not None
        self.begun = True
        pieces.octets += len(octets)
        try:
            connection.send_body(transaction, octets)
            if last:
                connection.end_body(transaction)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        assert self.transaction is not None
        self._failure = error
        self.connection.abort(self.transaction)

    async def noop(self) -> Reply:
        """Say NOOP."""
        return await self.ask(self.connection.noop)

    async def reset(self) -> Reply:
        """Say RSET."""
        return await self.ask(self.connection.reset)

    async def xclient(self, attributes: Mapping[str, str | None]) -> Reply:
        """Say XCLIENT, for whom this is, and greet the server anew.

        Raises:
            Rejected: the server says no.
            Disconnected: see there.
        """
        reply = _positive("XCLIENT", await self.ask(self.connection.xclient, attributes))
        await self.hello()
        return reply

    async def ask(self, intent: Callable[_P, Command], *arguments: _P.args, **options: _P.kwargs) -> Reply:
        """The reply to a command, such as ``client.ask(client.connection.verify, "tim")``; it may say no.

        Raises:
            LocalProtocolError: it cannot be sent now, or not at all.
            Disconnected: see there.
        """
        with self._at_work():
            intent(*arguments, **options)
            return (await self._until(Answer)).reply

    async def quit(self) -> None:
        """Say QUIT, wait for the reply for a while, and close the connection, if it is not."""
        if self.closed is not None:
            return
        with self._at_work():
            self.connection.quit()
            while self.closed is None:
                await self._next()

    def close(self) -> None:
        """Close the connection at once. A message that is being sent is not completed by that."""
        self._pump.cut()
        self.connection.close()
        while not isinstance(step := self.connection.next_event(), Wait):
            self._note(step)

    # --- how -----------------------------------------------------------------------------------------

    async def _begin(self, tls: TlsMode) -> None:
        """Everything up to where messages can be sent, or passwords."""
        with self._at_work():
            self.greeting = (await self._until(Greeting)).reply
        try:
            _positive("greeting", self.greeting)
            await self.hello()
            offered = "STARTTLS" in self.capabilities
            if tls is TlsMode.REQUIRED and not offered:
                raise NotOffered("STARTTLS is not offered")
            if tls is TlsMode.REQUIRED or (tls is TlsMode.OPPORTUNISTIC and offered):
                try:
                    await self.start_tls()
                except Rejected:
                    # Only of STARTTLS itself does it not matter that it is refused.
                    if tls is TlsMode.REQUIRED or self.tls is not None:
                        raise
        except (Rejected, NotOffered):
            await self.quit()
            raise

    def _at_work(self) -> "_Work":
        """One thing at a time, and nothing goes on that was left half done."""
        if self._busy:
            raise trio.BusyResourceError("another task is using this client")
        if self.closed is not None:
            raise Disconnected(self.closed)
        return self._work

    async def _until(self, kind: type[_Event]) -> _Event:
        """The next event of *kind*."""
        while (event := await self._next()) is not None:
            if isinstance(event, kind):
                await self._settle()
                return event
        assert self.closed is not None
        raise Disconnected(self.closed)

    async def _settle(self) -> None:
        """Notice the end of the connection, if that was the last that is heard on it."""
        while self.closed is None and self.connection.phase is Phase.CLOSED:
            await self._next()

    def _tick(self) -> None:
        """The caller may have taken its time."""
        now = self._now()
        if self.connection.next_deadline() <= now:
            self._pump.tick(now)

    async def _next(self) -> ClientEvent | None:
        """The next event; None where it is our move, or nobody's any more."""
        step = self.connection.next_event()
        if isinstance(step, Wait):
            self._tick()
            event = await self._pump.next_event()
            if event is None:
                return None
        else:
            event = step
        self._note(event)
        if isinstance(event, Closed):
            await self._pump.next_event()  # closes the socket
        return event

    def _note(self, event: ClientEvent) -> None:
        if isinstance(event, Closed):
            self.closed = event
        if self._watcher is not None:
            self._watcher.happened(event)
        if self._observation is not None:
            self._observation.happened(event)

    def reused(self) -> None:
        """Whoever has kept this connection is about to send another message; an observer is told."""
        if self._observation is not None:
            self._observation.reused()


class _Work:
    """A client at work: `SMTPClient._at_work`."""

    __slots__ = ("_client",)

    def __init__(self, client: SMTPClient) -> None:
        self._client = client

    def __enter__(self) -> None:
        self._client._busy = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client._busy = False
        # What was wrong has had its answer, or was not sent; but what was cancelled is half done.
        if kind is not None and not issubclass(kind, Exception):
            self._client.close()


def _positive(what: str, reply: Reply) -> Reply:
    if not reply.positive:
        raise Rejected(what, reply)
    return reply
