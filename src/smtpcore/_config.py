"""What a server is told once, and what the engine makes of it before the first connection."""

from collections.abc import Container, Mapping
from typing import Any, Final, TypeVar

import attrs

from ._address import parse_host
from ._commands import SYNTAX, split_params
from ._deadlines import DEADLINES
from ._dialect import SMTP, Dialect, EarlyInput
from ._envelope import MailParams, RcptParams
from ._errors import GrammarError, LocalProtocolError
from ._events import Quirk
from ._framing import Stray
from ._limits import Limits, Timeouts, rows as limit_rows
from ._machine import CORE, Edge, Gate, Phase, rows
from ._reply import Replies, Reply
from ._value import fields, settings, value
from .extensions import AUTH, CHUNKING, ETRN, STANDARD, STARTTLS, Extension, Param, Verb
from .sasl import ServerMechanism

# RFC 5321 4.2.4: 502 for a command that is known but not implemented; appendix F.1, F.2, F.6: these are retired.
KNOWN_VERBS: Final = frozenset(
    {"SEND", "SOML", "SAML", "TURN", "XCLIENT", "XFORWARD"}
    | {edge.input for edge in CORE if edge.is_verb}
    | {verb.edge.input for each in (STARTTLS, AUTH, CHUNKING, ETRN) for verb in each.verbs if verb.edge.is_verb}
)
# The first word of another protocol's request: HTTP's methods, and its version 2's preface.
FOREIGN_VERBS: Final = frozenset(
    {"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI"}
)


