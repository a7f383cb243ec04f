"""What the octets mean: the third floor of a server session.

Three things decide what the next octets are, in this order:

1. ``_drain``: octets of a refused BDAT chunk, to be consumed before its reply (RFC 3030 section 2:
   "the receiver-SMTP MUST accept and discard the associated message data before sending");
2. the phase: a body, a chunk, a SASL answer, a handshake; or else
3. a command line, whose verb is looked up in the rows of the phase.

A step reads one such thing. It returns an event, a `Wait`, or None when there is nothing to tell.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from ._auth import AuthExchange, Outcome, Step, challenge_line
from ._commands import (
    PathError,
    parse_hello,
    parse_mail,
    parse_optional_string,
    parse_rcpt,
    parse_string,
    with_brackets,
    without_spaces,
)
from ._config import FOREIGN_VERBS, KNOWN_VERBS, Row, UnknownParameter, decode_params
from ._dialect import EarlyInput
from ._envelope import NO_MAIL_PARAMS, NO_RCPT_PARAMS, MailParams, RcptParams
from ._errors import GrammarError
from ._events import (
    Authenticated,
    AuthFailed,
    BodyBegin,
    Cause,
    Deviation,
    Extended,
    Hello,
    MailFrom,
    Quirk,
    Quit,
    RcptTo,
    Refused,
    ServerEvent,
    StartTls,
    Verify,
    Wait,
    XClient,
)
from ._framing import Line
from ._grammar import unfit
from ._machine import Gate, Phase
from ._receiving import BINARY_MIME, Receiving
from ._reply import Reply, fill
from ._session import AUTH_LINE
from ._value import evolve
from .extensions import Param
from .sasl import Challenge

_Params = TypeVar("_Params", MailParams, RcptParams)
# What somebody may take for BDAT, and its octets for no commands, whatever is wrong with the rest.
_match_bdat = re.compile(rb"BDAT(?![A-Za-z0-9])", re.IGNORECASE).match
_bare_line_end = re.compile(rb"[\r\n]").search
_ADDRESS_VERBS: Final = (b"MAIL", b"RCPT", b"VRFY", b"EXPN")


class Reading(Receiving):
    """The steps, and a handler for each verb."""

    __slots__ = ()

    # --- lines -------------------------------------------------------------------------------------

    def _read_command(self) -> ServerEvent | Wait | None:
        received = self._in
        if received.pos == len(received.data):
            return self._starve()
        if self._link.out_octets > self._limits.output_octets:
            return Wait.SEND
        # 0x16 is how a TLS handshake begins: of a client that was to say STARTTLS first.
        if self._hello is None and not received.swallowed and received.data.startswith(b"\x16", received.pos):
            self._close(Cause.PROTOCOL, "TLS", self._replies.foreign_protocol)
            return None
        line = received.line(self._limits.command_octets, self._lenient)
        if not isinstance(line, bytes):
            return self._no_line(line)
        self._line = line
        try:
            text = line.decode("ascii")
            self._utf8_line = False
        except UnicodeDecodeError:
            decoded = self._decode_utf8(line)
            if decoded is None:
                return self._refuse_octets(line)
            text = decoded
            self._utf8_line = True

        verb, _, argument = text.partition(" ")
        row = self._rows.get(verb)
        if row is None:
            verb = verb.rstrip("\t").upper()
            row = self._rows.get(verb)
            if row is None:
                return self._out_of_place(verb, argument)
        if row.checked:
            if self._lenient and received.bare_lf:
                self._reports.append(Deviation(Quirk.BARE_LF))
            if row.edge.ends_group and received.pos < len(received.data) and self._early_input():
                return Refused(self._shown(), self._replies.early_input)
            if row.edge.junk and self._too_much_junk():
                return None
            if row.barred is not None:
                return self._refuse_barred(verb, argument, row.barred)
        return _HANDLERS.get(verb, _extended)(self, row, argument.rstrip(" \t"))

    def _refuse_barred(self, verb: str, argument: str, barred: str) -> ServerEvent | None:
        reply: Reply = getattr(self._replies, barred)
        return self._stray_chunk(argument.rstrip(" \t"), reply) if verb == "BDAT" else self._refuse(reply)

    def _too_much_junk(self) -> bool:
        self._junk += 1
        if self._junk <= self._limits.junk_commands:
            return False
        self._close_over("junk_commands")
        return True

    def _no_line(self, line: Line) -> ServerEvent | Wait | None:
        if line is Line.PARTIAL:
            return self._starve()
        self._line = b""
        if line is Line.FLOOD:
            self._close_over("swallowed_octets")
            return None
        if _match_bdat(self._in.head):
            return self._unreadable_chunk()
        return self._refuse_over("auth_octets" if self._in.head.upper().startswith(AUTH_LINE) else "command_octets")

    def _decode_utf8(self, line: bytes) -> str | None:
        """A line that is not ASCII, if it may be so (RFC 6531 section 3.3)."""
        if not self._plan.smtputf8 or not line.partition(b" ")[0].isascii():
            return None
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return None
        return None if unfit(text) else text

    def _refuse_octets(self, line: bytes) -> ServerEvent | None:
        if _match_bdat(line):
            return self._unreadable_chunk()
        verb = line.partition(b" ")[0].upper()
        if self._guarded and verb not in _ADDRESS_VERBS:
            self._line = b"***"
        return self._refuse(self._replies.not_utf8 if verb in _ADDRESS_VERBS else self._replies.not_ascii)

    def _out_of_place(self, verb: str, argument: str) -> ServerEvent | None:
        """A verb that has no row in this phase."""
        replies = self._replies
        if verb == "BDAT":
            reply = replies.bad_sequence if verb in self._plan.commands else replies.not_implemented
            return self._stray_chunk(argument.rstrip(" \t"), reply)
        if _match_bdat(self._line):
            return self._unreadable_chunk()
        if verb in FOREIGN_VERBS:
            self._close(Cause.PROTOCOL, verb, replies.foreign_protocol)
            return None
        # RFC 3207 4: "SHOULD return the reply code 530 to every command other than NOOP, EHLO, STARTTLS, or QUIT".
        shut = self._tls is None and Gate.TLS in self._plan.demanded
        out_of_order = replies.tls_required if shut else replies.bad_sequence
        if verb == "DATA":
            return self._refuse_data(out_of_order)
        if verb in self._plan.commands:
            return self._refuse(out_of_order)
        if self._guarded:
            self._line = b"***"
        if self._hello is None:
            self._unknown += 1
            if self._unknown > self._limits.unknown_before_hello:
                self._close_over("unknown_before_hello")
                return None
        if _bare_line_end(self._line):
            return self._refuse(replies.bad_line)
        return self._refuse(replies.not_implemented if verb in KNOWN_VERBS else replies.unknown_command)

    def _early_input(self) -> bool:
        """Input waits at a point where the client had to wait; whether that ends the session."""
        if self._early is EarlyInput.REPORT:
            self._reports.append(Deviation("early input"))
            return False
        self._close(Cause.PROTOCOL, "early input", self._replies.early_input)
        return True

    def _bad_argument(self, verb: str, reply: Reply | None = None) -> Refused:
        """The argument does not follow the grammar."""
        if _bare_line_end(self._line):
            return self._refuse(self._replies.bad_line)
        return self._refuse(reply or fill(self._replies.syntax, syntax=self._plan.syntax[verb]))

    # --- RFC 5321 ------------------------------------------------------------------------------------

    def _ehlo(self, row: Row, argument: str) -> ServerEvent | None:
        verb = row.edge.input
        if self._hello is not None and self._too_much_junk():
            return None
        try:
            if self._utf8_line:  # RFC 6531 3.7.1 keeps EHLO to A-labels
                raise GrammarError("not ASCII")
            return self._ask(Hello(verb, parse_hello(argument)), row.edge)
        except GrammarError:
            if Quirk.ODD_HELLO not in self._quirks or any(octet < 32 or octet >= 127 for octet in self._line):
                return self._bad_argument(verb)
        self._reports.append(Deviation(Quirk.ODD_HELLO))
        return self._ask(Hello(verb, argument), row.edge)

    def _mail(self, row: Row, argument: str) -> ServerEvent | None:
        limit = self._limits.transactions
        if limit is not None and self._transactions >= limit:
            if self._too_much_junk():
                return None
            return self._refuse_over("transactions", error=False)
        try:
            path, raw = parse_mail(argument)
        except GrammarError as error:
            if (lenient := self._leniently(argument)) is not None:
                return self._mail(row, lenient)
            return self._bad_argument("MAIL", self._replies.bad_sender if isinstance(error, PathError) else None)
        if raw is None:
            params = NO_MAIL_PARAMS
        else:
            decoded = self._decode(raw, self._plan.mail_params, MailParams)
            if isinstance(decoded, Refused):
                return decoded
            params = decoded
            for check in self._plan.mail_checks:
                if (refusal := check(self, params)) is not None:
                    return self._refuse_over(refusal) if isinstance(refusal, str) else self._refuse(refusal)
        # RFC 6531 3.4: without SMTPUTF8 on MAIL, the addresses of the transaction are ASCII.
        if self._utf8_line and not params.smtputf8:
            return self._refuse(self._replies.not_utf8)
        return self._ask(MailFrom(path, params), row.edge)

    def _rcpt(self, row: Row, argument: str) -> ServerEvent | None:
        try:
            path, raw = parse_rcpt(argument)
        except GrammarError as error:
            if (lenient := self._leniently(argument)) is not None:
                return self._rcpt(row, lenient)
            return self._bad_argument("RCPT", self._replies.bad_recipient if isinstance(error, PathError) else None)
        if raw is None:
            params = NO_RCPT_PARAMS
        else:
            decoded = self._decode(raw, self._plan.rcpt_params, RcptParams)
            if isinstance(decoded, Refused):
                return decoded
            params = decoded
            for check in self._plan.rcpt_checks:
                if (refusal := check(self, params)) is not None:
                    return self._refuse(refusal)
        if self._utf8_line and self._sender is not None and not self._sender.params.smtputf8:
            return self._refuse(self._replies.not_utf8)
        # RFC 5321 4.5.3.1.10: 452. A group that was sent at once may go far over the limit, and is not to
        # blame for it; but not without end.
        if len(self._recipients) >= self._limits.recipients:
            self._surplus += 1
            return self._refuse_over("recipients", error=self._surplus > self._limits.recipients)
        self._edge = row.edge
        self._question = question = RcptTo(path, params)
        return question

    def _leniently(self, argument: str) -> str | None:
        """*argument* put right by the first quirk that the config permits and that changes it."""
        for quirk, mend in ((Quirk.SPACE_AFTER_COLON, without_spaces), (Quirk.MISSING_BRACKETS, with_brackets)):
            if quirk in self._quirks and (mended := mend(argument)) is not None:
                self._reports.append(Deviation(quirk))
                return mended
        return None

    def _decode(self, raw: str, known: Mapping[str, tuple[Param, str]], kind: type[_Params]) -> _Params | Refused:
        """The parameters as *kind*, or the refusal."""
        try:
            return decode_params(raw, known, self._offered, kind)
        except UnknownParameter as error:
            return self._refuse(fill(self._replies.unknown_parameter, keyword=str(error)))
        except GrammarError:
            return self._bad_argument("MAIL" if kind is MailParams else "RCPT")

    def _data(self, row: Row, argument: str) -> ServerEvent | None:
        if argument:
            return self._refuse_data(fill(self._replies.syntax, syntax=self._plan.syntax["DATA"]))
        assert self._sender is not None
        if self._sender.params.body is BINARY_MIME:
            # RFC 3030 3: BINARYMIME "cannot be used with the DATA command": 503.
            return self._refuse_data(self._replies.bad_sequence)
        return self._ask(BodyBegin("DATA"), row.edge)

    def _refuse_data(self, reply: Reply) -> Refused:
        refused = self._refuse(reply)
        self._end_if_sent_ahead()
        return refused

    def _end_if_sent_ahead(self) -> None:
        """After a refused DATA: a message that did not wait for the 354 must not be read as commands."""
        if len(self._in) and self._phase is not Phase.CLOSED:
            self._close(Cause.PROTOCOL, "early input", self._replies.early_input)

    def _rset(self, row: Row, argument: str) -> ServerEvent | None:
        if argument:
            return self._bad_argument("RSET")
        self._reset()
        self._pursued = 0
        self._say(self._replies.ok)
        self._go(row.edge.ok)
        return None

    def _noop(self, row: Row, argument: str) -> ServerEvent | None:
        try:
            parse_optional_string(argument)
        except GrammarError:
            return self._bad_argument("NOOP")
        self._say(self._replies.ok)
        return None

    def _help(self, row: Row, argument: str) -> ServerEvent | None:
        try:
            parse_optional_string(argument)
        except GrammarError:
            return self._bad_argument("HELP")
        verb = argument.upper()
        commands = self._plan.syntax[verb] if verb in self._plan.commands else " ".join(self._plan.commands)
        self._say(fill(self._replies.help, commands=commands))
        return None

    def _verify(self, row: Row, argument: str) -> ServerEvent | None:
        verb = row.edge.input
        try:
            parse_string(argument)
        except GrammarError:
            return self._bad_argument(verb)
        # RFC 6531 3.7.4.2: VRFY and EXPN take the parameter, too.
        head, _, last = argument.rpartition(" ")
        smtputf8 = self._plan.smtputf8 and bool(head) and last.isascii() and last.upper() == "SMTPUTF8"
        if smtputf8:
            argument = head.rstrip()
        if self._utf8_line and not smtputf8:
            return self._refuse(self._replies.not_utf8)
        if self._plan.config.verify:
            return self._ask(Verify(verb, argument, smtputf8), row.edge)
        if verb == "EXPN":
            return self._refuse(self._replies.not_implemented, error=False)
        self._say(self._replies.cannot_verify)
        return None

    def _quit(self, row: Row, argument: str) -> ServerEvent | None:
        if argument:
            return self._bad_argument("QUIT")
        self._reports.append(Quit())
        self._close(Cause.QUIT, "", self._replies.bye)
        return None

    # --- extensions ----------------------------------------------------------------------------------

    def _extended(self, row: Row, argument: str) -> ServerEvent | None:
        verb = row.verb
        assert verb is not None, "a core verb has its own handler"
        name = row.edge.input
        if (unavailable := verb.unavailable(self)) is not None:
            return self._refuse(getattr(self._replies, unavailable))
        try:
            parsed = verb.parse(argument)
        except GrammarError:
            return self._bad_argument(name)
        if name == "STARTTLS":
            return self._ask(StartTls(), row.edge)
        if name == "AUTH":
            return self._auth(row, *parsed)
        if name == "XCLIENT":
            return self._ask(XClient(parsed), row.edge)
        return self._ask(Extended(name, parsed), row.edge)

    def _auth(self, row: Row, name: str, initial: str | None) -> ServerEvent | None:
        self._guarded = True
        self._auth_attempts += 1
        if self._auth_attempts > self._limits.auth_attempts:
            self._close_over("auth_attempts")
            return None
        if name not in self.mechanisms:
            return self._refuse(self._replies.unknown_mechanism)
        mechanism = next(each for each in self._plan.config.mechanisms if each.name == name)
        tls = self._tls
        if tls is not None and f"{name.removesuffix('-PLUS')}-PLUS" not in self.mechanisms:
            # RFC 5802 6: a client that says "y", the server offers no binding, is told a lie only if it does.
            tls = evolve(tls, channel_bindings={})
        self._exchange = AuthExchange(mechanism, tls)
        self._go(row.edge.ok)
        self._auth_step(self._exchange.begin(initial))
        return None

    def _read_sasl(self) -> ServerEvent | Wait | None:
        if self._link.out_octets > self._limits.output_octets:
            return Wait.SEND
        line = self._in.line(self._limits.auth_octets)
        if line is Line.PARTIAL:
            return self._starve()
        self._line = b"AUTH"
        assert self._exchange is not None
        if line is Line.FLOOD:
            self._close_over("swallowed_octets")
        elif isinstance(line, bytes):
            self._auth_step(self._exchange.answer(line))
        else:
            self._auth_step(Outcome(None, limit="auth_octets"))
        return None

    def _auth_step(self, step: Step) -> None:
        """Do what the exchange came to; the question or report goes behind what is to be told."""
        exchange = self._exchange
        assert exchange is not None
        edge = self._row("exchange").edge
        if isinstance(step, Challenge):
            self._link.send(challenge_line(step))
        elif not isinstance(step, Outcome):
            self._reports.append(self._ask(step, edge))
        elif step.identity is not None:
            self._exchange = None
            self._identity = step.identity
            self._open_gates()
            self._go(edge.ok)
            self._say(exchange.acceptance or self._replies.authenticated)
            self._reports.append(Authenticated(exchange.name, step.identity))
        else:
            self._exchange = None
            self._go(edge.no)
            stock = self._plan.hits[step.limit] if step.limit else getattr(self._replies, step.reply)
            reply = self._counted(exchange.rejection or stock)
            self._reports.append(AuthFailed(exchange.name, exchange.username, reply, step.limit))
            self._say_or_close(reply, Cause.LIMIT)

    def _wait_tls(self) -> ServerEvent | Wait | None:
        return self._starve() if self._in.eof else Wait.TLS


_Handler = Callable[[Reading, Row, str], ServerEvent | None]

_extended: Final[_Handler] = Reading._extended
_HANDLERS: Final[dict[str, _Handler]] = {
    "EHLO": Reading._ehlo,
    "HELO": Reading._ehlo,
    "LHLO": Reading._ehlo,
    "MAIL": Reading._mail,
    "RCPT": Reading._rcpt,
    "DATA": Reading._data,
    "BDAT": Reading._bdat,
    "RSET": Reading._rset,
    "NOOP": Reading._noop,
    "HELP": Reading._help,
    "VRFY": Reading._verify,
    "EXPN": Reading._verify,
    "QUIT": Reading._quit,
}

STEPS: Final[dict[Phase, Callable[[Reading], ServerEvent | Wait | None]]] = {
    Phase.HELLO: Reading._read_command,
    Phase.READY: Reading._read_command,
    Phase.MAIL: Reading._read_command,
    Phase.RCPT: Reading._read_command,
    Phase.BDAT: Reading._read_command,
    Phase.AUTH: Reading._read_sasl,
    Phase.TLS: Reading._wait_tls,
    Phase.BODY: Reading._read_body,
    Phase.CHUNK: Reading._read_chunk,
    Phase.CLOSED: lambda _session: Wait.CLOSED,
}
