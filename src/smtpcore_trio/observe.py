"""What a server tells of its work: an `Observer` hears every event, reply and limit of every session.

No secret and no octet of a message comes here: of AUTH there is the outcome, of a message the size. What else a
client has said is told as it is, so whoever writes it anywhere puts it through `smtpcore.safe`, or uses `logs.Logs`.
"""

import itertools
import logging
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, Protocol

import attrs

from smtpcore import (
    Authenticated,
    AuthFailed,
    BodyAborted,
    BodyBegin,
    BodyChunk,
    BodyEnd,
    Closed,
    Connected,
    Deviation,
    Envelope,
    Extended,
    Hello,
    MailFrom,
    PasswordCheck,
    Peer,
    Question,
    Quit,
    RcptTo,
    Refused,
    Reply,
    Reset,
    SecretWanted,
    ServerConnection,
    ServerEvent,
    StartTls,
    TlsInfo,
    TokenCheck,
    Verify,
    XClient,
    safe,
)

logger: Final = logging.getLogger("smtpcore_trio")

HIDDEN: Final = "***"

NO_PROXY_HEADER: Final = "proxy"
"""For `Observer.refused`: somebody in `Port.proxies` has not begun with a good PROXY header."""

NO_TLS: Final = "tls_failed"
"""For `Observer.refused`: the handshake with which a connection begins has failed. Of STARTTLS it is `Closed`."""


@attrs.frozen
class SessionFacts:
    """Of a session, what every line about it may want.

    Args:
        session_id: unique, and short; see `new_session_id`.
        peer: who is at the other end.
        port: the name of the `Port` by which it came.
        tls: what the TLS layer said; None in the clear, and before STARTTLS.
    """

    session_id: str
    peer: Peer
    port: str = ""
    tls: TlsInfo | None = None


_PREFIX: Final = secrets.token_hex(4)
_numbers: Final = itertools.count(1)


def new_session_id() -> str:
    """A text that no other session of this process has, nor probably one of another."""
    return f"{_PREFIX}-{next(_numbers):x}"


# --- what is told, besides the engine's events ---------------------------------------------------


@attrs.frozen
class BodySize:
    """So many octets of the message came: in place of `BodyChunk`."""

    octets: int


@attrs.frozen
class Denied:
    """The session has said no to a question; to one of AUTH it is `AuthFailed`."""

    question: Question
    reply: Reply


@attrs.frozen
class Settled:
    """The session has given its verdict over a whole message: one reply, or in LMTP one for each recipient."""

    envelope: Envelope | None
    octets: int
    verdicts: tuple[Reply, ...]


@attrs.frozen
class Secured:
    """The TLS handshake after STARTTLS is done."""

    tls: TlsInfo


Event = (
    Connected | Hello | StartTls | MailFrom | RcptTo | BodyBegin | BodyEnd | Verify | Extended | XClient
    | BodyAborted | Reset | Authenticated | AuthFailed | Refused | Deviation | Quit | Closed
    | BodySize | Denied | Settled | Secured
)  # fmt: skip
"""What `Observer.event` is told. `Refused` has no more of its line than can be shown."""


# --- observers -----------------------------------------------------------------------------------


class Observer(Protocol):
    """What hears of the sessions. It must not block; an exception is logged once, and goes no further."""

    def opened(self, session: SessionFacts) -> None:
        """A session begins."""

    def event(self, session: SessionFacts, event: Event) -> None:
        """Something has happened in it."""

    def said(self, session: SessionFacts, reply: Reply) -> None:
        """This reply is on its way to the client. That of a 334 is hidden."""

    def closed(self, session: SessionFacts, closed: Closed | None) -> None:
        """It is over; *closed* is None where it was cut."""

    def refused(self, limit: str, peer: Peer, session: SessionFacts | None = None) -> None:
        """A limit was hit, a deadline has expired, or a connection has failed before there was a session.

        Args:
            limit: its name in `Limits`, `Timeouts` or `Admission`; ``proxy`` of a proxy that has sent no good header,
                and ``tls_failed`` of a handshake that comes before the session.
            peer: who has hit it.
            session: None where there was none yet.
        """

    def gauge(self, limit: str, value: float, session: SessionFacts | None = None) -> None:
        """So much of a limit is in use.

        Args:
            limit: its name, as in `refused`.
            value: of the whole server, how much it is now; of a session, the most that it has come to so far.
            session: None for a limit of the whole server.
        """


