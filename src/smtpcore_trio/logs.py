"""Lines about a server and a client, by structlog: `Logs` is an `Observer`, `ClientLogs` a `ClientObserver`.

All that a peer chooses is made safe: no line holds a control character, or one that changes the direction of the
text, and no value is long.

What a server has to say of itself, such as the exceptions of a session, goes to ``smtpcore_trio`` of `logging`.
"""

from collections import Counter
from typing import Any, Final, Protocol, Self

from smtpcore import (
    AuthDone,
    Authenticated,
    AuthFailed,
    BodyAborted,
    ClientEvent,
    Closed,
    Deviation,
    Envelope,
    Hello,
    MailFrom,
    Peer,
    Question,
    RcptTo,
    Refused,
    Reply,
    safe,
)

from .observe import NO_PROXY_HEADER, NO_TLS, BaseObserver, Denied, Event, Secured, SessionFacts, Settled
from .observe_client import BaseClientObserver, ClientFacts, Sent

# Recipients, and verdicts, that a line names.
_NAMED: Final = 10


class BoundLogger(Protocol):
    """What is used of a logger of structlog's."""

    def bind(self, **values: object) -> Self:
        """The same, with more in each of its lines."""

    def info(self, event: str, **values: object) -> object:
        """What is as it should be."""

    def warning(self, event: str, **values: object) -> object:
        """What somebody may want to look at."""


class Logs(BaseObserver):
    """Writes a line when a session opens and closes, for each message, refusal and limit, and of TLS and AUTH.

    Args:
        logger: such as `structlog.get_logger` gives. It must not block for long.

    Each line of a session has its ``session``, ``peer`` and ``port``; that of a message also ``helo``, and ``username``
    and ``tls`` where there are any.
    """

    def __init__(self, logger: BoundLogger) -> None:
        self._logger = logger
        self._bound: dict[str, BoundLogger] = {}
        self._known: dict[str, dict[str, str]] = {}  # what a message line has of its session

    def _of(self, session: SessionFacts) -> BoundLogger:
        bound = self._bound.get(session.session_id)
        if bound is None:
            bound = self._logger.bind(session=session.session_id, peer=_name(session.peer), port=safe(session.port))
        return bound

    def _know(self, session: SessionFacts, **values: str) -> None:
        if (known := self._known.get(session.session_id)) is not None:
            known.update(values)

    def _about(self, session: SessionFacts) -> dict[str, str]:
        """Of what kind of session a message is, as far as that is known."""
        tls = {} if session.tls is None else {"tls": safe(session.tls.version)}
        return self._known.get(session.session_id, {}) | tls

    def opened(self, session: SessionFacts) -> None:
        """See `Observer`."""
        bound = self._bound[session.session_id] = self._of(session)
        self._known[session.session_id] = {}
        bound.info("session opened", tls=session.tls is not None)

    def closed(self, session: SessionFacts, closed: Closed | None) -> None:
        """See `Observer`."""
        cause = "cut" if closed is None else closed.cause.name.lower()
        self._of(session).info("session closed", cause=cause, detail=safe(closed.detail) if closed else "")
        self._bound.pop(session.session_id, None)
        self._known.pop(session.session_id, None)

    def refused(self, limit: str, peer: Peer, session: SessionFacts | None = None) -> None:
        """See `Observer`."""
        logger = self._logger.bind(peer=_name(peer)) if session is None else self._of(session)
        if limit == NO_PROXY_HEADER:
            logger.warning("no PROXY header")
        elif limit == NO_TLS:
            logger.info("no TLS")
        else:
            logger.warning("limit", limit=limit)

    def event(self, session: SessionFacts, event: Event) -> None:
        """See `Observer`."""
        match event:
            case Settled():
                replies = [_reply(each) for each in event.verdicts[:_NAMED]]
                taken = sum(each.positive for each in event.verdicts)
                self._of(session).info(
                    "message",
                    octets=event.octets,
                    taken=taken,
                    replies=replies,
                    **_envelope(event.envelope),
                    **self._about(session),
                )
            case Hello():
                self._know(session, helo=safe(str(event.host)))
            case Denied():
                self._of(session).info("refused", command=_command(event.question), reply=_reply(event.reply))
            case Refused():
                self._of(session).info("refused", command=safe(event.line), reply=_reply(event.reply))
            case AuthFailed():
                self._of(session).warning(
                    "authentication failed",
                    mechanism=safe(event.mechanism),
                    username=None if event.username is None else safe(event.username),
                    reply=_reply(event.reply),
                )
            case Authenticated():
                username = safe(event.identity.username)
                self._know(session, username=username)
                self._of(session).info("authenticated", mechanism=safe(event.mechanism), username=username)
            case Secured():
                self._of(session).info("tls", version=safe(event.tls.version), cipher=safe(event.tls.cipher))
            case BodyAborted():
                self._of(session).info("message aborted", reason=event.reason.name.lower())
            case Deviation():
                what = event.what
                self._of(session).info("deviation", what=what if isinstance(what, str) else what.name.lower())
            case _:
                pass


