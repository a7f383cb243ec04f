"""`Pool`: connections that are kept and shared, so that a message does not need one of its own.

Theory of operation. A *place* is what the limits count: a connection, from before it is made until its socket
is closed. A sender takes a place, waits for one in turn, or finds too many who wait. A kept connection goes only
to an equal `Destination`; where the limits leave no room for another, the one that was idle longest is closed
for it. Whoever is granted a place owns it until it is given back, so a sender that is cancelled takes no other
sender's connection with it.

Of a kept connection nobody knows whether it is still there. To ask costs a round trip and proves nothing, so it is
asked (by NOOP) only where something has come while it was idle, which is a farewell as a rule. Otherwise MAIL is the
probe: when the connection turns out to be dead, whoever is certain not to have got the message gets it over a new one.
"""

import contextlib
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import Final, Self

import attrs
import trio

from smtpcore import SMTP, ClientConfig, Dialect, Envelope, Fate, LocalProtocolError, Outcome, Phase
from smtpcore.sasl import ClientMechanism

from ._client_errors import ClientError
from ._pieces import Message, checked
from .admission import Tally
from .client import SMTPClient, TlsMode, check_pins, connect, connect_unix
from .observe_client import ClientObserver, guarded_client

PROBE_SECONDS: Final = 10.0
"""For the reply to NOOP."""
QUIT_SECONDS: Final = 5.0
"""For the reply to QUIT, where nobody needs it but the server."""

PooledMessage = Message | AsyncIterable[bytes]
"""As for `SMTPClient.send`. What is iterated anew each time can be given again, and so can a file that can seek."""

_READY: Final = Phase.READY
_REFUSED: Final = Fate.REFUSED
_UNSENT: Final = Fate.UNSENT


@attrs.frozen(kw_only=True)
class PoolLimits:
    """The numbers of a pool.

    Args:
        per_host: connections to a host and port.
        total: connections.
        messages: over one connection.
        idle: seconds that a connection is kept for the next message.
        age: seconds after which a connection is not used again.
        waiters: senders that wait for a place.

    Raises:
        ValueError: one is not above 0; only *waiters* may be 0.
    """

    per_host: int = 5
    total: int = 20
    messages: int = 100
    idle: float = 30.0
    age: float = 300.0
    waiters: int = 1000

    def __attrs_post_init__(self) -> None:
        if min(self.per_host, self.total, self.messages, self.idle, self.age, self.waiters + 1) <= 0:
            raise ValueError("a limit of a pool is above 0")


def _pins(given: Iterable[bytes]) -> frozenset[bytes]:
    return frozenset(given)


def _mechanisms(given: Iterable[ClientMechanism]) -> tuple[ClientMechanism, ...]:
    return tuple(given)


@attrs.frozen(cache_hash=True)
class Destination:
    """A server, and all that `connect` is to be told of it. Connections are shared by those that are equal.

    Make one and keep it. An `ssl.SSLContext` equals only itself.

    Args:
        host: a domain, an IP address, or the path of a Unix socket, which begins with a slash and has no *port*.
        mechanisms: to log in with, by the strongest of them; none to stay anonymous.

    Raises:
        ValueError: *pinned* holds no digests, or does not go with *tls*; or a Unix socket is to be connected to from
            an address.
    """

    host: str
    port: int = 25
    tls: TlsMode = attrs.field(default=TlsMode.OPPORTUNISTIC, kw_only=True)
    context: ssl.SSLContext | None = attrs.field(default=None, kw_only=True)
    server_name: str | None = attrs.field(default=None, kw_only=True)
    pinned: frozenset[bytes] = attrs.field(default=frozenset(), converter=_pins, kw_only=True)
    mechanisms: tuple[ClientMechanism, ...] = attrs.field(default=(), converter=_mechanisms, kw_only=True)
    hello: str | None = attrs.field(default=None, kw_only=True)
    config: ClientConfig | None = attrs.field(default=None, kw_only=True)
    dialect: Dialect = attrs.field(default=SMTP, kw_only=True)
    source_address: str | None = attrs.field(default=None, kw_only=True)
    connect_seconds: float = attrs.field(default=30.0, kw_only=True)
    site: tuple[str, int] = attrs.field(init=False, eq=False, repr=False)
    """What `PoolLimits.per_host` counts."""

    @site.default
    def _(self) -> tuple[str, int]:
        return (self.host, 0) if self.unix else (self.host.lower().removesuffix("."), self.port)

    @property
    def unix(self) -> bool:
        """Whether *host* is the path of a Unix socket."""
        return self.host.startswith("/")

    def __attrs_post_init__(self) -> None:
        check_pins(self.pinned, self.tls)
        if self.unix and self.source_address is not None:
            raise ValueError("a Unix socket has no source address")


