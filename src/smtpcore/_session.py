"""The state of a server session, and what every part of it does: reply, move, refuse, end.

`ServerConnection` is one object on four floors: `Session` here, `Receiving` (messages), `Reading`
(commands), and the doors. Each floor calls only itself and those below it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ._auth import AuthExchange
from ._body import IncomingBody
from ._config import Plan, Row, ServerConfig
from ._dialect import Dialect
from ._envelope import Envelope, Recipient
from ._events import (
    Abort,
    BodyAborted,
    Cause,
    Closed,
    Connected,
    Hello,
    Identity,
    MailFrom,
    Peer,
    Question,
    Quirk,
    RcptTo,
    Refused,
    Reset,
    ServerEvent,
    TlsInfo,
)
from ._framing import Input
from ._limits import Limits, Timeouts
from ._link import Link
from ._machine import Edge, Gate, Phase
from ._reply import Replies, Reply
from .extensions import Extension

AUTH_LINE: Final = b"AUTH "
"""How a line begins, in any case, that may have auth_octets."""


class Session:
    """State, facts, and the moves that all commands share."""

    __slots__ = (
        "_after_drain", "_auth_attempts", "_body", "_chunk", "_closing", "_discarded", "_drain", "_early", "_edge",
        "_enhanced", "_errors", "_exchange", "_guarded", "_hello", "_identity", "_in", "_junk", "_lenient", "_limits",
        "_line", "_link", "_offered", "_orphan", "_peer", "_phase", "_plan", "_pursued", "_question", "_quirks",
        "_recipients", "_replies", "_reports", "_rows", "_sender", "_surplus", "_table", "_tls", "_transactions",
        "_unknown", "_utf8_line",
    )  # fmt: skip

    def __init__(self, config: ServerConfig, peer: Peer, tls: TlsInfo | None, dialect: Dialect) -> None:
        plan = config.plan(dialect)
        limits = config.limits
        self._plan: Plan = plan
        self._limits = limits
        self._replies = plan.replies
        self._enhanced = plan.enhanced
        self._early = plan.early_input
        self._quirks = config.quirks
        self._lenient = Quirk.BARE_LF in config.quirks
        self._peer = peer
        self._tls = tls
        self._hello: Hello | None = None
        self._identity: Identity | None = None
        # RFC 5321 4.1.1.11: parameters belong to extensions, and those to sessions begun with EHLO.
        self._offered: frozenset[str] = frozenset()  # the keywords in the reply to the last EHLO
        self._in = Input(limits.swallowed_octets, ((AUTH_LINE, limits.auth_octets),))
        self._link = Link(self._in, plan.deadlines, config.timeouts.min_body_rate)
        self._closing: tuple[Cause, str, Reply] | None = None

        # The transaction; each is replaced, never changed back.
        self._sender: MailFrom | None = None
        self._recipients: list[RcptTo] = []
        self._body: IncomingBody | None = None
        self._chunk = (0, False)  # size and LAST of the BDAT whose BodyBegin is open

        self._exchange: AuthExchange | None = None
        self._line = b""
        self._utf8_line = False

        self._drain = 0
        self._after_drain: tuple[Reply, int, bool, bool, str] | None = None  # how often; reported; as an error; limit
        self._discarded = 0
        # Chunks that may still come as they were sent before one was refused; 0 where there are none.
        self._pursued = 0
        self._surplus = 0  # recipients over the limit in this transaction

        self._errors = 0
        self._junk = 0
        self._unknown = 0
        self._transactions = 0
        self._auth_attempts = 0
        # There was an AUTH: a client that does not wait for replies goes on with its password.
        self._guarded = False

        self._phase = Phase.CONNECT
        self._open_gates()
        self._edge = self._row("connect").edge
        # Open from the start, so that what a client sends before it was greeted is not parsed.
        connected = Connected(peer)
        self._question: Question | None = connected
        self._orphan: Question | None = None
        self._reports: deque[ServerEvent] = deque((connected,))

    # --- facts -------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """Where the session stands."""
        return self._phase

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        return self._peer

    @property
    def tls(self) -> TlsInfo | None:
        """What the TLS layer said; None in the clear."""
        return self._tls

    @property
    def hello(self) -> Hello | None:
        """The client's accepted EHLO, HELO or LHLO."""
        return self._hello

    @property
    def identity(self) -> Identity | None:
        """Who has authenticated."""
        return self._identity

    @property
    def awaits_answer(self) -> bool:
        """Whether a question is open: the last event was one, and has not been answered."""
        return self._question is not None

    @property
    def envelope(self) -> Envelope | None:
        """The transaction so far; None where there is none."""
        if self._sender is None:
            return None
        recipients = tuple(Recipient(each.path, each.params) for each in self._recipients)
        return Envelope(self._sender.path, recipients, self._sender.params)

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._limits

    @property
    def timeouts(self) -> Timeouts:
        """The lengths of the deadlines in force."""
        return self._plan.config.timeouts

    def used(self, limit: str) -> int:
        """How much of *limit* is in use now; of what a session counts from its beginning, also when it is over.

        Raises:
            KeyError: nothing counts that, or there is no such limit.
        """
        return _USES[limit](self)

    @property
    def replies(self) -> Replies:
        """The stock replies in force, with the names filled in."""
        return self._replies

    @property
    def extensions(self) -> tuple[Extension, ...]:
        """The extensions that are offered at this moment."""
        return tuple(each for each in self._plan.config.extensions if each.offer(self) is not None)

    @property
    def mechanisms(self) -> Sequence[str]:
        """The SASL mechanisms that may be used at this moment."""
        if self.tls_before_auth:
            return ()
        return [each.name for each in self._plan.config.mechanisms if each.available(self._tls)]

    @property
    def tls_before_auth(self) -> bool:
        """Whether AUTH is refused for want of TLS."""
        return self._tls is None and not self._plan.config.cleartext_auth

    @property
    def wants_data(self) -> bool:
        """Whether to read now. False is back-pressure: stop reading from the socket."""
        # What waits for octets wants them: a line may be as long as the buffer.
        room = self._link.waiting or len(self._in) < self._limits.buffered_octets
        return room and self._phase is not Phase.CLOSED

    # --- moves -------------------------------------------------------------------------------------

    def _row(self, name: str) -> Row:
        """The row of something that happens inside the connection, in this phase."""
        return self._rows[name]

    def _open_gates(self) -> None:
        passed = {gate for gate, fact in ((Gate.TLS, self._tls), (Gate.AUTH, self._identity)) if fact is not None}
        self._table = self._plan.table(self._plan.demanded - passed)
        self._rows = self._table[self._phase]

    def _go(self, phase: Phase | None) -> None:
        if phase is not None and phase is not self._phase:
            self._phase = phase
            self._rows = self._table[phase]

    def _say(self, reply: Reply) -> None:
        link = self._link  # as Link.send does, but on the path of every command
        octets = reply.wire(self._enhanced)
        link.out.append(octets)
        link.out_octets += len(octets)

    def _ask(self, question: Question, edge: Edge) -> Question:
        self._edge = edge
        self._question = question
        return question

    def _refuse(self, reply: Reply, *, error: bool = True, limit: str = "") -> Refused:
        """Say *reply* to the present command; it counts as an error unless *error* is false."""
        line = self._shown()
        if error:
            reply = self._counted(reply)
        self._say_or_close(reply, Cause.LIMIT)
        return Refused(line, reply, limit)

    def _refuse_over(self, limit: str, *, error: bool = True) -> Refused:
        """Say of the present command that it is over *limit*."""
        return self._refuse(self._plan.hits[limit], error=error, limit=limit)

    def _shown(self) -> bytes:
        """The present command as a report may show it."""
        if self._line[:4].upper() == b"AUTH":
            self._guarded = True
            return b"AUTH ***"
        return self._line

    def _counted(self, reply: Reply) -> Reply:
        """*reply* to an error of the client's, or the reply to one too many."""
        self._errors += 1
        return self._plan.hits["errors"] if self._errors > self._limits.errors else reply

    def _say_or_close(self, reply: Reply, cause: Cause = Cause.REJECTED) -> None:
        """Say *reply*; a 421 ends the session."""
        if reply.code == 421:
            self._close(cause, "errors" if self._errors > self._limits.errors else "", reply)
        else:
            self._say(reply)

    def _drop(self) -> bool:
        """End the transaction, whatever became of it; whether there was one."""
        had = self._sender is not None
        self._sender = None
        self._recipients = []
        self._body = None
        return had

    def _reset(self) -> None:
        """Drop the transaction because the client wants it so."""
        self._abort_body(Abort.RESET)
        if self._drop():
            self._reports.append(Reset())

    def _abort_body(self, reason: Abort) -> None:
        if self._body is not None and not self._body.refused:
            self._reports.append(BodyAborted(reason))

    def _close_over(self, limit: str) -> None:
        """End the session, which is over *limit*."""
        self._close(Cause.LIMIT, limit, self._plan.hits[limit])

    def _close(self, cause: Cause, detail: str = "", reply: Reply | None = None) -> None:
        """End the session: nothing more is read, and nothing but *reply* is said."""
        if reply is not None:
            self._say(reply)
        self._orphan, self._question = self._question, None
        self._abort_body(Abort.LOST)
        self._drop()
        self._exchange = None
        self._drain = 0
        self._closing = None
        self._in.clear()
        self._go(Phase.CLOSED)
        self._link.end()
        self._reports.append(Closed(cause, detail))


# Where it is read how much of a limit is in use. The others bound what nobody counts.
_USES: Final[dict[str, Callable[[Session], int]]] = {
    "command_octets": lambda session: len(session._line) + 2,
    "output_octets": lambda session: session._link.out_octets,
    "recipients": lambda session: len(session._recipients),
    "message_octets": lambda session: 0 if session._body is None else session._body.octets,
    "discard_octets": lambda session: session._discarded,
    "chunks": lambda session: 0 if session._body is None else session._body.chunks,
    "transactions": lambda session: session._transactions,
    "errors": lambda session: session._errors,
    "junk_commands": lambda session: session._junk,
    "unknown_before_hello": lambda session: session._unknown,
    "auth_attempts": lambda session: session._auth_attempts,
}