class BaseObserver:
    """Hears, and does nothing. Made to be subclassed."""

    def opened(self, session: SessionFacts) -> None:
        """See `Observer`."""

    def event(self, session: SessionFacts, event: Event) -> None:
        """See `Observer`."""

    def said(self, session: SessionFacts, reply: Reply) -> None:
        """See `Observer`."""

    def closed(self, session: SessionFacts, closed: Closed | None) -> None:
        """See `Observer`."""

    def refused(self, limit: str, peer: Peer, session: SessionFacts | None = None) -> None:
        """See `Observer`."""

    def gauge(self, limit: str, value: float, session: SessionFacts | None = None) -> None:
        """See `Observer`."""


NOBODY: Final = BaseObserver()
"""Of whom a server knows that there is nothing to tell."""


class Several:
    """Tells each of *observers*; what one of them does is nothing to the others."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = [guarded(each) for each in observers]

    def opened(self, session: SessionFacts) -> None:
        """See `Observer`."""
        for each in self._observers:
            each.opened(session)

    def event(self, session: SessionFacts, event: Event) -> None:
        """See `Observer`."""
        for each in self._observers:
            each.event(session, event)

    def said(self, session: SessionFacts, reply: Reply) -> None:
        """See `Observer`."""
        for each in self._observers:
            each.said(session, reply)

    def closed(self, session: SessionFacts, closed: Closed | None) -> None:
        """See `Observer`."""
        for each in self._observers:
            each.closed(session, closed)

    def refused(self, limit: str, peer: Peer, session: SessionFacts | None = None) -> None:
        """See `Observer`."""
        for each in self._observers:
            each.refused(limit, peer, session)

    def gauge(self, limit: str, value: float, session: SessionFacts | None = None) -> None:
        """See `Observer`."""
        for each in self._observers:
            each.gauge(limit, value, session)


class Guarded:
    """Tells *observer*, whose exceptions end here: the first from each of its methods is one line in the log."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._logged: set[str] = set()

    def opened(self, session: SessionFacts) -> None:
        """See `Observer`."""
        try:
            self._observer.opened(session)
        except Exception as error:
            self._log("opened", error)

    def event(self, session: SessionFacts, event: Event) -> None:
        """See `Observer`."""
        try:
            self._observer.event(session, event)
        except Exception as error:
            self._log("event", error)

    def said(self, session: SessionFacts, reply: Reply) -> None:
        """See `Observer`."""
        try:
            self._observer.said(session, reply)
        except Exception as error:
            self._log("said", error)

    def closed(self, session: SessionFacts, closed: Closed | None) -> None:
        """See `Observer`."""
        try:
            self._observer.closed(session, closed)
        except Exception as error:
            self._log("closed", error)

    def refused(self, limit: str, peer: Peer, session: SessionFacts | None = None) -> None:
        """See `Observer`."""
        try:
            self._observer.refused(limit, peer, session)
        except Exception as error:
            self._log("refused", error)

    def gauge(self, limit: str, value: float, session: SessionFacts | None = None) -> None:
        """See `Observer`."""
        try:
            self._observer.gauge(limit, value, session)
        except Exception as error:
            self._log("gauge", error)

    def _log(self, method: str, error: Exception) -> None:
        if method in self._logged:
            return
        self._logged.add(method)
        log_failure(self._observer, method, error)


def log_failure(observer: object, method: str, error: Exception) -> None:
    """One line about *error*, of *method* of *observer*."""
    # Its text may be of the peer's making; its traceback would be more than a line.
    kind = type(observer).__name__
    logger.error("the observer %s failed at %s: %s: %s", kind, method, type(error).__name__, safe(str(error)))


def guarded(observer: Observer) -> Observer:
    """*observer*, but it never raises."""
    return observer if observer is NOBODY or isinstance(observer, Guarded | Several) else Guarded(observer)


# --- the hooks -----------------------------------------------------------------------------------