class PoolFull(ClientError):
    """As many wait for a connection as may."""


class Pool:
    """Sends messages over connections that it makes, keeps and shares. Use it by ``async with``.

    Args:
        limits: the numbers.
        observer: is told of the connections, the messages and the limits.

    At its end the connections are closed; whoever still waits is told `trio.ClosedResourceError`.
    """

    def __init__(self, limits: PoolLimits | None = None, *, observer: ClientObserver | None = None) -> None:
        self._observer = guarded_client(observer)
        self._of_host = Tally()  # kept for the observer alone
        self.limits = limits or PoolLimits()
        self._homes: dict[tuple[str, int], _Home] = {}
        self._hungry: dict[_Home, None] = {}  # those with waiters
        self._total = 0
        self._idle = 0
        self._waiting = 0
        self._turns = 0
        self._closed = True
        self._reaper: trio.CancelScope | None = None
        self._manager = trio.open_nursery()
        self._nursery: trio.Nursery
        self._now: Callable[[], float]

    @property
    def connections(self) -> int:
        """How many there are, with those that are being made or closed."""
        return self._total

    @property
    def idle(self) -> int:
        """How many connections are kept for the next message."""
        return self._idle

    @property
    def waiting(self) -> int:
        """How many senders wait for a place."""
        return self._waiting

    async def __aenter__(self) -> Self:
        self._nursery = await self._manager.__aenter__()
        self._now = trio.lowlevel.current_clock().current_time
        self._closed = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed = True
        for home in list(self._hungry):
            for waiter in list(home.waiters):
                self._call(home, waiter, None)
        if self._reaper is not None:
            self._reaper.cancel()
        for home in list(self._homes.values()):
            for place in list(home.idle):
                self._retire_soon(self._take_idle(place))
        if kind is not None:
            self._nursery.cancel_scope.cancel()
        # Not told of the error, or the nursery would put it into a group. Nothing that it runs raises another.
        await self._manager.__aexit__(None, None, None)

    async def send(self, destination: Destination, envelope: Envelope, message: PooledMessage) -> tuple[Outcome, ...]:
        """Send a message; what became of it for each recipient, in their order.

        A message of more recipients than the server wants in one transaction (RFC 9422) is sent in several, where it
        can be given more than once. Of a send that is cancelled nobody can tell whether the message has arrived.

        Raises:
            PoolFull: too many wait already.
            trio.ClosedResourceError: the pool is closed.
            Exception: what `connect` raises, `SMTPClient.authenticate` and `SMTPClient.send`, as long as the
                fate of no recipient is known. Where it is, the other recipients are just UNSENT.
        """
        if not isinstance(destination, Destination):
            raise TypeError(f"a Destination, such as Destination(host, port), not {destination!r}")
        place = await self._place(destination)
        try:
            return await self._deliver(place, envelope, message)
        finally:
            self._give_back(place)

    # --- sending -------------------------------------------------------------------------------------

    async def _deliver(self, place: "_Place", envelope: Envelope, message: PooledMessage) -> tuple[Outcome, ...]:
        body = _Body(message)
        outcomes, again = await self._try(place, envelope, body)
        if not again:
            return outcomes
        fates = list(outcomes)
        while again and body.rewind():
            recipients = tuple(envelope.recipients[index] for index in again)
            try:
                outcomes, left = await self._try(
                    place, Envelope(envelope.reverse_path, recipients, envelope.params), body
                )
            except Exception:
                if len(again) == len(fates):
                    raise
                break
            for index, outcome in zip(again, outcomes, strict=True):
                fates[index] = outcome
            again = [again[index] for index in left]
        return tuple(fates)

    async def _try(
        self, place: "_Place", envelope: Envelope, body: "_Body"
    ) -> tuple[tuple[Outcome, ...], Sequence[int]]:
        """Send to each recipient once; the outcomes, and for which of them it is to be tried again."""
        if place.doomed is not None:
            await place.part()
        client = place.client
        if client is not None and not (client.quiet or await _answers(client)):
            client = None
        kept = client is not None
        if client is None:
            place.client = None
            client = await _connected(place.destination, self._observer)
            place.begin(client)
        else:
            client.reused()
        try:
            outcomes = await client.send(envelope, body.give())
        finally:
            place.messages += 1
            body.begun = body.begun or client.begun
        if client.closed is not None:
            place.client = None
            return outcomes, [index for index, each in enumerate(outcomes) if kept and _lost(each, client.begun)]
        # The connection is there, so the server wants fewer recipients at a time, or no more messages.
        again = [index for index, each in enumerate(outcomes) if each.fate is _UNSENT]
        if again and self._is_used_up(place, client, self._now()):
            place.doom()
        return outcomes, again if len(again) < len(outcomes) else ()

    # --- places --------------------------------------------------------------------------------------

    async def _place(self, destination: Destination) -> "_Place":
        """A place that is the caller's; its connection may be one that was kept."""
        if self._closed:
            raise trio.ClosedResourceError("the pool is not open")
        key = destination.site
        home = self._homes.get(key)
        if home is None:
            home = self._homes[key] = _Home(key)
        place = self._take(home, destination)
        if place is not None:
            return place
        self._refused("per_host" if home.count >= self.limits.per_host else "total")
        if self._waiting >= self.limits.waiters:
            self._forget_if_empty(home)
            self._refused("waiters")
            raise PoolFull(f"{self._waiting} wait for a connection")
        self._turns += 1
        waiter = _Waiter(self._turns, destination, trio.lowlevel.current_task())
        home.waiters[waiter] = None
        self._hungry[home] = None
        self._waiting += 1
        self._gauge("waiters", self._waiting)

        def give_up(_: object) -> trio.lowlevel.Abort:
            self._leave(home, waiter)
            self._forget_if_empty(home)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(give_up)
        if waiter.place is None:
            raise trio.ClosedResourceError("the pool was closed")
        return waiter.place

    def _take(self, home: "_Home", destination: Destination) -> "_Place | None":
        """A place, if there is one now."""
        for place in reversed(home.idle):  # the others may then be let go
            if place.destination is destination or place.destination == destination:
                self._take_idle(place)
                if self._now() >= place.expires:
                    place.doom()
                return place
        if home.count >= self.limits.per_host:
            doomed = home.idle[0] if home.idle else None
        elif self._total < self.limits.total:
            self._total += 1
            self._gauge("total", self._total)
            self._count(home, 1)
            return _Place(home, destination)
        else:
            doomed = min((each.idle[0] for each in self._homes.values() if each.idle), key=_expiry, default=None)
        if doomed is None:
            return None
        # It becomes the new one: who has it closes the old connection first.
        self._take_idle(doomed)
        doomed.doom()
        doomed.destination = destination
        if doomed.home is not home:
            self._count(doomed.home, -1)
            self._forget_if_empty(doomed.home)
            doomed.home = home
            self._count(home, 1)
        return doomed

    def _take_idle(self, place: "_Place") -> "_Place":
        place.home.idle.remove(place)
        self._idle -= 1
        return place

    def _give_back(self, place: "_Place") -> None:
        client = place.client
        if client is None or client.closed is not None or self._closed:
            place.drop()
            self._free(place)
        elif self._is_used_up(place, client, now := self._now()):
            self._retire_soon(place)
        else:
            limits = self.limits
            place.expires = min(now + limits.idle, place.born + limits.age)
            place.home.idle.append(place)
            self._idle += 1
            if self._reaper is None:
                self._reaper = trio.CancelScope()
                self._nursery.start_soon(self._reap, self._reaper)
            if self._hungry:
                self._grant()

    def _is_used_up(self, place: "_Place", client: SMTPClient, now: float) -> bool:
        limits, connection = self.limits, client.connection
        return (
            place.messages >= limits.messages
            or connection.phase is not _READY
            or connection.transactions_left == 0
            or now >= place.born + limits.age
        )

    def _free(self, place: "_Place") -> None:
        self._total -= 1
        self._gauge("total", self._total)
        self._count(place.home, -1)
        self._forget_if_empty(place.home)
        self._grant()

    def _forget_if_empty(self, home: "_Home") -> None:
        if not home.count and not home.waiters:
            self._homes.pop(home.key, None)

    def _grant(self) -> None:
        """Let those who wait have what there is: whoever has waited longest first, of those whom it helps."""
        while self._hungry:
            room = self._total < self.limits.total or self._idle > 0
            able = [home for home in self._hungry if home.idle or (home.count < self.limits.per_host and room)]
            if not able:
                return
            home = min(able, key=_turn)
            waiter = next(iter(home.waiters))
            self._call(home, waiter, self._take(home, waiter.destination))

    def _call(self, home: "_Home", waiter: "_Waiter", place: "_Place | None") -> None:
        self._leave(home, waiter)
        waiter.place = place
        trio.lowlevel.reschedule(waiter.task)

    def _leave(self, home: "_Home", waiter: "_Waiter") -> None:
        del home.waiters[waiter]
        self._waiting -= 1
        self._gauge("waiters", self._waiting)
        if not home.waiters:
            del self._hungry[home]

    # --- for the observer ----------------------------------------------------------------------------

    def _count(self, home: "_Home", by: int) -> None:
        home.count += by
        if self._observer is not None:
            host = f"{home.key[0]}:{home.key[1]}"
            (self._of_host.add if by > 0 else self._of_host.remove)(host)
            self._observer.gauge("per_host", self._of_host.most)

    def _gauge(self, limit: str, value: int) -> None:
        if self._observer is not None:
            self._observer.gauge(limit, value)

    def _refused(self, limit: str) -> None:
        if self._observer is not None:
            self._observer.refused(limit)

    # --- in the background ---------------------------------------------------------------------------

    def _retire_soon(self, place: "_Place") -> None:
        self._nursery.start_soon(self._retire, place)

    async def _retire(self, place: "_Place") -> None:
        """Part from a server. The place is not free until the connection is gone."""
        try:
            place.doom()
            await place.part()
        finally:
            self._free(place)

    async def _reap(self, scope: trio.CancelScope) -> None:
        """Let go what is idle for too long, or too old, as long as anything is kept."""
        with scope:
            while self._idle:
                now = trio.current_time()
                kept = [place for home in self._homes.values() for place in home.idle]
                for place in kept:
                    if place.expires <= now:
                        self._retire_soon(self._take_idle(place))
                # Nothing that is kept later is to be let go before one that is kept now.
                soonest = min((each.expires for each in kept if each.expires > now), default=now)
                await trio.sleep_until(soonest)
        self._reaper = None