class ClientLogs(BaseClientObserver):
    """Writes a line when a connection opens, closes or cannot be made, for each message and limit, and of AUTH.

    Args:
        logger: such as `structlog.get_logger` gives. It must not block for long.

    Each line of a connection has its ``session``, ``host`` and ``port``.
    """

    def __init__(self, logger: BoundLogger) -> None:
        self._logger = logger

    def _of(self, session: ClientFacts) -> BoundLogger:
        return self._logger.bind(session=session.session_id, host=safe(session.host), port=session.port)

    def opened(self, session: ClientFacts) -> None:
        """See `ClientObserver`."""
        tls = session.tls
        self._of(session).info("connection opened", tls=None if tls is None else safe(tls.version))

    def failed(self, session: ClientFacts, reason: str, error: BaseException) -> None:
        """See `ClientObserver`."""
        what = safe(f"{type(error).__name__}: {error}")
        self._of(session).warning("connection failed", reason=reason, error=what)

    def closed(self, session: ClientFacts, closed: Closed) -> None:
        """See `ClientObserver`."""
        self._of(session).info(
            "connection closed",
            cause=closed.cause.name.lower(),
            detail=safe(closed.detail),
            reply=None if closed.reply is None else _reply(closed.reply),
        )

    def sent(self, session: ClientFacts, message: Sent) -> None:
        """See `ClientObserver`."""
        fates = Counter(outcome.fate.name.lower() for outcome in message.outcomes)
        self._of(session).info(
            "message sent",
            octets=message.octets,
            seconds=round(message.seconds, 3),
            replies=[None if each.reply is None else _reply(each.reply) for each in message.outcomes[:_NAMED]],
            **fates,
            **_envelope(message.envelope),
        )

    def event(self, session: ClientFacts, event: ClientEvent) -> None:
        """See `ClientObserver`."""
        if isinstance(event, AuthDone):
            logger, mechanism = self._of(session), safe(event.mechanism)
            if event.reply.positive:
                logger.info("authenticated", mechanism=mechanism)
            else:
                logger.warning("authentication failed", mechanism=mechanism, reply=_reply(event.reply))

    def refused(self, limit: str, session: ClientFacts | None = None) -> None:
        """See `ClientObserver`."""
        (self._logger if session is None else self._of(session)).warning("limit", limit=limit)


def _name(peer: Peer) -> str:
    return safe(peer.address or "local")


def _reply(reply: Reply) -> str:
    return safe(str(reply))


def _envelope(envelope: Envelope | None) -> dict[str, Any]:
    if envelope is None:
        return {}
    recipients = [safe(str(each.path)) for each in envelope.recipients[:_NAMED]]
    return {"sender": safe(str(envelope.reverse_path)), "recipients": len(envelope.recipients), "to": recipients}


def _command(question: Question) -> str:
    match question:
        case MailFrom():
            return safe(f"MAIL FROM:<{question.path}>")
        case RcptTo():
            return safe(f"RCPT TO:<{question.path}>")
        case _:
            return safe(getattr(question, "verb", type(question).__name__.upper()))