# What an observer may see of a refused line at any time.
_VERBS: Final = frozenset(
    b"AUTH BDAT DATA EHLO ETRN EXPN HELO HELP LHLO MAIL NOOP QUIT RCPT RSET STARTTLS VRFY XCLIENT XFORWARD".split()
)
_SECRET_QUESTIONS: Final = (PasswordCheck, SecretWanted, TokenCheck)
# Most replies are said again and again: to look at one anew takes as long as the command. Longer ones are few.
_KEPT_OCTETS: Final = 512
_reply_lines: Final = re.compile(rb"([2-5][0-9][0-9])([ -])([^\r\n]*)\r\n").finditer
_match_status: Final = re.compile(r"([245])\.[0-9]{1,3}\.[0-9]{1,3}(?: |\Z)").match

# When it is read how much of a limit a session uses: at these events, and at its end. In between, nobody looks.
_READ_AT: Final[Mapping[type[object], tuple[str, ...]]] = {
    MailFrom: ("command_octets", "discard_octets"),
    RcptTo: ("command_octets",),
    BodyBegin: ("recipients", "junk_commands"),
    BodyEnd: ("message_octets", "chunks"),
}
_READ_AT_END: Final = (
    "discard_octets", "transactions", "errors", "junk_commands", "unknown_before_hello", "auth_attempts"
)  # fmt: skip
# What is sent at once is what has waited.
_READ_AS_SENT: Final = "output_octets"

READ_LIMITS: Final = frozenset(itertools.chain(*_READ_AT.values(), _READ_AT_END, (_READ_AS_SENT,)))
"""The limits of one session of which is told how much it uses; of the others is told only that one was hit."""


class Observation:
    """One session, on its way to an observer: what the pump and the conversation of it report.

    Args:
        observer: one that does not raise; see `guarded`.
        session: what is known of it.
        connection: its engine, whose events these are.
    """

    __slots__ = ("_closed", "_connection", "_envelope", "_hiding", "_most", "_observer", "_wary", "session")

    def __init__(self, observer: Observer, session: SessionFacts, connection: ServerConnection) -> None:
        self._observer = observer
        self._connection = connection
        self._most: dict[str, float] = {}  # of each limit that was read
        self._envelope: Envelope | None = None
        # What does not look like a command may be a password, or of a message.
        self._wary = False
        self._hiding = False  # neither is there to see behind a command, until the next transaction
        self._closed: Closed | None = None
        self.session = session

    # --- by the pump

    def sent(self, octets: bytes) -> None:
        """Whole replies are about to be sent."""
        self._use(_READ_AS_SENT, len(octets))
        # Challenges are not for keeping. Thousands of replies take many times the memory of their octets: they go by.
        replies = _read(octets) if len(octets) > _KEPT_OCTETS or b"334 " in octets else _read_kept(octets)
        for reply in replies:
            self._observer.said(self.session, reply)

    def received(self, octets: bytes) -> None:
        """Nobody is told what comes in but as events."""

    def secured(self, tls: TlsInfo) -> None:
        """STARTTLS has come to its end."""
        self.session = attrs.evolve(self.session, tls=tls)
        self._observer.event(self.session, Secured(tls))

    def expired(self, deadline: str) -> None:
        """A deadline that is no event of the engine."""
        self._limit(deadline)

    def happened(self, event: ServerEvent) -> None:
        """The engine has said this."""
        # Not a match: it would take longer than the command.
        take = _TAKES.get(type(event))
        if take is None:
            told: Any = event  # which is no secret: those are in the table
            self._observer.event(self.session, told)
        else:
            take(self, event)

    def _take_secret(self, event: PasswordCheck | SecretWanted | TokenCheck) -> None:
        """`Authenticated` or `AuthFailed` will tell what came of it."""

    def _take_chunk(self, event: BodyChunk) -> None:
        self._observer.event(self.session, BodySize(len(event.data)))

    def _take_hello(self, event: Hello) -> None:
        self._hiding = False
        self._observer.event(self.session, event)

    def _take_mail(self, event: MailFrom) -> None:
        self._hiding = False
        self._take_counted(event)

    def _take_counted(self, event: MailFrom | RcptTo | BodyBegin | BodyEnd) -> None:
        for limit in _READ_AT[type(event)]:
            self._use(limit, self._connection.used(limit))
        self._observer.event(self.session, event)

    def _take_body_begin(self, event: BodyBegin) -> None:
        self._hide()
        self._take_counted(event)

    def _take_body_end(self, event: BodyEnd) -> None:
        self._envelope = self._connection.envelope
        self._take_counted(event)

    def _take_authenticated(self, event: Authenticated) -> None:
        self._hide()
        self._observer.event(self.session, event)

    def _take_auth_failed(self, event: AuthFailed) -> None:
        self._hide()
        self._take_abort(event)

    def _take_abort(self, event: BodyAborted | AuthFailed | Closed) -> None:
        self._observer.event(self.session, event)
        if event.limit:
            self._limit(event.limit)

    def _take_refusal(self, event: Refused) -> None:
        self._observer.event(self.session, self._shown(event))
        if event.limit:
            self._limit(event.limit)

    def _take_closed(self, event: Closed) -> None:
        self._closed = event
        self._take_abort(event)

    def _shown(self, refused: Refused) -> Refused:
        """*refused*, without what may be a password or of a message: a client may send either where it is a command."""
        verb = refused.line.partition(b" ")[0].upper()
        if self._wary and verb not in _VERBS:
            refused = Refused(HIDDEN.encode(), refused.reply, refused.limit)
        elif self._hiding:
            refused = Refused(verb + b" ***", refused.reply, refused.limit)
        if verb in (b"AUTH", b"DATA", b"BDAT"):  # what was to follow may follow all the same
            self._hide()
        return refused

    def _hide(self) -> None:
        self._wary = self._hiding = True

    def _limit(self, name: str) -> None:
        # It was hit, so all of it was used, whoever has read what.
        connection = self._connection
        limits = connection.limits if hasattr(connection.limits, name) else connection.timeouts
        self._use(name, getattr(limits, name))
        self._observer.refused(name, self.session.peer, self.session)

    def _use(self, limit: str, value: float) -> None:
        if value > self._most.get(limit, 0):
            self._most[limit] = value
            self._observer.gauge(limit, value, self.session)

    # --- by the conversation

    def rejected(self, question: Question, reply: Reply) -> None:
        """The session says no to *question*."""
        if not isinstance(question, _SECRET_QUESTIONS):
            self._observer.event(self.session, Denied(question, reply))

    def settled(self, end: BodyEnd, verdicts: tuple[Reply, ...]) -> None:
        """The session has given its verdict."""
        envelope, self._envelope = self._envelope, None
        self._observer.event(self.session, Settled(envelope, end.octets, verdicts))

    # --- by the server

    def opened(self) -> None:
        """The session begins."""
        self._observer.opened(self.session)

    def ended(self) -> None:
        """The session is over."""
        for limit in _READ_AT_END:
            self._use(limit, self._connection.used(limit))
        self._observer.closed(self.session, self._closed)