class _Home:
    """A host and port: what its limit counts."""

    __slots__ = ("count", "idle", "key", "waiters")

    def __init__(self, key: tuple[str, int]) -> None:
        self.key = key
        self.count = 0  # places
        self.idle: list[_Place] = []  # the one that was used last is the last
        self.waiters: OrderedDict[_Waiter, None] = OrderedDict()


class _Waiter:
    """A sender that waits for a place."""

    __slots__ = ("destination", "place", "task", "turn")

    def __init__(self, turn: int, destination: Destination, task: trio.lowlevel.Task) -> None:
        self.turn = turn
        self.destination = destination
        self.task = task
        self.place: _Place | None = None


class _Place:
    """What the limits count. It has a connection, or is about to make one."""

    __slots__ = ("born", "client", "destination", "doomed", "expires", "home", "messages")

    def __init__(self, home: _Home, destination: Destination) -> None:
        self.home = home
        self.destination = destination
        self.client: SMTPClient | None = None
        self.doomed: SMTPClient | None = None  # to be closed before another connection is made
        self.messages = 0
        self.born = self.expires = 0.0

    def begin(self, client: SMTPClient) -> None:
        """A new connection has been made."""
        self.client = client
        self.messages = 0
        self.born = trio.current_time()

    def doom(self) -> None:
        """The connection is not used any more."""
        self.client, self.doomed = None, self.client

    async def part(self) -> None:
        """Close the connection that is not used any more, in good order."""
        client = self.doomed
        if client is not None:
            with trio.move_on_after(QUIT_SECONDS), contextlib.suppress(LocalProtocolError):
                await client.quit()
            self.drop()

    def drop(self) -> None:
        """Close all at once."""
        for client in (self.client, self.doomed):
            if client is not None:
                client.close()
        self.client = self.doomed = None


