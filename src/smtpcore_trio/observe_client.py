"""What a client tells of its work: a `ClientObserver` hears every connection, event, message and limit.

No secret and no octet of a message comes here: of AUTH there is the outcome, of a message the size. What a server has
said is told as it is, so whoever writes it anywhere puts it through `smtpcore.safe`, or uses `logs.ClientLogs`.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import attrs
import trio

from smtpcore import ClientEvent, Closed, Envelope, Outcome, TlsInfo

from .observe import log_failure, new_session_id


@attrs.frozen
class ClientFacts:
    """Of a client's connection, what every line about it may want.

    Args:
        session_id: unique, and short; see `observe.new_session_id`.
        host: as it was asked for: a domain, an address, or the path of a Unix socket.
        port: 0 where there is none.
        tls: what the TLS layer said; None in the clear, and before STARTTLS.
    """

    session_id: str
    host: str
    port: int = 0
    tls: TlsInfo | None = None


@attrs.frozen
class Sent:
    """What became of a message.

    Args:
        octets: of it, as many as were read.
        outcomes: one for each recipient.
        whole: nothing has ended it early, such as a cancellation, or an error in reading the message.
    """

    envelope: Envelope
    octets: int
    seconds: float
    outcomes: tuple[Outcome, ...]
    whole: bool = True


class ClientObserver(Protocol):
    """What hears of the connections. It must not block; an exception is logged once, and goes no further."""

    def opened(self, session: ClientFacts) -> None:
        """There is a connection, that messages can be sent by: greeted, and with TLS where that was wanted."""

    def failed(self, session: ClientFacts, reason: str, error: BaseException) -> None:
        """There is none.

        Args:
            session: what it would have been.
            reason: one of `REASONS`.
            error: which `connect` raises.
        """

    def event(self, session: ClientFacts, event: ClientEvent) -> None:
        """The engine has said this, also before the connection is there."""

    def reused(self, session: ClientFacts) -> None:
        """A pool has kept the connection, and sends another message by it."""

    def sent(self, session: ClientFacts, message: Sent) -> None:
        """A message was sent, or not."""

    def closed(self, session: ClientFacts, closed: Closed) -> None:
        """The connection is over."""

    def refused(self, limit: str, session: ClientFacts | None = None) -> None:
        """A limit was hit, or a deadline has expired.

        Args:
            limit: its name in `ClientLimits`, `ClientTimeouts` or `PoolLimits`, or ``connect_seconds``.
            session: None for a limit of the pool.
        """

    def gauge(self, limit: str, value: int) -> None:
        """So much of a limit of the pool is in use now."""


class BaseClientObserver:
    """Hears, and does nothing. Made to be subclassed."""

    def opened(self, session: ClientFacts) -> None:
        """See `ClientObserver`."""

    def failed(self, session: ClientFacts, reason: str, error: BaseException) -> None:
        """See `ClientObserver`."""

    def event(self, session: ClientFacts, event: ClientEvent) -> None:
        """See `ClientObserver`."""

    def reused(self, session: ClientFacts) -> None:
        """See `ClientObserver`."""

    def sent(self, session: ClientFacts, message: Sent) -> None:
        """See `ClientObserver`."""

    def closed(self, session: ClientFacts, closed: Closed) -> None:
        """See `ClientObserver`."""

    def refused(self, limit: str, session: ClientFacts | None = None) -> None:
        """See `ClientObserver`."""

    def gauge(self, limit: str, value: int) -> None:
        """See `ClientObserver`."""


class SeveralClient:
    """Tells each of *observers*, whose exceptions end here: the first at each method is one line in the log."""

    def __init__(self, *observers: ClientObserver) -> None:
        self._observers = observers
        self._logged: set[tuple[int, str]] = set()

    def _tell(self, method: str, *arguments: object) -> None:
        for number, each in enumerate(self._observers):
            try:
                getattr(each, method)(*arguments)
            except Exception as error:
                if (number, method) not in self._logged:
                    self._logged.add((number, method))
                    log_failure(each, method, error)

    def opened(self, session: ClientFacts) -> None:
        """See `ClientObserver`."""
        self._tell("opened", session)

    def failed(self, session: ClientFacts, reason: str, error: BaseException) -> None:
        """See `ClientObserver`."""
        self._tell("failed", session, reason, error)

    def event(self, session: ClientFacts, event: ClientEvent) -> None:
        """See `ClientObserver`."""
        self._tell("event", session, event)

    def reused(self, session: ClientFacts) -> None:
        """See `ClientObserver`."""
        self._tell("reused", session)

    def sent(self, session: ClientFacts, message: Sent) -> None:
        """See `ClientObserver`."""
        self._tell("sent", session, message)

    def closed(self, session: ClientFacts, closed: Closed) -> None:
        """See `ClientObserver`."""
        self._tell("closed", session, closed)

    def refused(self, limit: str, session: ClientFacts | None = None) -> None:
        """See `ClientObserver`."""
        self._tell("refused", limit, session)

    def gauge(self, limit: str, value: int) -> None:
        """See `ClientObserver`."""
        self._tell("gauge", limit, value)


def guarded_client(observer: ClientObserver | None) -> ClientObserver | None:
    """*observer*, but it never raises."""
    return observer if observer is None or isinstance(observer, SeveralClient) else SeveralClient(observer)


# --- the hooks -----------------------------------------------------------------------------------

# Why there is no connection, by what was raised; the first that fits.
_REASONS: Final = (
    (trio.Cancelled, "cancelled"),
    (socket.gaierror, "name"),
    (TimeoutError, "timed_out"),
    (OSError, "network"),
)
OTHER_REASON: Final = "error"
REASONS: Final = (
    *(reason for _, reason in _REASONS), "rejected", "not_offered", "tls_failed", "lost", OTHER_REASON
)  # fmt: skip
"""Why there is no connection: an exception of `connect` may say so itself."""

CONNECT_SECONDS: Final = "connect_seconds"


def reason_of(error: BaseException) -> str:
    """Which of `REASONS` *error* is."""
    said = getattr(error, "reason", None)
    if isinstance(said, str) and said in REASONS:
        return said
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), OTHER_REASON)


class ClientObservation:
    """One connection, on its way to an observer: what the client reports.

    Args:
        observer: one that does not raise; see `guarded_client`.
        session: what is known of it.
    """

    __slots__ = ("_observer", "_open", "_told", "session")

    def __init__(self, observer: ClientObserver, session: ClientFacts) -> None:
        self._observer = observer
        self._open = False
        self._told = ""  # the limit that has ended it
        self.session = session

    def secured(self, tls: TlsInfo) -> None:
        """TLS has begun."""
        self.session = attrs.evolve(self.session, tls=tls)

    def opened(self) -> None:
        """The connection is there."""
        self._open = True
        self._observer.opened(self.session)

    def failed(self, error: BaseException, limit: str) -> None:
        """It will not be, perhaps because of *limit*."""
        if limit and limit != self._told:
            self._observer.refused(limit, self.session)
        self._observer.failed(self.session, reason_of(error), error)

    def happened(self, event: ClientEvent) -> None:
        """The engine has said this."""
        self._observer.event(self.session, event)
        if isinstance(event, Closed):
            self._told = event.limit
            if event.limit:
                self._observer.refused(event.limit, self.session)
            if self._open:
                self._open = False
                self._observer.closed(self.session, event)

    def reused(self) -> None:
        """The connection was kept."""
        self._observer.reused(self.session)

    def sent(self, message: Sent) -> None:
        """A message was sent, or not."""
        self._observer.sent(self.session, message)


@contextmanager
def connecting(observer: ClientObserver | None, host: str, port: int) -> Iterator[ClientObservation | None]:
    """Tell *observer* what becomes of a connection that is made in this context; None where nobody observes."""
    guard = guarded_client(observer)
    if guard is None:
        yield None
        return
    observation = ClientObservation(guard, ClientFacts(new_session_id(), host, port))
    try:
        yield observation
    except BaseException as error:
        closed = getattr(error, "closed", None)
        limit = closed.limit if isinstance(closed, Closed) else ""
        observation.failed(error, CONNECT_SECONDS if type(error) is TimeoutError else limit)
        raise
    observation.opened()