@settings
class ServerConfig:
    """How a server behaves; one object serves all connections.

    Args:
        hostname: the server's own domain, or an address literal.
        extensions: what is offered; nothing else is accepted. STARTTLS and AUTH are not in the
            default, as they need something from the application.
        mechanisms: the SASL mechanisms behind AUTH, best first.
        limits, timeouts, replies: the numbers and texts.
        tls_required: take nothing but EHLO, STARTTLS, NOOP and QUIT before TLS (RFC 3207 section 4).
        auth_required: take no MAIL before AUTH; None leaves it to the dialect.
        cleartext_auth: offer AUTH without TLS. Passwords can be read on the way then.
        verify: put VRFY and EXPN to the application; else 252 and 502.
        stray: what to do with a bare CR, bare LF or NUL in a message.
        early_input: what to do with input that came too early; None leaves it to the dialect.
        quirks: the departures from the grammar that are taken.

    Raises:
        LocalProtocolError: the parts do not go together.
        TypeError: a name stands where an extension or a mechanism itself is wanted.
    """

    hostname: str
    extensions: tuple[Extension, ...] = STANDARD
    mechanisms: tuple[ServerMechanism, ...] = ()
    limits: Limits = attrs.field(factory=Limits)
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    replies: Replies = attrs.field(factory=Replies)
    tls_required: bool = False
    auth_required: bool | None = None
    cleartext_auth: bool = False
    verify: bool = False
    stray: Stray = Stray.REJECT
    early_input: EarlyInput | None = None
    quirks: frozenset[Quirk] = frozenset()
    _plans: dict[Dialect, "Plan"] = attrs.field(factory=dict, init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        try:
            parse_host(self.hostname)
        except GrammarError as error:
            raise LocalProtocolError(f"hostname {self.hostname!r}: {error}") from None
        for parts, where in ((self.extensions, "smtpcore.extensions"), (self.mechanisms, "smtpcore.sasl")):
            for each in parts:
                if isinstance(each, str):
                    raise TypeError(f"{each!r} is a name; what it names is in {where}")
        keywords = [each.keyword for each in self.extensions]
        if len(set(keywords)) != len(keywords):
            raise LocalProtocolError("an extension is given twice")
        for extension in self.extensions:
            for needed in extension.needs:
                if needed not in keywords:
                    raise LocalProtocolError(f"{extension.keyword} needs {needed}")
        if bool(self.mechanisms) != ("AUTH" in keywords):
            raise LocalProtocolError("AUTH and mechanisms go together: give both or neither")
        names = [each.name for each in self.mechanisms]
        if len(set(names)) != len(names):
            raise LocalProtocolError("a mechanism is given twice")
        if self.auth_required and not self.mechanisms:
            raise LocalProtocolError("auth_required needs AUTH")

    def plan(self, dialect: Dialect = SMTP) -> "Plan":
        """This config made ready for *dialect*.

        Raises:
            LocalProtocolError: an extension that the dialect demands is missing, or one brings a verb that
                is there already.
        """
        plan = self._plans.get(dialect)
        if plan is None:
            plan = self._plans[dialect] = Plan(self, dialect)
        return plan


@value
class Row:
    """An edge as a connection looks it up.

    Args:
        verb: of the extension that brought it.
        barred: the name of the stock reply that bars it now.
        checked: whether there is anything to look at before its handler.
    """

    edge: Edge
    verb: Verb | None
    barred: str | None
    checked: bool


class Plan:
    """A config compiled for a dialect: rows, parameters, replies."""

    def __init__(self, config: ServerConfig, dialect: Dialect) -> None:
        keywords = {each.keyword for each in config.extensions}
        for mandatory in dialect.mandatory:
            if mandatory not in keywords:
                raise LocalProtocolError(f"{dialect.name} needs {mandatory}")
        self.config = config
        self.dialect = dialect
        self.replies = config.replies.filled(
            domain=config.hostname, protocol=dialect.protocol, limit=str(config.limits.message_octets)
        )
        self.hits: dict[str, Reply] = {row.name: getattr(self.replies, row.reply) for row in limit_rows() if row.reply}
        self.deadlines = {each: getattr(config.timeouts, each.value) for each in DEADLINES}
        self.enhanced = "ENHANCEDSTATUSCODES" in keywords
        self.smtputf8 = "SMTPUTF8" in keywords
        self.early_input = config.early_input or dialect.early_input
        auth_required = dialect.auth_required if config.auth_required is None else config.auth_required
        self.demanded = frozenset(([Gate.TLS] if config.tls_required else []) + ([Gate.AUTH] if auth_required else []))
        self._verbs = {verb.edge: verb for each in config.extensions for verb in each.verbs}
        core = [each for each in CORE if each.input not in ("EHLO", "HELO", "LHLO") or each.input in dialect.hello]
        self.edges = (*core, *self._verbs)
        self.commands = tuple(dict.fromkeys(edge.input for edge in self.edges if edge.is_verb))
        self.syntax = SYNTAX | {verb.edge.input: verb.syntax for verb in self._verbs.values()}
        # An extension that needs others comes after them, so its parameters replace theirs.
        ordered = sorted(config.extensions, key=lambda each: bool(each.needs))
        self.mail_params = {p.keyword: (p, each.keyword) for each in ordered for p in each.params if p.verb == "MAIL"}
        self.rcpt_params = {p.keyword: (p, each.keyword) for each in ordered for p in each.params if p.verb == "RCPT"}
        self.mail_checks = tuple(each.check_mail for each in ordered if each.check_mail)
        self.rcpt_checks = tuple(each.check_rcpt for each in ordered if each.check_rcpt)
        try:
            self._edges = rows(self.edges)
        except ValueError as error:
            raise LocalProtocolError(str(error)) from None
        self._tables: dict[frozenset[Gate], Mapping[Phase, Mapping[str, Row]]] = {}

    def table(self, shut: frozenset[Gate]) -> Mapping[Phase, Mapping[str, Row]]:
        """The rows of each phase while the gates *shut* have not been passed."""
        table = self._tables.get(shut)
        if table is None:
            table = self._tables[shut] = {
                phase: {name: self._row(edge, shut) for name, edge in row.items()} for phase, row in self._edges.items()
            }
        return table

    def _row(self, edge: Edge, shut: frozenset[Gate]) -> Row:
        barred = next((gate.value for gate in Gate if gate in shut and gate in edge.gates), None)
        lenient = Quirk.BARE_LF in self.config.quirks
        return Row(edge, self._verbs.get(edge), barred, edge.ends_group or edge.junk or barred is not None or lenient)


_Params = TypeVar("_Params", MailParams, RcptParams)


class UnknownParameter(GrammarError):
    """A parameter that no extension brings, or that is not offered now: 555."""


def decode_params(
    text: str, known: Mapping[str, tuple[Param, str]], offered: Container[str], kind: type[_Params]
) -> _Params:
    """The raw parameters of MAIL or RCPT as *kind*, `MailParams` or `RcptParams`.

    Args:
        known: each keyword's parameter, and the keyword of the extension that brought it.
        offered: the keywords of the extensions that the client was told of.

    Raises:
        UnknownParameter: with the keyword.
        GrammarError: a parameter or its value is malformed.
    """
    decoded: dict[str, Any] = {}
    extra: dict[str, object] = {}
    names: set[str] = _FIELDS[kind]
    for keyword, raw in split_params(text):
        param, extension = known.get(keyword, _UNKNOWN)
        if param is None or extension not in offered:
            raise UnknownParameter(keyword)
        (decoded if param.field in names else extra)[param.field] = param.decode(raw)
    return kind(**decoded, extra=extra) if extra else kind(**decoded)


_UNKNOWN: Final = (None, "")
_FIELDS: Final = {
    MailParams: {field.name for field in fields(MailParams)} - {"extra"},
    RcptParams: {field.name for field in fields(RcptParams)} - {"extra"},
}
