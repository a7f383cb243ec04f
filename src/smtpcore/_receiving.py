"""Messages on their way in, by DATA and by BDAT: the second floor of a server session."""

from typing import Final

from ._body import IncomingBody
from ._commands import parse_bdat
from ._config import Row
from ._deadlines import Deadline
from ._envelope import Body
from ._errors import GrammarError
from ._events import Abort, BodyAborted, BodyBegin, BodyChunk, BodyEnd, Cause, Refused, Reset, ServerEvent, Wait
from ._framing import Stray
from ._reply import Reply, fill
from ._session import Session

# Members of an enum are looked up by Python code in CPython 3.11: too slow for every message.
BINARY_MIME: Final = Body.BINARY_MIME
_BODY: Final = Deadline.BODY
_DATA: Final = Wait.DATA

_FIRST_OCTETS: Final = 4096


class Receiving(Session):
    """Steps that read octets by count or to a lone dot; none of them looks for a command."""

    __slots__ = ()

    def _starve(self) -> Wait | None:
        """There is no more to read now."""
        if self._in.eof:
            self._close(Cause.EOF)
            return None
        self._link.waiting = True
        return _DATA

    def _starve_body(self) -> Wait | None:
        """The same in the middle of a message, whose deadline stood still while the application was busy."""
        self._link.resume()
        return self._starve()

    # --- bodies --------------------------------------------------------------------------------------

    def _begin_body(self, *, dots: bool) -> IncomingBody:
        assert self._sender is not None
        # RFC 3030 3: a BINARYMIME body may hold any octet anywhere.
        binary = self._sender.params.body is BINARY_MIME
        body = IncomingBody(self._limits, Stray.KEEP if binary else self._plan.config.stray, dots=dots)
        self._body = body
        self._link.arm_soon(_BODY)
        return body

    def _read_body(self) -> ServerEvent | Wait | None:
        body = self._body
        assert body is not None
        if body.ended:
            return self._finish("final dot")
        if not len(self._in):
            return self._starve_body()
        # A read may hold many small messages: to look at all of it for each would cost its square. The first may.
        data = self._in.take(max(_FIRST_OCTETS, body.raw) if self._in.pos else None)
        was_refused = body.refused
        content, rest = body.data(data)
        if rest >= 0:
            self._in.push_back(data, rest)
        return self._hand_out(body, content, was_refused)

    def _read_chunk(self) -> ServerEvent | Wait | None:
        body = self._body
        assert body is not None
        if body.ended or (body.left == 0 and not body.last):
            return self._finish("octets of LAST" if body.last else "octets")
        if body.left and not len(self._in):
            return self._starve_body()
        was_refused = body.refused
        content = body.chunk(self._in.take(body.left))
        return self._hand_out(body, content, was_refused)

    def _hand_out(self, body: IncomingBody, content: bytes, was_refused: bool) -> ServerEvent | None:
        if body.abort is not None and not was_refused:
            self._reports.append(BodyAborted(body.abort, body.limit))
        if body.overflown:
            self._close_over("discard_octets")
        return BodyChunk(content) if content else None

    def _finish(self, happening: str) -> ServerEvent | None:
        """The message, or a chunk of it, has come to its end."""
        body = self._body
        assert body is not None
        edge = self._row(happening).edge
        self._link.disarm(_BODY)
        if body.refused:
            reply = self._body_reply(body)
            replies = self._verdicts if happening != "octets" else 1
            self._discarded = body.raw
            self._pursued = int(happening == "octets")
            self._drop()
            self._go(edge.no)
            self._say_repeatedly(reply, replies)
            return None
        if happening == "octets":
            self._say(fill(self._replies.chunk_ok, octets=str(self._chunk[0])))
            self._go(edge.ok)
            return None
        self._go(edge.ok)
        return self._ask(BodyEnd(body.octets), self._row("verdict").edge)

    def _say_repeatedly(self, reply: Reply, times: int) -> None:
        """Say *reply* for each recipient, or once; a 421 ends the session then."""
        for _ in range(times):
            self._say(reply)
        if reply.code == 421:
            self._close(Cause.REJECTED)

    def _body_reply(self, body: IncomingBody) -> Reply:
        if body.reply is not None:
            return body.reply
        if body.abort is Abort.STRAY_OCTETS:
            return self._replies.stray_octets
        return self._plan.hits[body.limit]

    @property
    def _verdicts(self) -> int:
        """How many replies the end of the message wants."""
        return len(self._recipients) if self._plan.dialect.per_recipient else 1

    # --- BDAT ----------------------------------------------------------------------------------------

    def _bdat(self, row: Row, argument: str) -> ServerEvent | None:
        try:
            size, last = parse_bdat(argument)
        except GrammarError:
            return self._unreadable_chunk()
        self._chunk = (size, last)
        body = self._body
        if body is None:
            if size <= self._limits.message_octets:
                return self._ask(BodyBegin("BDAT"), row.edge)
            self._reports.append(Reset())
            return self._refuse_chunk(self._plan.hits["message_octets"], report=True, limit="message_octets")
        was_refused = body.refused
        fits = body.begin_chunk(size, last)
        if not was_refused and fits:
            self._go(row.edge.ok)
            self._link.arm_soon(_BODY)
            return None
        if not was_refused:
            self._reports.append(BodyAborted(Abort.TOO_BIG, body.limit))
        self._discarded = body.raw
        return self._refuse_chunk(self._body_reply(body), report=body.reply is None)

    def _refuse_chunk(self, reply: Reply, *, report: bool, limit: str = "") -> ServerEvent | None:
        """Refuse the message at a BDAT line: the transaction ends, the octets are consumed, then *reply* is said."""
        size, last = self._chunk
        times = self._verdicts if last else 1
        self._pursued = int(not last)
        self._drop()
        self._go(self._row("BDAT").edge.no)
        return self._discard_chunk(size, reply, times, report=report, error=False, limit=limit)

    def _stray_chunk(self, argument: str, reply: Reply) -> ServerEvent | None:
        """A BDAT out of place: its octets are consumed before *reply*, for they are no commands."""
        try:
            size, last = parse_bdat(argument)
        except GrammarError:
            return self._unreadable_chunk()
        # RFC 3030 2: a pipelining server "MUST be prepared to accept and discard additional BDAT chunks
        # already in the pipeline after the failed BDAT": those are no errors of the client.
        error = not 0 < self._pursued <= self._limits.chunks
        self._pursued = 0 if last or not self._pursued else self._pursued + 1
        return self._discard_chunk(size, reply, 1, report=True, error=error)

    def _unreadable_chunk(self) -> Refused:
        # Nobody can tell where the commands go on.
        self._close(Cause.PROTOCOL, "BDAT", self._replies.bad_bdat)
        return Refused(self._line, self._replies.bad_bdat)

    def _discard_chunk(
        self, size: int, reply: Reply, times: int, *, report: bool, error: bool, limit: str = ""
    ) -> ServerEvent | None:
        self._discarded += size
        if self._discarded > self._limits.discard_octets:
            self._close_over("discard_octets")
            return None
        self._after_drain = (reply, times, report, error, limit)
        self._drain = size
        if size:
            self._link.arm_soon(_BODY)
            return None
        return self._drained()

    def _read_drain(self) -> ServerEvent | Wait | None:
        if not len(self._in):
            return self._starve_body()
        self._drain -= len(self._in.take(self._drain))
        return None if self._drain else self._drained()

    def _drained(self) -> ServerEvent | None:
        assert self._after_drain is not None
        reply, times, report, error, limit = self._after_drain
        self._after_drain = None
        self._link.disarm(_BODY)
        for _ in range(times - 1):
            self._say(reply)
        if report:
            return self._refuse(reply, error=error, limit=limit)
        self._say_or_close(reply)
        return None
