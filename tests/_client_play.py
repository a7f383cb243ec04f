"""A client connection played by hand, one step at a time, and brought to wherever a test begins."""

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from smtpcore import (
    LMTP,
    SMTP,
    ClientConfig,
    ClientConnection,
    ClientEvent,
    Closed,
    Dialect,
    Envelope,
    Mailbox,
    Recipient,
    Secret,
    TlsInfo,
    Transaction,
    TransactionDone,
    Wait,
)
from smtpcore.sasl import BadChallenge, ClientExchange, ClientMechanism, CramMd5Client, PlainClient, Strength

NAME: Final = "client.example"
TLS: Final = TlsInfo("TLSv1.3", verified=True)
UNVERIFIED: Final = TlsInfo("TLSv1.3")
SECRET: Final = Secret("s3cr3t-horse")
PLAIN: Final = PlainClient("tim", SECRET)
CRAM: Final = CramMd5Client("tim", SECRET)
OPEN: Final = ClientConfig(cleartext_auth=True)
ENVELOPE: Final = Envelope(Mailbox.parse("a@b.example"), (Recipient(Mailbox.parse("c@d.example")),))
TWO: Final = Envelope(
    Mailbox.parse("a@b.example"),
    (Recipient(Mailbox.parse("c@d.example")), Recipient(Mailbox.parse("e@d.example"))),
)


class Play:
    """A connection, all events that it told, and the last `Wait`."""

    def __init__(
        self,
        config: ClientConfig | None = None,
        *,
        tls: TlsInfo | None = None,
        dialect: Dialect = SMTP,
        now: float = 0.0,
    ) -> None:
        self.conn = ClientConnection(config, tls=tls, dialect=dialect)
        self.now = now
        self.events: list[ClientEvent] = []
        self.wait = Wait.DATA
        self.transaction: Transaction | None = None
        self.conn.handle_timeout(now)
        self.pump()

    def pump(self) -> list[ClientEvent]:
        """The events that wait to be told."""
        told: list[ClientEvent] = []
        while not isinstance(event := self.conn.next_event(), Wait):
            told.append(event)
        self.wait = event
        self.events += told
        return told

    def sent(self) -> bytes:
        """What is to be sent; it leaves."""
        octets = b"".join(self.conn.data_to_send(self.now))
        if octets:
            self.conn.data_sent(self.now)
        return octets

    def feed(self, octets: bytes) -> list[ClientEvent]:
        """The server sends *octets*; the events that come of it."""
        self.conn.receive_data(octets, self.now)
        return self.pump()

    def hear(self, *lines: str) -> list[ClientEvent]:
        """The server sends *lines*; the events that come of it."""
        return self.feed("".join(f"{line}\r\n" for line in lines).encode())

    def drip(self, octets: bytes) -> list[ClientEvent]:
        """The server sends *octets*, one by one."""
        return [event for each in octets for event in self.feed(bytes([each]))]

    def eof(self) -> list[ClientEvent]:
        """The server closes its side."""
        return self.feed(b"")

    def secure(self, tls: TlsInfo = TLS) -> None:
        """The handshake succeeds."""
        self.conn.tls_started(tls)
        self.pump()

    def at(self, now: float) -> list[ClientEvent]:
        """It is *now*."""
        self.now = now
        self.conn.handle_timeout(now)
        return self.pump()

    @property
    def last(self) -> ClientEvent:
        """What was told last."""
        return self.events[-1]

    @property
    def closed(self) -> Closed:
        """The end, which has come, once, and behind the end of every message."""
        assert self.wait is Wait.CLOSED
        assert [isinstance(event, Closed) for event in self.events].count(True) == 1
        assert isinstance(self.last, Closed)
        return self.last

    @property
    def done(self) -> list[Transaction]:
        """The messages whose fate is final."""
        return [event.transaction for event in self.events if isinstance(event, TransactionDone)]

    def hello(self, *keywords: str) -> "Play":
        """EHLO or LHLO, answered with *keywords*."""
        self.conn.hello(NAME)
        assert self.sent() == f"{self.conn.dialect.hello[0]} {NAME}\r\n".encode()
        lines = ["mx.example", *keywords]
        self.hear(*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}")
        return self


