"""A server connection whose every command is held against the order that the RFCs demand."""

from typing import Final

from .._config import ServerConfig
from .._dialect import SMTP, Dialect
from .._events import BodyBegin, BodyEnd, Closed, Refused, ServerEvent, Wait
from .._framing import Stray
from .._limits import Limits
from .._machine import COMMAND_PHASES, Edge, Phase
from .._reply import Reply
from .._server import ServerConnection
from .._value import evolve
from ..extensions import AUTH, Extension, xclient, xforward
from ..sasl import LOGIN
from ._order import Expected, Given, expect
from ._server_driver import QUESTIONS, TLS, ServerDriver, accept_all, codes

_NO: Final = Reply(550, "No")
_MANY: Final = 10**6

LINES: Final = {
    "EHLO": "EHLO client.example",
    "HELO": "HELO client.example",
    "LHLO": "LHLO client.example",
    "MAIL": "MAIL FROM:<a@client.example>",
    "RCPT": "RCPT TO:<b@example.org>",
    "DATA": "DATA",
    "BDAT": "BDAT 2\r\n",  # and the chunk is the CR LF that is put behind each line
    "BDAT LAST": "BDAT 2 LAST\r\n",
    "RSET": "RSET",
    "NOOP": "NOOP",
    "QUIT": "QUIT",
    "VRFY": "VRFY b",
    "EXPN": "EXPN list",
    "HELP": "HELP",
    "STARTTLS": "STARTTLS",
    "AUTH": "AUTH LOGIN",
    "ETRN": "ETRN example.org",
    "XCLIENT": "XCLIENT ADDR=192.0.2.2",
    "XFORWARD": "XFORWARD ADDR=192.0.2.2",
    "TURN": "TURN",
    "FOO": "FOO",
}
"""A well-formed line for each verb, and for two that no server has."""

MALFORMED: Final = {
    "EHLO": "EHLO",
    "HELO": "HELO a b",
    "LHLO": "LHLO [1.2.3]",
    "MAIL": "MAIL a@client.example",
    "RCPT": "RCPT TO:<>",
    "DATA": "DATA now",
    "RSET": "RSET now",
    "QUIT": "QUIT now",
    "VRFY": "VRFY",
    "EXPN": "EXPN",
    "STARTTLS": "STARTTLS now",
    "AUTH": "AUTH",
    "ETRN": "ETRN",
    "XCLIENT": "XCLIENT",
    "XFORWARD": "XFORWARD",
}
"""The same where a malformed argument is possible; a malformed BDAT closes."""

_BROUGHT: Final = frozenset({"STARTTLS", "AUTH", "BDAT", "ETRN", "XCLIENT", "XFORWARD"})
"""The verbs above that extensions bring."""

_PATHS: Final[dict[Phase, tuple[str, ...]]] = {
    Phase.HELLO: (),
    Phase.READY: ("hello",),
    Phase.MAIL: ("hello", "MAIL"),
    Phase.RCPT: ("hello", "MAIL", "RCPT"),
    Phase.BDAT: ("hello", "MAIL", "RCPT", "BDAT"),
}
"""How to come to each phase in which a command is read."""

assert set(_PATHS) == set(COMMAND_PHASES)


def _trusting(extension: Extension) -> Extension:
    made = {"XCLIENT": xclient, "XFORWARD": xforward}.get(extension.keyword)
    return extension if made is None else made(lambda peer: True)


def lifted(config: ServerConfig) -> ServerConfig:
    """*config* without what is no matter of order: limits on mistakes, and what it demands before a verb is taken."""
    extensions = tuple(map(_trusting, config.extensions))
    return evolve(
        config,
        extensions=extensions,
        mechanisms=(LOGIN,) if AUTH in extensions else (),
        limits=Limits(errors=_MANY, junk_commands=_MANY, auth_attempts=_MANY, unknown_before_hello=_MANY),
        cleartext_auth=True,
        tls_required=False,
        auth_required=False,
        verify=True,
        stray=Stray.REJECT,
    )


