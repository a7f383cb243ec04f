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
    Abort,
    Authenticated,
    AuthFailed,
    BodyAborted,
    BodyBegin,
    BodyChunk,
    BodyEnd,
    Cause,
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
class Rejected:
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
    | BodySize | Rejected | Settled | Secured
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
        """A limit was hit, or a deadline has expired.

        Args:
            limit: its name in `Limits`, `Timeouts` or `Admission`.
            peer: who has hit it.
            session: None where there was none yet.
        """

    def gauge(self, limit: str, value: int) -> None:
        """So much of a limit of the whole server is in use now."""


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

    def gauge(self, limit: str, value: int) -> None:
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

    def gauge(self, limit: str, value: int) -> None:
        """See `Observer`."""
        for each in self._observers:
            each.gauge(limit, value)


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

    def gauge(self, limit: str, value: int) -> None:
        """See `Observer`."""
        try:
            self._observer.gauge(limit, value)
        except Exception as error:
            self._log("gauge", error)

    def _log(self, method: str, error: Exception) -> None:
        if method in self._logged:
            return
        self._logged.add(method)
        # Its text may be of the peer's making; its traceback would be more than a line.
        kind = type(self._observer).__name__
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
_OF_LIMITS: Final = (Cause.LIMIT, Cause.TIMED_OUT)
# Most replies are said again and again: to look at one anew takes as long as the command. Longer ones are few.
_KEPT_OCTETS: Final = 512
_reply_lines: Final = re.compile(rb"([2-5][0-9][0-9])([ -])([^\r\n]*)\r\n").finditer
_match_status: Final = re.compile(r"([245])\.[0-9]{1,3}\.[0-9]{1,3}(?: |\Z)").match

# The limits that a `Refused` tells of by its reply; others are named by `Closed`. Two have the reply `too_long_line`:
# that of SASL answers is told by `AuthFailed`.
_BY_REPLY: Final[Mapping[str, str]] = {
    "too_long_line": "command_octets",
    "too_many_recipients": "recipients",
    "too_big": "message_octets",
    "too_many_chunks": "chunks",
    "too_many_transactions": "transactions",
}


class Observation:
    """One session, on its way to an observer: what the pump and the conversation of it report.

    Args:
        observer: one that does not raise; see `guarded`.
        session: what is known of it.
        connection: its engine, whose events these are.
    """

    __slots__ = ("_closed", "_connection", "_envelope", "_hiding", "_limits", "_observer", "_verb", "_wary", "session")

    def __init__(self, observer: Observer, session: SessionFacts, connection: ServerConnection) -> None:
        self._observer = observer
        self._connection = connection
        replies = connection.replies
        self._limits = {id(getattr(replies, reply)): limit for reply, limit in _BY_REPLY.items()}
        self._verb = ""  # by which the message came
        self._envelope: Envelope | None = None
        # What does not look like a command may be a password, or of a message.
        self._wary = False
        self._hiding = False  # neither is there to see behind a command, until the next transaction
        self._closed: Closed | None = None
        self.session = session

    # --- by the pump

    def sent(self, octets: bytes) -> None:
        """Whole replies are about to be sent."""
        # Challenges are not for keeping.
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

    def _take_beginning(self, event: Hello | MailFrom) -> None:
        self._hiding = False
        self._observer.event(self.session, event)

    def _take_body_begin(self, event: BodyBegin) -> None:
        self._verb = event.verb
        self._hide()
        self._observer.event(self.session, event)

    def _take_body_end(self, event: BodyEnd) -> None:
        self._envelope = self._connection.envelope
        self._observer.event(self.session, event)

    def _take_abort(self, event: BodyAborted) -> None:
        self._observer.event(self.session, event)
        # After BDAT it may be for either of two limits, and a `Refused` says which.
        if event.reason is Abort.TOO_BIG and self._verb == "DATA":
            self._limit("message_octets")

    def _take_auth(self, event: Authenticated | AuthFailed) -> None:
        self._hide()
        self._observer.event(self.session, event)
        if isinstance(event, AuthFailed) and event.reply is self._connection.replies.too_long_line:
            self._limit("auth_octets")

    def _take_refusal(self, event: Refused) -> None:
        self._observer.event(self.session, self._shown(event))
        if (limit := self._limits.get(id(event.reply))) is not None:
            self._limit(limit)

    def _take_closed(self, event: Closed) -> None:
        self._closed = event
        self._observer.event(self.session, event)
        if event.detail and (event.cause in _OF_LIMITS or event.detail == "unknown_before_hello"):
            self._limit(event.detail)

    def _shown(self, refused: Refused) -> Refused:
        """*refused*, without what may be a password or of a message: a client may send either where it is a command."""
        verb = refused.line.partition(b" ")[0].upper()
        if self._wary and verb not in _VERBS:
            refused = Refused(HIDDEN.encode(), refused.reply)
        elif self._hiding:
            refused = Refused(verb + b" ***", refused.reply)
        if verb in (b"AUTH", b"DATA", b"BDAT"):  # what was to follow may follow all the same
            self._hide()
        return refused

    def _hide(self) -> None:
        self._wary = self._hiding = True

    def _limit(self, name: str) -> None:
        self._observer.refused(name, self.session.peer, self.session)

    # --- by the conversation

    def rejected(self, question: Question, reply: Reply) -> None:
        """The session says no to *question*."""
        if not isinstance(question, _SECRET_QUESTIONS):
            self._observer.event(self.session, Rejected(question, reply))

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
        self._observer.closed(self.session, self._closed)


_TAKES: Final[Mapping[type[object], Callable[[Observation, Any], None]]] = {
    PasswordCheck: Observation._take_secret,
    SecretWanted: Observation._take_secret,
    TokenCheck: Observation._take_secret,
    BodyChunk: Observation._take_chunk,
    Hello: Observation._take_beginning,
    MailFrom: Observation._take_beginning,
    BodyBegin: Observation._take_body_begin,
    BodyEnd: Observation._take_body_end,
    BodyAborted: Observation._take_abort,
    Authenticated: Observation._take_auth,
    AuthFailed: Observation._take_auth,
    Refused: Observation._take_refusal,
    Closed: Observation._take_closed,
}


def _read(octets: bytes) -> tuple[Reply, ...]:
    """The replies that *octets* are."""
    replies = []
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
            replies.append(Reply(code, "\n".join(text), status))
            text, status = [], None
    return tuple(replies)


_read_kept: Final = lru_cache(256)(_read)


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