class _Body:
    """A message that may have to be given more than once."""

    __slots__ = ("_message", "_start", "begun")

    def __init__(self, message: PooledMessage) -> None:
        self._message = message
        self._start: int | None = None
        self.begun = False
        if not isinstance(message, bytes | AsyncIterable) and checked(message).seekable():
            self._start = message.tell()

    def give(self) -> Message:
        message = self._message
        if isinstance(message, bytes) or not isinstance(message, AsyncIterable) or isinstance(message, AsyncIterator):
            return message
        return aiter(message)

    def rewind(self) -> bool:
        """Begin anew; whether that can be done."""
        message = self._message
        if isinstance(message, bytes) or not self.begun:
            return True
        if isinstance(message, AsyncIterable):
            return not isinstance(message, AsyncIterator)
        if self._start is None:
            return False
        message.seek(self._start)
        return True


async def _connected(destination: Destination, observer: ClientObserver | None) -> SMTPClient:
    if destination.unix:
        client = await connect_unix(
            destination.host,
            tls=destination.tls,
            context=destination.context,
            server_name=destination.server_name or "localhost",
            hello=destination.hello,
            config=destination.config,
            dialect=destination.dialect,
            connect_seconds=destination.connect_seconds,
            pinned=destination.pinned,
            observer=observer,
        )
    else:
        client = await connect(
            destination.host,
            destination.port,
            tls=destination.tls,
            context=destination.context,
            server_name=destination.server_name,
            hello=destination.hello,
            config=destination.config,
            dialect=destination.dialect,
            connect_seconds=destination.connect_seconds,
            source_address=destination.source_address,
            pinned=destination.pinned,
            observer=observer,
        )
    if destination.mechanisms:
        try:
            await client.authenticate(destination.mechanisms)
        except Exception:
            await client.quit()
            raise
    return client


async def _answers(client: SMTPClient) -> bool:
    """Whether the server still answers, though it has said something unasked (to TLS it may only be a ticket)."""
    with trio.move_on_after(PROBE_SECONDS), contextlib.suppress(ClientError, LocalProtocolError):
        await client.noop()
        return client.closed is None
    client.close()
    return False


def _lost(outcome: Outcome, begun: bool) -> bool:
    """Whether a recipient got nothing because the connection was about to go, or gone.

    RFC 5321 section 3.8: 421 may be the answer to any command, and is not about that command.
    """
    if outcome.fate is _REFUSED:
        return not begun and outcome.reply is not None and outcome.reply.code == 421
    return outcome.fate is _UNSENT


def _expiry(place: _Place) -> float:
    return place.expires


def _turn(home: _Home) -> int:
    return next(iter(home.waiters)).turn
