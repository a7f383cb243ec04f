"""What the tests of the order of commands share: a session, its commands, and the check against the oracle."""

from _dialogue import QUESTIONS, TLS, Driver, accept_all, codes, config
from rfc.order import Expected, Given, expect

from smtpcore import (
    LMTP,
    SMTP,
    SUBMISSION,
    BodyBegin,
    BodyEnd,
    Closed,
    Dialect,
    Limits,
    Phase,
    Refused,
    Reply,
    ServerConnection,
    ServerEvent,
    Wait,
)
from smtpcore._machine import COMMAND_PHASES, Edge
from smtpcore.extensions import AUTH, ETRN, STANDARD, STARTTLS, xclient, xforward
from smtpcore.sasl import LOGIN

DIALECTS = (SMTP, SUBMISSION, LMTP)
NO = Reply(550, "No")
MANY = 10**6

SETTINGS = config(
    extensions=(*STANDARD, STARTTLS, AUTH, ETRN, xclient(lambda peer: True), xforward(lambda peer: True)),
    mechanisms=(LOGIN,),
    limits=Limits(errors=MANY, junk_commands=MANY, auth_attempts=MANY, unknown_before_hello=MANY),
    cleartext_auth=True,
    auth_required=False,
    verify=True,
)

LINES = {
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
"""A well-formed line for each verb, and for two that are none of this server's."""

MALFORMED = {
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

PATHS: dict[Phase, tuple[str, ...]] = {
    Phase.HELLO: (),
    Phase.READY: ("hello",),
    Phase.MAIL: ("hello", "MAIL"),
    Phase.RCPT: ("hello", "MAIL", "RCPT"),
    Phase.BDAT: ("hello", "MAIL", "RCPT", "BDAT"),
}
"""How to come to each phase in which a command is read."""

assert set(PATHS) == set(COMMAND_PHASES)


class Session:
    """A connection whose application says what the test wants it to say."""

    def __init__(self, dialect: Dialect = SMTP) -> None:
        self.dialect = dialect
        self.yes = True
        self.driver = Driver(SETTINGS, dialect=dialect, answer=self._answer)

    @property
    def conn(self) -> ServerConnection:
        return self.driver.conn

    @property
    def phase(self) -> Phase:
        return self.conn.phase

    @property
    def given(self) -> Given:
        return Given(self.dialect.name, self.conn.tls is not None, self.conn.identity is not None)

    def _answer(self, conn: ServerConnection, event: ServerEvent) -> None:
        if not isinstance(event, QUESTIONS):
            return
        # Of the two questions of one BDAT LAST, "no" is for the verdict.
        if self.yes or (isinstance(event, BodyBegin) and self._last):
            accept_all(conn, event)
        else:
            conn.reject(event, NO)

    _last = False

    def go(self, phase: Phase) -> "Session":
        """From the start to *phase*."""
        for step in PATHS[phase]:
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
        phase, wanted = self.phase, expect(self.phase.name, verb, yes, self.given)
        self.yes, self._last = yes, verb == "BDAT LAST"
        replies, events = self.send(LINES[verb])
        self.yes = self._last = False
        self.check(wanted, replies)
        asked = [event for event in events if isinstance(event, QUESTIONS)]
        if wanted.code in (500, 502, 503):
            assert not asked, "what is out of order is no question"
            assert [event.reply.code for event in events if isinstance(event, Refused)] == [wanted.code]
            assert self.phase is phase
        if wanted.state == "CLOSED":
            assert isinstance(events[-1], Closed)

    def malformed(self, verb: str) -> None:
        """Send *verb* with an argument that it cannot have: never a question, never a change."""
        phase = self.phase
        in_order = expect(phase.name, verb, True, self.given).code not in (500, 502, 503)
        replies, events = self.send(MALFORMED[verb])
        assert replies == [501 if in_order else expect(phase.name, verb, True, self.given).code]
        assert not [event for event in events if isinstance(event, QUESTIONS)]
        assert self.phase is phase

    def check(self, wanted: Expected, replies: list[int]) -> None:
        assert (replies, self.phase.name) == ([wanted.code], wanted.state)
        assert (self.driver.wait is Wait.CLOSED) == (wanted.state == "CLOSED")
        transaction = self.phase in (Phase.MAIL, Phase.RCPT, Phase.BDAT, Phase.BODY)
        assert (self.conn.envelope is not None) == transaction

    def dot(self, yes: bool) -> None:
        """End the message after DATA. RFC 5321 4.1.1.4: whatever is said to it, the transaction is over."""
        self.yes = yes
        replies, events = self.send("a line\r\n.")
        self.check(Expected(250 if yes else 550, "READY"), replies)
        assert isinstance(events[-1], BodyEnd)

    def spoil(self) -> None:
        """End a message that holds a bare LF: refused at its end, and nobody is asked."""
        replies, events = self.send("a\nb\r\n.")
        self.check(Expected(554, "READY"), replies)
        assert not [event for event in events if isinstance(event, BodyEnd)]

    def exchange(self, name: str, password: str, yes: bool) -> None:
        """Answer the challenges of AUTH LOGIN. RFC 4954 4: 235, 535 or 501, and back to where AUTH was said."""
        self.yes = yes
        replies, _ = self.send(name)
        if name == "*":
            return self.check(Expected(501, "READY"), replies)
        assert (replies, self.phase) == ([334], Phase.AUTH)
        replies, _ = self.send(password)
        return self.check(Expected(501 if password == "*" else 235 if yes else 550, "READY"), replies)

    def handshake(self, succeeds: bool) -> None:
        """The handshake's end. RFC 3207 4.2: the session begins anew; or ends."""
        if succeeds:
            self.driver.handshake(TLS)
            assert (self.phase, self.conn.hello, self.conn.identity) == (Phase.HELLO, None, None)
        else:
            self.conn.tls_failed()
            self.driver.pump()
            assert self.phase is Phase.CLOSED


def edges_of(dialect: Dialect) -> tuple[Edge, ...]:
    """The machine's table for *dialect*."""
    return SETTINGS.plan(dialect).edges