_TAKES: Final[Mapping[type[object], Callable[[Observation, Any], None]]] = {
    PasswordCheck: Observation._take_secret,
    SecretWanted: Observation._take_secret,
    TokenCheck: Observation._take_secret,
    BodyChunk: Observation._take_chunk,
    Hello: Observation._take_hello,
    MailFrom: Observation._take_mail,
    RcptTo: Observation._take_counted,
    BodyBegin: Observation._take_body_begin,
    BodyEnd: Observation._take_body_end,
    BodyAborted: Observation._take_abort,
    Authenticated: Observation._take_authenticated,
    AuthFailed: Observation._take_auth_failed,
    Refused: Observation._take_refusal,
    Closed: Observation._take_closed,
}


def _read(octets: bytes) -> Iterator[Reply]:
    """The replies that *octets* are."""
    text: list[str] = []
    status = None
    for match in _reply_lines(octets):
        code = int(match[1])
        line = HIDDEN if code == 334 else safe(match[3], 65536)
        found = _match_status(line)
        if found is not None and int(found[1]) == code // 100:
            status = found[0].rstrip()
            line = line[found.end() :]
        text.append(line)
        if match[2] == b" ":
            yield Reply(code, "\n".join(text), status)
            text, status = [], None


@lru_cache(256)
def _read_kept(octets: bytes) -> tuple[Reply, ...]:
    """The same, of octets that are sent often."""
    return tuple(_read(octets))


@contextmanager
def observing(observer: Observer, session: SessionFacts, connection: ServerConnection) -> Iterator[Observation | None]:
    """Tell *observer* of a session, as long as the context lasts.

    Yields:
        What the `Pump` is to be given as *observation*; None where nobody observes.
    """
    if observer is NOBODY:
        yield None
        return
    observation = Observation(guarded(observer), session, connection)
    observation.opened()
    try:
        yield observation
    finally:
        observation.ended()