class OrderSession:
    """A connection whose application says what it is told to say, and whose replies and phases are checked.

    What is wrong is raised as an `AssertionError`.

    Args:
        config: of the server. Its limits, its gates (TLS or AUTH before other verbs) and its mechanisms are
            replaced, as `lifted` does.
    """

    def __init__(self, config: ServerConfig, dialect: Dialect = SMTP) -> None:
        self.config = lifted(config)
        self.dialect = dialect
        self.yes = True
        self._last = False
        self.driver = ServerDriver(self.config, dialect=dialect, answer=self._answer)
        self.missing = _BROUGHT - {edge.input for edge in self.edges}

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The machine's table for this config."""
        return self.config.plan(self.dialect).edges

    @property
    def conn(self) -> ServerConnection:
        """The connection."""
        return self.driver.conn

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        return self.conn.phase

    def expected(self, verb: str, yes: bool = True) -> Expected:
        """What the RFCs have the server do with a well-formed *verb* now, if its application says *yes*."""
        given = Given(self.dialect.name, self.conn.tls is not None, self.conn.identity is not None, self.missing)
        return expect(self.phase.name, verb, yes, given)

    def _answer(self, conn: ServerConnection, event: ServerEvent) -> None:
        if not isinstance(event, QUESTIONS):
            return
        # Of the two questions of one BDAT LAST, "no" is for the verdict.
        if self.yes or (isinstance(event, BodyBegin) and self._last):
            accept_all(conn, event)
        else:
            conn.reject(event, _NO)

    def go(self, phase: Phase) -> "OrderSession":
        """From the start to *phase*, one in which a command is read."""
        for step in _PATHS[phase]:
            self.send(LINES[self.dialect.hello[0] if step == "hello" else step])
        assert self.phase is phase
        return self

    def send(self, line: str) -> tuple[list[int], list[ServerEvent]]:
        """Send *line*: the codes of the replies, and the events."""
        before = len(self.driver.events)
        out = self.driver.say(line)
        return [int(code[:3]) for code in codes(out)], self.driver.events[before:]

    def command(self, verb: str, yes: bool) -> None:
        """Send *verb*, well-formed, and see that the engine does what the oracle says."""
        phase, wanted = self.phase, self.expected(verb, yes)
        self.yes, self._last = yes, verb == "BDAT LAST"
        replies, events = self.send(LINES[verb])
        self.yes = self._last = False
        self._check(wanted, replies, verb)
        asked = [event for event in events if isinstance(event, QUESTIONS)]
        if wanted.code in (500, 502, 503):
            assert not asked, f"{verb} is out of order, and the application was asked {asked}"
            assert [event.reply.code for event in events if isinstance(event, Refused)] == [wanted.code]
            assert self.phase is phase
        if wanted.state == "CLOSED":
            assert isinstance(events[-1], Closed)

    def malformed(self, verb: str) -> None:
        """Send *verb* with an argument that it cannot have: never a question, never a change."""
        phase, wanted = self.phase, self.expected(verb)
        replies, events = self.send(MALFORMED[verb])
        assert replies == [wanted.code if wanted.code in (500, 502, 503) else 501], f"{replies} to malformed {verb}"
        assert not [event for event in events if isinstance(event, QUESTIONS)]
        assert self.phase is phase

    def _check(self, wanted: Expected, replies: list[int], said: str) -> None:
        came = (replies, self.phase.name)
        assert came == ([wanted.code], wanted.state), f"to {said} the server did {came}, and {wanted} is demanded"
        assert (self.driver.wait is Wait.CLOSED) == (wanted.state == "CLOSED")
        transaction = self.phase in (Phase.MAIL, Phase.RCPT, Phase.BDAT, Phase.BODY)
        assert (self.conn.envelope is not None) == transaction

    def dot(self, yes: bool) -> None:
        """End the message after DATA. RFC 5321 4.1.1.4: whatever is said to it, the transaction is over."""
        self.yes = yes
        replies, events = self.send("a line\r\n.")
        self._check(Expected(250 if yes else 550, "READY"), replies, "the final dot")
        assert isinstance(events[-1], BodyEnd)

    def spoil(self) -> None:
        """End a message that holds a bare LF: refused at its end, and nobody is asked."""
        replies, events = self.send("a\nb\r\n.")
        self._check(Expected(554, "READY"), replies, "a message with a bare LF")
        assert not [event for event in events if isinstance(event, BodyEnd)]

    def exchange(self, name: str, password: str, yes: bool) -> None:
        """Answer the challenges of AUTH LOGIN. RFC 4954 4: 235, 535 or 501, and back to where AUTH was said."""
        self.yes = yes
        replies, _ = self.send(name)
        if name == "*":
            return self._check(Expected(501, "READY"), replies, name)
        assert (replies, self.phase) == ([334], Phase.AUTH)
        replies, _ = self.send(password)
        return self._check(Expected(501 if password == "*" else 235 if yes else 550, "READY"), replies, password)

    def handshake(self, succeeds: bool) -> None:
        """The handshake's end. RFC 3207 4.2: the session begins anew; or ends."""
        if succeeds:
            self.driver.handshake(TLS)
            assert (self.phase, self.conn.hello, self.conn.identity) == (Phase.HELLO, None, None)
        else:
            self.driver.fail_handshake()
            assert self.phase is Phase.CLOSED