def greeted(config: ClientConfig | None = None, *, tls: TlsInfo | None = None, dialect: Dialect = SMTP) -> Play:
    """A connection whose greeting was heard."""
    play = Play(config, tls=tls, dialect=dialect)
    play.hear("220 mx.example")
    return play


def ready(
    *keywords: str, config: ClientConfig | None = None, tls: TlsInfo | None = None, dialect: Dialect = SMTP
) -> Play:
    """A connection that was told *keywords* in reply to EHLO."""
    return greeted(config, tls=tls, dialect=dialect).hello(*keywords)


def replayed(play: Play) -> list[str]:
    """What was told, as it is told: in words without the addresses of objects."""
    return [re.sub(" at 0x[0-9a-f]+", "", repr(event)) for event in play.events]


# --- AUTH ----------------------------------------------------------------------------------------


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


class Scripted:
    """A mechanism that says what it is told to say; None for a last step is success."""

    strength = Strength.BOUND

    def __init__(self, *says: bytes | None, name: str = "X") -> None:
        self.name = name
        self.says = says
        self.heard: list[bytes | None] = []
        self.closed = False

    def available(self, tls: TlsInfo | None) -> bool:
        return True

    def start(self, tls: TlsInfo | None) -> ClientExchange:
        try:
            for octets in self.says:
                self.heard.append((yield octets))
            if self.heard[-1] is not None:
                raise BadChallenge("nothing more to say")
        finally:
            self.closed = True


def authenticating(
    mechanism: ClientMechanism, *, tls: TlsInfo | None = TLS, config: ClientConfig | None = None
) -> Play:
    play = ready(f"AUTH {mechanism.name}", tls=tls, config=config)
    play.conn.authenticate(mechanism)
    return play


# --- situations ------------------------------------------------------------------------------------

ALL_OFFERED: Final = ("PIPELINING", "STARTTLS", "AUTH PLAIN CRAM-MD5", "XCLIENT NAME ADDR", "CHUNKING", "SIZE")
ONE_BY_ONE: Final = ("STARTTLS", "AUTH PLAIN CRAM-MD5", "XCLIENT NAME ADDR", "CHUNKING", "SIZE")


def _ready(offered: tuple[str, ...], *, chunking: bool = False, dialect: Dialect = SMTP) -> Play:
    config = ClientConfig(cleartext_auth=True, prefer_chunking=chunking)
    return ready(*offered, config=config, dialect=dialect)


def _asked(offered: tuple[str, ...], ask: Callable[[ClientConnection], object], *replies: str) -> Play:
    play = _ready(offered)
    ask(play.conn)
    play.sent()
    for reply in replies:
        play.hear(reply)
        play.sent()
    return play


def _mailing(offered: tuple[str, ...], *replies: str, chunking: bool = False, dialect: Dialect = SMTP) -> Play:
    play = _ready(offered, chunking=chunking, dialect=dialect)
    play.transaction = play.conn.send(TWO if dialect is LMTP else ENVELOPE)
    play.sent()
    for reply in replies:
        play.hear(reply)
        play.sent()
    return play


def _ended(offered: tuple[str, ...], *, dialect: Dialect = SMTP) -> Play:
    recipients = ["250 Ok"] * (2 if dialect is LMTP else 1)
    play = _mailing(offered, "250 Ok", *recipients, "354 Go", dialect=dialect)
    assert play.transaction is not None
    play.conn.end_body(play.transaction)
    assert play.sent().endswith(b".\r\n")
    return play


def _chunked(offered: tuple[str, ...], *, last: bool) -> Play:
    play = _mailing(offered, "250 Ok", "250 Ok", chunking=True)
    assert play.transaction is not None
    if last:
        play.conn.end_body(play.transaction)
        assert play.sent() == b"BDAT 0 LAST\r\n"
    return play


def _refused() -> Play:
    play = Play()
    play.hear("554 No")
    return play


def _closed() -> Play:
    play = _ready(ALL_OFFERED)
    play.conn.close()
    play.pump()
    return play


