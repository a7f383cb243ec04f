"""The state of a client session, and what every part of it does: issue, hear, move, end.

`ClientConnection` is one object on three floors: `Dialling` here, `Sending` (messages), and the doors.
Each floor calls only itself and those below it.

Theory of operation. A command is *issued*, which puts it into `_todo`; `_release` lets it go to the link
as soon as RFC 2920 permits; `_handed_out` notes that its octets have left the engine. From then on it is
awaited, and the next whole reply is its. A reply whose first octet was received before that is nobody's:
so octets that a server, or somebody between, sent ahead can never pass for an answer.
"""

import functools
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from ._capabilities import NO_CAPABILITIES, Capabilities
from ._client_config import ClientConfig
from ._client_events import ClientEvent, Greeting, TransactionDone
from ._commands import Command, encode_line
from ._deadlines import CLIENT_DEADLINES, Deadline
from ._dialect import Dialect
from ._errors import LocalProtocolError
from ._events import Cause, Closed, Deviation, Oddity, Quirk, TlsInfo, Violation
from ._framing import Input, RawReply, ReplyFault, ReplyReader, read_alone
from ._link import Link
from ._machine import CLIENT, ClientEdge, Gate, Phase, rows
from ._reply import KNOWN_CODES, LINE_OCTETS, Reply, hear
from ._transaction import Fate, Transaction

EDGES: Final = {edge.input: edge for edge in CLIENT}
_ROWS: Final = rows(CLIENT)
_VERDICT: Final = EDGES["verdict"]
# Members of an enum are looked up by Python code in CPython 3.11: too slow for every command.
_TLS: Final = Gate.TLS
_CLOSED: Final = Phase.CLOSED
_FOLLOWED: Final = ("verdict", "RSET")  # behind these, whatever the reply, the server awaits MAIL, RSET or QUIT
_VIOLATIONS: Final = {
    ReplyFault.MALFORMED: Violation.MALFORMED_REPLY,
    ReplyFault.MIXED_CODES: Violation.MIXED_CODES,
    ReplyFault.LINE_TOO_LONG: Violation.REPLY_TOO_LONG,
    ReplyFault.TOO_MANY_LINES: Violation.REPLY_TOO_LONG,
    ReplyFault.TOO_LONG: Violation.REPLY_TOO_LONG,
}
# The limit that is hit.
_OVER: Final = {
    ReplyFault.LINE_TOO_LONG: "reply_line_octets",
    ReplyFault.TOO_MANY_LINES: "reply_lines",
    ReplyFault.TOO_LONG: "reply_octets",
}


class Awaited:
    """A command, or the end of a message, and its reply to come.

    Args:
        octets: what to send.
        transaction: that it is of.
        index: the place of its recipient in the envelope.
    """

    __slots__ = ("command", "edge", "index", "mark", "octets", "transaction")

    def __init__(
        self,
        edge: ClientEdge,
        command: Command,
        octets: bytes = b"",
        transaction: Transaction | None = None,
        index: int = -1,
    ) -> None:
        self.edge = edge
        self.command = command
        self.octets = octets
        self.transaction = transaction
        self.index = index
        self.mark = 0  # how many octets had been received when it left


class AwaitedChunk(Awaited):
    """A BDAT command, with its octets."""

    __slots__ = ("content",)

    content: list[bytes]


Heard = tuple[Reply, tuple[Oddity, ...]]


def _heard(raw: RawReply, statuses: bool) -> Heard:
    oddities: list[Oddity] = []
    if raw.code not in KNOWN_CODES:
        oddities.append(Oddity.UNKNOWN_CODE)
    if raw.bare:
        oddities.append(Oddity.MISSING_TEXT)
    text = b"".join(raw.lines)
    if not text.isascii():
        oddities.append(Oddity.NOT_ASCII)
        try:
            text.decode()
        except UnicodeDecodeError:
            oddities.append(Oddity.NOT_UTF8)
    if any(len(line) > LINE_OCTETS - len("250 \r\n") for line in raw.lines):
        oddities.append(Oddity.LONG_LINE)
    return hear(raw.code, raw.lines, statuses=statuses), tuple(oddities)


# A server says the same few things again and again. What is kept is bounded by the length of what is looked up.
@functools.lru_cache(maxsize=256)
def _heard_before(line: bytes) -> Heard | ReplyFault:
    raw = read_alone(line)
    return raw if isinstance(raw, ReplyFault) else _heard(raw, True)


_KEPT_OCTETS: Final = 84


