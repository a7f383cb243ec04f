"""A whole client connection: a server that says anything, and an application that wants anything.

The first four octets choose the config, the connection, the cuts and when output leaves. The rest is a
program. An octet below F8 is said by the server; the others begin a step, which the octet behind them chooses:

====  ===========================================================
 F8   the server says a line over and over
 F9   many letters in what the server says
 FA   a line of the server's
 FB   a piece of the message
 FC   an intent of the application
 FD   an envelope to send
 FE   a time that passes
 FF   what else happens: octets leave, a handshake, the end
====  ===========================================================
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from _harness import fuzz, instrumented

with instrumented():
    from smtpcore import (
        LMTP,
        NULL_PATH,
        SMTP,
        SUBMISSION,
        Answer,
        Body,
        BodyWanted,
        ClientConfig,
        ClientConnection,
        ClientEvent,
        ClientLimits,
        Closed,
        DeliverBy,
        Dialect,
        Envelope,
        Fate,
        HelloDone,
        LocalProtocolError,
        Mailbox,
        MailParams,
        MessageAnswer,
        Notify,
        OriginalRecipient,
        Phase,
        Quirk,
        RcptParams,
        Recipient,
        RecipientAnswer,
        Reply,
        Secret,
        SenderAnswer,
        Stray,
        TlsInfo,
        Transaction,
        TransactionDone,
        Violation,
        Wait,
    )
    from smtpcore.sasl import (
        AnonymousClient,
        ClientMechanism,
        CramMd5Client,
        ExternalClient,
        LoginClient,
        OAuthBearerClient,
        PlainClient,
        ScramClient,
        Strength,
        XOAuth2Client,
    )

STEERING = 4
MOST_SAID = 200_000
TLS = TlsInfo("TLSv1.3", verified=True, channel_bindings={"tls-server-end-point": b"hash"})
DIALECTS = (SMTP, SUBMISSION, LMTP)
SECRET = Secret("password")
MECHANISMS: tuple[ClientMechanism, ...] = (
    PlainClient("u", SECRET), LoginClient("u", SECRET), CramMd5Client("u", SECRET),
    ScramClient(name="SCRAM-SHA-256", hash_name="sha256", username="u", password=SECRET, nonce=lambda: "nonce"),
    ScramClient(name="SCRAM-SHA-1-PLUS", hash_name="sha1", username="u", password=SECRET, nonce=lambda: "nonce"),
    OAuthBearerClient("u", Secret("t" * 400)), XOAuth2Client("u", Secret("token")), ExternalClient(),
    AnonymousClient(""),
)  # fmt: skip
SMALL = ClientLimits(
    reply_line_octets=512, reply_lines=20, reply_octets=2000, buffered_octets=512, command_octets=512,
    pipelined_octets=512, chunk_octets=20, unanswered_chunks=2,
)  # fmt: skip
NAMES = ("c.example", "[192.0.2.1]", "c.example\r\nRSET", "é.example", "", "x" * 600, "a\udc80.b", "a b")
TEXTS = ("tim", "", "tim\r\nQUIT", "é", "a" * 600, "\0", " ", "tim" + "\x85")


def recipients(*texts: str, **params: Any) -> tuple[Recipient, ...]:
    """Recipients with the same parameters."""
    return tuple(Recipient(Mailbox.parse(each), RcptParams(**params)) for each in texts)


SENDER = Mailbox.parse("a@b.example")
ONE = recipients("c@d.example")
THREE = recipients("c@d.example", "e@f.example", "é@g.example")
MANY = recipients(*(f"r{number}@d.example" for number in range(40)))
ENVELOPES = (
    Envelope(SENDER, ONE),
    Envelope(NULL_PATH, THREE),
    Envelope(SENDER, MANY),
    Envelope(SENDER, ONE, MailParams(size=5000, body=Body.EIGHT_BIT_MIME)),
    Envelope(SENDER, ONE, MailParams(body=Body.BINARY_MIME)),
    Envelope(Mailbox.parse("é@ü.example"), THREE, MailParams(smtputf8=True)),
    Envelope(SENDER, recipients("c@é.example", "postmaster@d.example", notify=frozenset({Notify.NEVER}))),
    Envelope(SENDER, recipients("c@d.example", orcpt=OriginalRecipient("rfc822", "a b+c"))),
    Envelope(SENDER, ONE, MailParams(requiretls=True, priority=3, envid="a b")),
    Envelope(SENDER, ONE, MailParams(by=DeliverBy(10, "R", True), hold_for=9)),
    Envelope(SENDER, ONE, MailParams(extra={"X": "y"})),
    Envelope(Mailbox("a> SIZE=1\r\nRSET", "b"), ONE),
    Envelope(SENDER, (Recipient(Mailbox("c\r\nDATA", "d.example")),)),
    Envelope(SENDER, (Recipient(Mailbox("\udc80", "d.example")), *ONE)),
    Envelope(SENDER, ()),
    Envelope(SENDER, recipients("a" * 64 + "@" + "b." * 90 + "c", "x@y.example"), MailParams(envid="e" * 100)),
)  # fmt: skip
PIECES = (
    b"Hi\r\n", b".", b".\r\n", b"\r\n.\r\n", b"\r", b"\n", b"", b"\0", b"\xc3\xa9", b"..\r\n", b"x" * 300, b"\r\n",
    b"RSET\r\n", b"\r\r\n", b"x" * 50 + b"\r\n.", b"BDAT 3\r\n",
)  # fmt: skip
TIMES = (0.0, 0.5, 9.0, 11.0, 59.0, 61.0, 121.0, 179.0, 181.0, 299.0, 301.0, 599.0, 601.0, 14401.0, 1e9, -1.0)
OFFERS = (
    ("PIPELINING", "CHUNKING", "8BITMIME"),
    ("STARTTLS", "XCLIENT NAME ADDR LOGIN", "AUTH PLAIN LOGIN SCRAM-SHA-256", "ETRN"),
    (
        "PIPELINING", "BINARYMIME", "CHUNKING", "SIZE 9999", "SMTPUTF8", "DSN", "REQUIRETLS", "MT-PRIORITY",
        "DELIVERBY 5", "8BITMIME", "FUTURERELEASE 99 2030-01-01T00:00:00Z",
        "LIMITS RCPTMAX=2 MAILMAX=2 RCPTDOMAINMAX=1",
    ),
    ("AUTH=CRAM-MD5 OAUTHBEARER XOAUTH2 EXTERNAL ANONYMOUS SCRAM-SHA-1-PLUS", "pipelining"),
)  # fmt: skip
REPLIES = (
    "220 mx.example", "250 Ok", *("250-mx.example\r\n250-" + "\r\n250-".join(each) + "\r\n250 X" for each in OFFERS),
    "354 Go", "550 5.1.1 No", "450 4.2.0 Later", "421 4.3.2 Bye", "503 No", "221 Bye", "235 Yes", "334 ",
    "334 VXNlcm5hbWU6", "334 !", "334 cj1ub25jZXgscz1jMkZzZEE9PSxpPTQwOTY=", "334 PDFAYj4=", "251 Ok", "252 Ok",
    "299 Ok", "399 Ok", "250", "250-Ok\r\n250 Ok", "250-Ok\r\n251 Ok", "é", "250 \x1b[31m", "250 a\rb", "250 a\nb",
    "500 No", "250 " + "x" * 600, "260 Ok", "250-Ok", "553 5.6.7 é", "214 Help", "250 Ok\r\n250 Ok\r\n354 Go",
    "220 Go\r\n250 Ok", "250 Ok\r\n550 No\r\n354 Go", "250 Ok\r\n550 No\r\n503 No", "250 Ok\r\n250 Ok",
)  # fmt: skip
LINES = [f"{each}\r\n".encode() for each in REPLIES]

# A refusal is no news but where a server takes a message of which it has refused a part.
CHANGES = (
    (Fate.UNSENT, Fate.UNKNOWN), (Fate.UNSENT, Fate.REFUSED), (Fate.UNSENT, Fate.UNSENT), (Fate.UNKNOWN, Fate.ACCEPTED),
    (Fate.UNKNOWN, Fate.REFUSED), (Fate.UNSENT, Fate.ACCEPTED), (Fate.REFUSED, Fate.UNKNOWN),
)  # fmt: skip

# A line of the client's: text, and one CR LF, at its end.
COMMAND = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*")
REPLY = re.compile(rb"[2-5][0-5][0-9] [^\r\n]*\r\n")
CHUNK = re.compile(rb"BDAT ([0-9]{1,20})( LAST)?")
STEP = re.compile(rb"[\x00-\xf7]+|[\xf8-\xff].?", re.DOTALL)


def config(number: int) -> ClientConfig:
    """The config of that number, which the first octet chooses."""
    return ClientConfig(
        limits=SMALL if number & 128 else ClientLimits(),
        tls_required=number & 96 == 96,
        cleartext_auth=not number & 16,
        auth_floor=Strength.ANONYMOUS if number & 16 else Strength.REVEALED,
        stray=Stray.NORMALISE if number & 4 else Stray.REJECT,
        eight_bit=bool(number & 8),
        pipelining=not number & 1,
        prefer_chunking=bool(number & 2),
        quirks=frozenset({Quirk.BARE_LF}) if number & 64 else frozenset(),
    )


CONFIGS = [config(number) for number in range(256)]


class Message:
    """What the application gave of a message, and what of it was seen on the wire."""

    def __init__(self, transaction: Transaction, *, stray: Stray) -> None:
        self.transaction = transaction
        self.given = b""
        self.complete = False  # the application has said so
        self.seen = b""
        self.ended = False  # its end has left
        self.dots = False
        self.accepted: set[int] = set()
        self.refused = False  # before its end
        self.last: list[tuple[Fate, Reply | None, bool]] = []  # what was to become of it
        self.done = False
        self._keep = stray is not Stray.NORMALISE or transaction.envelope.params.body is Body.BINARY_MIME

    def check(self) -> None:
        """What has left is what was given, as far as it goes."""
        given = self.given if self._keep else re.sub(rb"\r\n|\r|\n", b"\r\n", self.given)
        seen = self.seen
        if self.dots:
            assert not self.ended or seen.endswith(b"\r\n") or not seen
            assert b"\r\n.\r\n" not in seen.replace(b"\r\n..", b"\r\n. ")
            seen = (b"\r\n" + seen).replace(b"\r\n.", b"\r\n")[2:]
            if self.ended and given and not given.endswith(b"\r\n"):
                given += b"\r\n"
        assert given.startswith(seen) or (seen + b"\n" == given + b"\r\n")
        assert not self.ended or (self.complete and seen == given)


class Wire:
    """What the server reads: lines, and messages where they can be."""

    def __init__(self, config: ClientConfig) -> None:
        self.octets = b""
        self.commands = 0  # and ends of messages
        self.message: Message | None = None  # the one that was wanted last
        self._most = max(config.limits.command_octets, config.limits.auth_octets)
        self._only_with_tls = (b"AUTH ",) * (not config.cleartext_auth) + (b"AUTH ", b"MAIL ") * config.tls_required
        self.lone_dot = False  # the end of a message that nobody is to have
        self._clear = True
        self._line = b""
        self._in_data = False
        self._chunk = 0
        self._last = False

    def begin(self, message: Message) -> None:
        """A message is wanted."""
        self.message = message
        message.dots = self._in_data = not message.transaction._body.chunking

    def send(self, octets: bytes, *, clear: bool) -> None:
        """Octets leave."""
        self.octets += octets
        self._clear = clear
        rest = octets
        while rest:
            if self._in_data:
                rest = self._data(rest)
            elif self._chunk:
                assert self.message is not None
                self.message.seen += rest[: self._chunk]
                size = len(rest[: self._chunk])
                self._chunk -= size
                rest = rest[size:]
                self._chunked()
            else:
                line, end, rest = rest.partition(b"\r\n")
                assert end, "what leaves is whole"
                self._command(line)

    def _data(self, octets: bytes) -> bytes:
        message = self.message
        assert message is not None
        before = len(message.seen)
        content = b"\r\n" + message.seen + octets
        end = content.find(b"\r\n.\r\n")
        if end < 0:
            message.seen = content[2:]
            return b""
        message.seen = content[2 : end + 2]
        message.ended = True
        self.commands += 1
        self._in_data = False
        message.check()
        return octets[end + 5 - 2 - before :]

    def _command(self, line: bytes) -> None:
        self.commands += 1
        assert len(line) + 2 <= self._most
        assert COMMAND.fullmatch(line.decode()), line
        assert not (self._clear and line.startswith(self._only_with_tls))
        self.lone_dot = self.lone_dot or line == b"."
        if chunk := CHUNK.fullmatch(line):
            assert self.message is not None
            assert not self.message.ended
            self._chunk, self._last = int(chunk[1]), chunk[2] is not None
            self._chunked()

    def _chunked(self) -> None:
        if not self._chunk and self.message is not None:
            self.message.ended = self._last
            self.message.check()


class Session:
    """A connection, its application, and what came of it."""

    def __init__(self, steering: bytes, *, cut: bool) -> None:
        self.config = CONFIGS[steering[0]]
        self.dialect: Dialect = DIALECTS[steering[1] >> 1 & 3 if steering[1] >> 1 & 3 < 3 else 0]
        self.lazy = bool(steering[1] & 8)
        self.conn = ClientConnection(self.config, tls=TLS if steering[1] & 1 else None, dialect=self.dialect)
        self.told: list[list[Any]] = []
        self.refused: list[str] = []
        self.messages: list[Message] = []
        self.wire = Wire(self.config)
        self.now = 0.0
        self.said = 0
        self.behind_tls = False  # what was said behind the 220 to STARTTLS, which is not the engine's
        self.closed: Closed | None = None
        self.held = False
        self._eof = False
        self._steering = steering
        self._cut = cut
        self._mechanism = 0
        self.conn.handle_timeout(self.now)
        self.wait = self.pump()

    # --- the engine's laws -------------------------------------------------------------------------

    def pump(self) -> Wait:
        """All events, until it is somebody's move."""
        conn = self.conn
        while not isinstance(event := conn.next_event(), Wait):
            assert self.closed is None, "nothing comes after Closed"
            self.note(event)
        assert (event is Wait.CLOSED) == (self.closed is not None) == (conn.phase is Phase.CLOSED)
        if event is Wait.DATA:
            assert conn.wants_data, "who waits for octets wants them"
        elif event is Wait.INTENT:
            assert conn.awaits_intent
        assert len(conn._in) <= self.config.limits.reply_line_octets
        for message in self.messages:
            self.fates(message)
            transaction = message.transaction
            # Where nothing is awaited, a message that is not done is the application's to give.
            assert event is not Wait.INTENT or transaction.done or (transaction._wanted and not transaction._ended)
        self.wait = event
        return event

    def note(self, event: ClientEvent) -> None:
        """An event, in words that do not depend on the connection."""
        numbers = {id(message.transaction): number for number, message in enumerate(self.messages)}
        parts: list[Any] = [type(event).__name__]
        for name in event.__match_args__:
            part = getattr(event, name)
            parts.append(numbers[id(part)] if isinstance(part, Transaction) else part)
        self.told.append(parts)
        transaction = getattr(event, "transaction", None)
        if isinstance(event, Closed):
            assert all(message.transaction.done for message in self.messages)
            self.closed = event
        elif transaction is not None:
            message = self.messages[numbers[id(transaction)]]
            if isinstance(event, RecipientAnswer) and event.reply.positive:
                places = enumerate(transaction.envelope.recipients)
                message.accepted |= {place for place, each in places if each is event.recipient}
            elif isinstance(event, BodyWanted) and self.conn.phase is not Phase.CLOSED:
                assert message.accepted
                assert self.conn._link.out_octets == 0
                self.wire.begin(message)
            self.holds(event, message)
        elif isinstance(event, HelloDone) or (isinstance(event, Answer) and event.command.verb == "RSET"):
            self.held = self.held and not (event.reply.positive or event.reply.code == 530)

    def holds(self, event: ClientEvent, message: Message) -> None:
        """Whether the server holds a transaction, by what it has said: then there is no MAIL before a RSET."""
        if isinstance(event, SenderAnswer):
            assert not self.held
            self.held = event.reply.positive
        elif isinstance(event, MessageAnswer):
            at_end = event.command.verb == "." or event.command.argument.endswith("LAST")
            message.refused = message.refused or not (at_end or event.reply.positive)
        elif isinstance(event, TransactionDone) and not message.refused:
            self.held = self.held and not (message.ended or self.wire.lone_dot)
            self.wire.lone_dot = False

    def fates(self, message: Message) -> None:
        """What becomes of a message follows from what left, and from what was said."""
        transaction = message.transaction
        outcomes = transaction.outcomes
        for place, (outcome, recipient) in enumerate(zip(outcomes, transaction.envelope.recipients, strict=True)):
            fate, reply = outcome.fate, outcome.reply
            assert outcome.recipient is recipient  # to compare them costs much
            ended = message.ended and place in message.accepted
            if fate is Fate.REFUSED:
                assert reply is not None
                assert not reply.positive
            else:
                assert ended == (fate is not Fate.UNSENT)
            if fate is Fate.ACCEPTED:
                assert reply is not None
                assert reply.positive
        now = [(outcome.fate, outcome.reply, outcome.local) for outcome in outcomes]
        for before, after in zip(message.last, now, strict=False):
            assert before == after or (before[0], after[0]) in CHANGES
        assert not message.done or now == message.last
        message.last, message.done = now, transaction.done

    def flush(self, *, leave: bool = True) -> None:
        """Hand out what is to be sent; it leaves, perhaps."""
        issued = [bool(each.octets) for each in self.conn._issued]
        out = self.conn.data_to_send(self.now)
        assert self.closed is None or not out
        before = self.wire.commands
        self.wire.send(b"".join(out), clear=self.conn.tls is None)
        assert self.wire.commands - before == issued.count(True), "one line for each command"
        in_flight = sum(bool(each.octets) for each in self.conn._expected)
        assert self.conn._pipelining or in_flight <= 1
        if leave:
            self.conn.data_sent(self.now)
            if self.wait is Wait.DATA and self.pump() is Wait.DATA:
                assert self.conn._waited is self.conn._expected[0].edge.deadline
                assert self.conn._link.pending or self.conn._link.clock.armed(self.conn._waited)

    # --- steps ---------------------------------------------------------------------------------------

    def run(self, program: bytes) -> None:
        """All steps, and the end."""
        for step in STEP.findall(program):
            kind, number = step[0], step[-1]
            if kind < 0xF8:
                self.say(step)
            elif kind == 0xF8:
                self.say(LINES[number % len(LINES)] * (number // len(LINES) * 8 + 3))
            elif kind == 0xF9:
                self.say(b"a" * 50 * number)
            elif kind == 0xFA:
                self.say(LINES[number % len(LINES)])
            elif kind == 0xFF:
                self.happen(number)
            elif kind == 0xFE:
                self.pass_time(TIMES[number % len(TIMES)])
            else:
                self.want(kind, number)
            if not self.lazy:
                self.flush()
            self.pump()
        self.flush()
        self.pump()
        self.conn.close()
        assert self.pump() is Wait.CLOSED
        done = [each for each in self.told if each[0] == "TransactionDone"]
        assert sorted(each[1] for each in done) == list(range(len(self.messages)))
        kinds = [each[0] for each in self.told]
        assert kinds.index("Closed") == len(kinds) - 1
        final = [message.transaction.outcomes for message in self.messages]
        self.conn.receive_data(b"250 Ok\r\n", self.now)
        self.conn.handle_timeout(1e12)
        assert self.conn.next_event() is Wait.CLOSED
        assert self.conn.data_to_send(1e12) == []
        assert self.conn.next_deadline() == math.inf
        assert final == [message.transaction.outcomes for message in self.messages]
        for message in self.messages:
            message.check()

    def say(self, octets: bytes) -> None:
        """The server says something."""
        octets = octets[: MOST_SAID - self.said]
        self.said += len(octets)
        idle = self.wait is Wait.INTENT and not (self.conn._expected or self.conn._reader.partial or self._eof)
        for piece in cut(octets, self._steering) if self._cut else [octets]:
            if self._eof or not piece:
                return
            if self.conn.phase is Phase.TLS:
                self.behind_tls = True
                return
            self.conn.receive_data(piece, self.now)
            self.pump()
        assert not (idle and REPLY.match(octets)) or self.closed is not None

    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        late = self.conn.next_deadline()
        self.now += max(0.0, seconds)
        self.conn.handle_timeout(self.now)
        assert (self.now < late) or self.conn.next_deadline() > late or self.conn.phase is Phase.CLOSED
        if seconds == 1e9:
            assert self.conn.phase is Phase.CLOSED, "a session has an end"

    def happen(self, number: int) -> None:
        """What is not an intent."""
        match number % 8:
            case 0 | 1:
                self.flush()
            case 2:
                self.flush(leave=False)
            case 3:
                self._eof = True
                self.conn.receive_data(b"", self.now)
            case 4 | 5:
                self.attempt(self.conn.tls_started, TLS)
            case 6:
                self.attempt(self.conn.tls_failed)
            case _:
                self.conn.close()

    def want(self, kind: int, number: int) -> None:
        """An intent, or a part of a message."""
        if kind == 0xFD:
            envelope = ENVELOPES[number % len(ENVELOPES)]
            self.attempt(lambda: self.send(envelope, divided=number >= 128))
        elif kind == 0xFC:
            self.attempt(self.intents(number // 28)[number % 28])
        elif self.messages:
            message = self.messages[-2 if number & 128 and len(self.messages) > 1 else -1]
            self.give(message, number & 127)

    def give(self, message: Message, number: int) -> None:
        """A piece of a message, or its end."""
        conn, transaction = self.conn, message.transaction
        dropped = transaction.done or transaction._refused
        if number % 24 < len(PIECES):
            piece = PIECES[number % 24] * (number // 24 * 5 or 1)
            if self.attempt(conn.send_body, transaction, piece) and not dropped:
                message.given += piece
        elif number % 24 == 23:
            self.attempt(conn.abort, transaction)  # not while the verdict before is awaited
        elif self.attempt(conn.end_body, transaction) and not dropped:
            message.complete = True

    def attempt(self, intent: Callable[..., object], *arguments: object) -> bool:
        """Do as the application wants, and say whether it may; what it may not has no effect."""
        before = self.conn.phase, self.conn._link.out_octets, len(self.conn._todo), len(self.conn._issued)
        try:
            intent(*arguments)
        except LocalProtocolError as error:
            after = self.conn.phase, self.conn._link.out_octets, len(self.conn._todo), len(self.conn._issued)
            assert after == before, "refused, and done"
            self.refused.append(str(error))
            return False
        return True

    def send(self, envelope: Envelope, *, divided: bool) -> None:
        """Begin a message, or the first of those that the server's limits make of it."""
        if divided:
            envelope = self.conn.divide(envelope)[0]
        transaction = self.conn.send(envelope)
        self.messages.append(Message(transaction, stray=self.config.stray))

    def intents(self, how: int) -> list[Callable[[], object]]:
        """What the application may want, each in some ways."""
        conn = self.conn
        name, text = NAMES[how % len(NAMES)], TEXTS[how % len(TEXTS)]
        chosen = [lambda each=each: conn.authenticate(each) for each in MECHANISMS]
        best = conn.choose(MECHANISMS)
        return [
            lambda: conn.hello(name), lambda: conn.hello("c.example"), conn.start_tls, conn.reset, conn.noop, conn.quit,
            lambda: conn.verify(text), lambda: conn.expand(text), lambda: conn.help(text),
            lambda: conn.xclient({"NAME": text or None}), lambda: conn.xclient({text: "x", "LOGIN": text}),
            lambda: conn.command("ETRN", text), lambda: conn.command(text, "a"), lambda: conn.command("DATA"),
            lambda: conn.authenticate(best) if best is not None else None, *chosen, conn.close, conn.quit,
            conn.reset, conn.noop,
        ]  # fmt: skip


def cut(octets: bytes, steering: bytes) -> Iterator[bytes]:
    """Pieces of one size, or of many sizes."""
    at, number = 0, steering[3]
    while at < len(octets):
        number = (number * 1103515245 + 12345) & 0x7FFFFFFF if steering[2] == 0 else number
        size = steering[2] or (number >> 8) % 50 + 1
        yield octets[at : at + size]
        at += size


def target(octets: bytes) -> None:
    if len(octets) < STEERING:
        return
    steering, program = octets[:STEERING], octets[STEERING:]
    one, other = Session(steering, cut=True), Session(steering, cut=False)
    one.run(program)
    other.run(program)
    assert one.closed is not None
    assert other.closed is not None
    # Where the server speaks behind its 220 to STARTTLS, the cut tells whether the engine or the TLS layer hears it.
    if Violation.OCTETS_BEFORE_TLS in (one.closed.violation, other.closed.violation) or one.behind_tls:
        return
    assert one.told == other.told
    assert one.wire.octets == other.wire.octets
    assert one.refused == other.refused


if __name__ == "__main__":
    fuzz(target)