def _greet(play: Play) -> Play:
    play.conn.hello(NAME)
    play.sent()
    return play


def _fallen_back() -> Play:
    play = _greet(greeted())
    play.hear("502 No")
    assert play.sent() == f"HELO {NAME}\r\n".encode()
    return play


def _pumped(make: Callable[[], Play]) -> Callable[[], Play]:
    def situation() -> Play:
        play = make()
        play.pump()
        return play

    return situation


def situations(offered: tuple[str, ...]) -> Mapping[str, Callable[[], Play]]:
    """Connections wherever one can be, all that was said having left; named by what is awaited there."""
    makers: dict[str, Callable[[], Play]] = {
        "greeting": Play,
        "QUIT alone": _refused,
        "EHLO": lambda: greeted(ClientConfig(cleartext_auth=True)),
        "LHLO": lambda: greeted(ClientConfig(cleartext_auth=True), dialect=LMTP),
        "reply to EHLO": lambda: _greet(greeted()),
        "reply to HELO": _fallen_back,
        "anything": lambda: _ready(offered),
        "anything in LMTP": lambda: _ready(offered, dialect=LMTP),
        "reply to EHLO again": lambda: _greet(_ready(offered)),
        "reply to NOOP": lambda: _asked(offered, lambda conn: conn.noop()),
        "reply to RSET": lambda: _asked(offered, lambda conn: conn.reset()),
        "reply to VRFY": lambda: _asked(offered, lambda conn: conn.verify("tim")),
        "reply to ETRN": lambda: _asked(offered, lambda conn: conn.command("ETRN", "d.example")),
        "reply to XCLIENT": lambda: _asked(offered, lambda conn: conn.xclient({"NAME": "x"})),
        "reply to STARTTLS": lambda: _asked(offered, lambda conn: conn.start_tls()),
        "handshake": lambda: _asked(offered, lambda conn: conn.start_tls(), "220 Go"),
        "reply to AUTH": lambda: _asked(offered, lambda conn: conn.authenticate(CRAM)),
        "reply to an answer": lambda: _asked(offered, lambda conn: conn.authenticate(CRAM), "334 PDFAYi5leGFtcGxlPg=="),
        "reply to a cancellation": lambda: _asked(offered, lambda conn: conn.authenticate(CRAM), "334 !"),
        "reply to MAIL": lambda: _mailing(offered),
        "reply to RCPT": lambda: _mailing(offered, "250 Ok"),
        "reply to DATA": lambda: _mailing(offered, "250 Ok", "250 Ok"),
        "body": lambda: _mailing(offered, "250 Ok", "250 Ok", "354 Go"),
        "verdict": lambda: _ended(offered),
        "verdicts": lambda: _ended(offered, dialect=LMTP),
        "chunk": lambda: _chunked(offered, last=False),
        "verdict over chunks": lambda: _chunked(offered, last=True),
        "reply to QUIT": lambda: _asked(offered, lambda conn: conn.quit()),
        "nothing": _closed,
    }
    return {name: _pumped(make) for name, make in makers.items()}


SITUATIONS: Final = situations(ALL_OFFERED)
"""With PIPELINING."""

SITUATIONS_ONE_BY_ONE: Final = situations(ONE_BY_ONE)
"""Without."""


def state(conn: ClientConnection) -> dict[str, Any]:
    """All that a connection knows, in a form that later changes do not reach."""
    kept: dict[str, Any] = {}
    for cls in type(conn).__mro__:
        for slot in getattr(cls, "__slots__", ()):
            kept[slot] = _kept(getattr(conn, slot))
    return kept


def _kept(thing: Any) -> Any:
    if isinstance(thing, (bytes, str, int, float, type(None))):
        return thing
    if hasattr(thing, "popleft") or isinstance(thing, list):
        return tuple(thing)
    if type(thing).__name__ in ("Link", "Input", "ReplyReader", "Clockwork", "Awaited"):
        return {slot: _kept(getattr(thing, slot)) for slot in type(thing).__slots__}
    if isinstance(thing, dict):
        return dict(thing)
    return thing