class Dialling:
    """State, facts, and the moves that all commands share."""

    __slots__ = (
        "_authenticated", "_capabilities", "_config", "_dialect", "_dirty", "_events", "_exchange", "_expected",
        "_greeted", "_heard_some", "_in", "_issued", "_lengths", "_limits", "_link", "_mail_most", "_name", "_phase",
        "_pipelining", "_reader", "_received", "_sent_transactions", "_start", "_time", "_tls", "_todo",
        "_transactions", "_unanswered", "_unread", "_waited", "_writing",
    )  # fmt: skip

    def __init__(self, config: ClientConfig, tls: TlsInfo | None, dialect: Dialect) -> None:
        limits = config.limits
        self._config = config
        self._limits = limits
        self._dialect = dialect
        self._tls = tls
        self._greeted: Command | None = None
        self._mail_most: int | None = None
        self._name = ""
        self._capabilities: Capabilities = NO_CAPABILITIES
        self._pipelining = False
        self._authenticated = False
        self._exchange: Any = None

        # No line is swallowed here: the reader ends the connection at the first that is too long.
        self._in = Input(limits.reply_line_octets)
        self._reader = ReplyReader(
            self._in,
            line_octets=limits.reply_line_octets,
            lines=limits.reply_lines,
            octets=limits.reply_octets,
            lenient=Quirk.BARE_LF in config.quirks,
        )
        self._lengths = {each: getattr(config.timeouts, each.value) for each in CLIENT_DEADLINES}
        self._link = Link(self._in, self._lengths, 1.0)
        self._received = 0  # octets, in all
        self._start = 0  # where in them the next reply begins
        self._time = 0.0  # when octets were received, or commands left, last

        self._todo: deque[Awaited] = deque()  # issued
        self._issued: list[Awaited] = []  # in the link
        self._expected: deque[Awaited] = deque()  # handed out
        self._unanswered = 0  # octets of commands in the link or handed out
        self._waited: Deadline | None = None  # for the first of those expected
        self._writing: Deadline | None = None  # for what has left the engine
        self._unread = False  # octets came, and the application has not asked for all events since
        self._heard_some = False  # a reply was read, so the next one's deadline is to begin

        self._transactions: deque[Transaction] = deque()  # that are not done
        self._sent_transactions = 0
        self._dirty = False  # the server may still hold a transaction: RSET before the next

        self._phase = Phase.CONNECT
        self._events: deque[ClientEvent] = deque()
        self._expected.append(Awaited(EDGES["greeting"], Command("greeting")))
        self._waited = Deadline.GREETING
        self._link.arm_soon(Deadline.GREETING)

    # --- facts -------------------------------------------------------------------------------------

    @property
    def config(self) -> ClientConfig:
        """As given."""
        return self._config

    @property
    def dialect(self) -> Dialect:
        """SMTP, SUBMISSION or LMTP."""
        return self._dialect

    @property
    def phase(self) -> Phase:
        """Where the session stands, by the replies that have been read."""
        return self._phase

    @property
    def tls(self) -> TlsInfo | None:
        """What the TLS layer said; None in the clear."""
        return self._tls

    @property
    def greeted(self) -> Command | None:
        """The EHLO, HELO or LHLO that was accepted."""
        return self._greeted

    @property
    def capabilities(self) -> Capabilities:
        """What the server offered in its last reply to EHLO or LHLO."""
        return self._capabilities

    @property
    def authenticated(self) -> bool:
        """Whether AUTH has succeeded."""
        return self._authenticated

    @property
    def transactions_left(self) -> int | None:
        """How many transactions more the server takes, by its LIMITS (RFC 9422); None where it does not say."""
        most = self._mail_most
        return None if most is None else max(0, most - self._sent_transactions)

    @property
    def wants_data(self) -> bool:
        """Whether to read now. False is back-pressure: ask `next_event` first."""
        limits = self._limits
        # A line that has not ended is kept whole, so there is always room for one.
        room = max(limits.buffered_octets, limits.reply_line_octets + 1)
        return len(self._in) < room and self._phase is not _CLOSED

    @property
    def awaits_intent(self) -> bool:
        """Whether it is the application's move: nothing is awaited, or more of a message may go before it is."""
        if self._phase is Phase.CHUNK and self._transactions[-1].wants_body:
            return True
        return not (self._expected or self._issued or self._todo) and self._phase not in (_CLOSED, Phase.TLS)

    # --- moves -------------------------------------------------------------------------------------

    def _go(self, phase: Phase | None) -> None:
        self._phase = phase or self._phase

    def _pass(self, name: str) -> None:
        """Follow the edge *name* from this phase, where there is one."""
        edge = _ROWS[self._phase].get(name)
        if edge is not None:
            self._phase = edge.ok or self._phase

    def _tell(self, event: ClientEvent) -> None:
        self._events.append(event)

    def _intend(self, name: str, *, group: bool = False) -> ClientEdge:
        """The edge of a command that may be issued now.

        Args:
            group: it may be, too, while the verdict over a message is awaited, with PIPELINING.

        Raises:
            LocalProtocolError: it may not.
        """
        edge = _ROWS[self._phase].get(name)
        if edge is None:
            raise LocalProtocolError(f"{name} is out of order: this connection waits for {self._phase.value}")
        if self._todo or self._issued or self._expected:
            last = self._last()
            if not (group and self._pipelining and last.edge.input in _FOLLOWED and not self._chunks_unanswered()):
                raise LocalProtocolError(f"{name} before the reply to {last.command.verb}")
        if self._tls is None and self._config.tls_required and _TLS in edge.gates:
            raise LocalProtocolError(f"{name} before TLS, which the config demands")
        return edge

    def _chunks_unanswered(self) -> bool:
        # If one of them is refused, nobody knows what state the server is in until RSET.
        return any(each._body.unanswered for each in self._transactions)

    def _last(self) -> Awaited:
        """What will be answered last."""
        if self._todo:
            return self._todo[-1]
        return self._issued[-1] if self._issued else self._expected[-1]

    def _say(self, edge: ClientEdge, text: str, command: Command | None = None, *, clean: bool = False) -> Command:
        """Issue a command that is no part of a transaction; with *clean*, one that may not stand in one, either."""
        if command is None:
            verb, _, argument = text.partition(" ")
            command = Command(verb, argument)
        octets = encode_line(text, self._limits.command_octets)
        if clean and self._dirty:
            self._dirty = False
            self._todo.append(Awaited(EDGES["RSET"], Command("RSET"), b"RSET\r\n"))
        self._todo.append(Awaited(edge, command, octets))
        self._release()
        return command

    def _release(self) -> None:
        """Put into the link what may be sent now."""
        todo, issued = self._todo, self._issued
        out: list[bytes] = []
        before = issued or self._expected
        while todo:
            awaited = todo[0]
            octets = awaited.octets
            # RFC 2920 3.1: what ends a group is not followed before its reply; nor is anything without PIPELINING.
            # What waits unread in the two TCP windows is bounded, or each side could wait for the other (3.1, too).
            # A verdict of LMTP's behind the first has no octets of its own, and nothing to wait for.
            if (
                octets
                and before
                and (
                    not self._pipelining
                    or before[-1].edge.ends_group
                    or self._unanswered + len(octets) > self._limits.pipelined_octets
                )
            ):
                break
            todo.popleft()
            if octets:
                out.append(octets)
            self._unanswered += len(octets)
            if type(awaited) is AwaitedChunk:
                out += awaited.content
                awaited.content = []
            issued.append(awaited)
            before = issued
        if out:
            self._link.send(b"".join(out))

    def _handed_out(self, now: float) -> None:
        """What was issued has left the engine: replies to it may come from now on."""
        expected, issued, received = self._expected, self._issued, self._received
        idle = not expected
        for awaited in issued:
            awaited.mark = received
            if awaited.edge is _VERDICT and awaited.transaction is not None:
                awaited.transaction._end_sent = True
        expected += issued
        issued.clear()
        self._time = now
        if idle:
            self._await(now)

    def _await(self, now: float) -> None:
        """Start the deadline of the reply that comes next, if one does."""
        self._heard_some = False
        expected, waited, clock = self._expected, self._waited, self._link.clock
        # Spelt out: this is on the path of every reply.
        deadline = self._waited = expected[0].edge.deadline if expected else None
        if waited is not None:
            clock.times.pop(waited, None)
        if deadline is not None:
            clock.times[deadline] = now + self._lengths[deadline]
        clock.stale = True

    def _await_no_more(self) -> None:
        """It is the application's move: replies may come meanwhile, and are not late before it has made its move."""
        if self._waited is not None:
            self._link.disarm(self._waited)
            self._waited = None
        self._heard_some = True

    # --- replies -----------------------------------------------------------------------------------

    def _read(self) -> bool:
        """Read a reply, if there is a whole one; whether there was."""
        received, expected = self._in, self._expected
        # RFC 2034 4: no enhanced status code in the greeting, nor in the reply to EHLO or HELO, that say yes.
        statuses = not expected or expected[0].command.verb not in _NO_STATUSES
        line = self._reader.alone(_KEPT_OCTETS) if statuses else None
        heard: Heard | ReplyFault
        if line is not None:
            heard = _heard_before(line)
        else:
            raw = self._reader.next()
            if raw is None:
                return False
            heard = raw if isinstance(raw, ReplyFault) else _heard(raw, statuses or raw.code >= 400)
        if not isinstance(heard, tuple):
            self._violated(_VIOLATIONS[heard], _OVER.get(heard, heard.value))
            return True
        reply, oddities = heard
        code = reply.code
        start = self._start
        self._start = self._received - len(received.data) + received.pos
        for oddity in oddities:
            self._events.append(Deviation(oddity))
        if not expected or start < expected[0].mark:
            self._unasked(reply)
            return True
        awaited = expected.popleft()
        self._unanswered -= len(awaited.octets)
        self._heard_some = True
        edge, transaction = awaited.edge, awaited.transaction
        if transaction is not None:
            transaction._outstanding -= 1
        answer = True if code in edge.codes else self._judge(edge, code)
        if answer is None:
            self._violated(Violation.WRONG_REPLY, f"{code} to {awaited.command.verb}", reply)
            return True
        HANDLERS[edge.input](self, awaited, reply, answer)
        if code == 421:
            # RFC 5321 3.8: 421 to any command says that the server closes the connection.
            self._close(Cause.REJECTED, reply=reply)
        elif self._todo:
            self._release()
        return True

    def _judge(self, edge: ClientEdge, code: int) -> bool | None:
        """Whether *code*, which is none that the table has, says yes or no; None where it cannot come here."""
        if code >= 400:
            return False
        if edge.input in ("AUTH", "exchange") and code in _ROWS[self._phase]["challenge"].codes:
            return True
        if edge.exact or code >= 300:
            return None
        self._tell(Deviation(Oddity.UNEXPECTED_CODE))
        return True

    def _unasked(self, reply: Reply) -> None:
        """A reply came that is to no command."""
        if reply.code == 421:
            self._close(Cause.REJECTED, reply=reply)
            return
        early = bool(self._expected or self._issued)
        self._violated(Violation.EARLY_REPLY if early else Violation.SURPLUS_REPLY, str(reply.code), reply)

    def _on_greeting(self, awaited: Awaited, reply: Reply, ok: bool) -> None:
        if ok:
            self._go(awaited.edge.ok)
        self._tell(Greeting(reply))

    # --- the end -----------------------------------------------------------------------------------

    def _violated(self, violation: Violation, detail: str, reply: Reply | None = None) -> None:
        """The server broke the protocol: nothing that it says counts from here on."""
        limits = (Violation.REPLY_TOO_LONG, Violation.TOO_MANY_CAPABILITIES)
        self._close(Cause.LIMIT if violation in limits else Cause.PROTOCOL, detail, violation, reply)

    def _close(
        self, cause: Cause, detail: str = "", violation: Violation | None = None, reply: Reply | None = None
    ) -> None:
        """End the session at once; say what becomes of every message."""
        if self._phase is _CLOSED:
            return
        for transaction in tuple(self._transactions):
            self._abandon(transaction, reply)
        self._phase = _CLOSED
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None
        self._todo.clear()
        self._issued.clear()
        self._expected.clear()
        self._in.clear()
        self._link.take()
        self._link.end()
        self._link.disarm(Deadline.WRITE)
        self._writing = None
        self._tell(Closed(cause, detail, violation, reply))

    def _abandon(self, transaction: Transaction, reply: Reply | None) -> None:
        """The connection is gone: what is undecided stays so; *reply* is why, if it says no."""
        if reply is not None and reply.positive:
            reply = None
        for index, outcome in enumerate(transaction.outcomes):
            fate = outcome.fate
            if reply is not None and reply.permanent and transaction._wanted and fate is Fate.UNSENT:
                fate = Fate.REFUSED  # the server would not even hear it to its end
            transaction._decide(index, fate, reply if fate is not Fate.UNKNOWN else None)
        self._finish(transaction)

    def _finish(self, transaction: Transaction) -> None:
        """Every outcome of *transaction* is final."""
        transaction._done = True
        transaction._body.drop()
        self._transactions.remove(transaction)
        self._tell(TransactionDone(transaction))


_NO_STATUSES: Final = frozenset({"greeting", "EHLO", "HELO", "LHLO"})

Handler = Callable[[Any, Awaited, Reply, bool], None]
HANDLERS: Final[dict[str, Handler]] = {"greeting": Dialling._on_greeting}
"""What a reply does, by the input of its edge; each floor adds its own."""
