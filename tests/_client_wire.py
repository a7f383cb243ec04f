"""What the tests of a client's messages share: sessions that have begun, a server that says what it is told, fates."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from smtpcore import (
    LMTP,
    NULL_PATH,
    SMTP,
    BodyWanted,
    ClientConfig,
    ClientConnection,
    ClientLimits,
    Closed,
    Dialect,
    Envelope,
    Mailbox,
    MailParams,
    Recipient,
    TlsInfo,
    Transaction,
    TransactionDone,
)
from smtpcore.testing import CLIENT_CONFIG, ClientDriver, Greet, Send

NOTHING: Final[Mapping[str, Iterable[int]]] = {}
CHUNKS: Final = ClientConfig(prefer_chunking=True, limits=ClientLimits(chunk_octets=4))
HELLO: Final = Greet("client.example")
EOF: Final = 0
"""For a reply: the server closes the connection instead of giving one."""


def envelope(sender: str = "a@b.example", *recipients: str, **params: Any) -> Envelope:
    """From *sender*, "" for the null path, to *recipients*, or to one; *params* are those of MAIL."""
    to = tuple(Recipient(Mailbox.parse(each)) for each in recipients or ("x@y.example",))
    return Envelope(Mailbox.parse(sender) if sender else NULL_PATH, to, MailParams(**params))


def hello_lines(offered: Iterable[str]) -> list[str]:
    *first, last = ["mx.example.org", *offered]
    return [*(f"250-{line}" for line in first), f"250 {last}"]


def begun(
    *offered: str, config: ClientConfig = CLIENT_CONFIG, dialect: Dialect = SMTP, tls: TlsInfo | None = None
) -> ClientDriver:
    """A session with a server that offers *offered*; nothing is read or to be read yet."""
    driver = ClientDriver(config, dialect=dialect, tls=tls)
    driver.say("220 mx.example.org")
    driver.do(HELLO)
    driver.pump()
    driver.say(*hello_lines(offered))
    assert driver.conn.awaits_intent
    driver.events.clear()
    driver.fresh()
    return driver


def start(
    driver: ClientDriver, of: Envelope | None = None, message: bytes | None = b"Hi\r\n", sizes: tuple[int, ...] = ()
) -> Transaction:
    """Begin a transaction; its message is given as soon as it is wanted, if there is one."""
    intent = Send(of or envelope(), message or b"", sizes)
    transaction = driver.send(intent, give=message is not None)
    driver.pump()
    return transaction


def fates(transaction: Transaction) -> list[str]:
    """Such as ``REFUSED 550``, ``UNSENT``, ``REFUSED 550 5.6.7 local``."""
    told = []
    for recipient, outcome in zip(transaction.envelope.recipients, transaction.outcomes, strict=True):
        assert outcome.recipient is recipient
        words = [outcome.fate.name]
        if outcome.reply is not None:
            words.append(str(outcome.reply.code))
        if outcome.local:
            assert outcome.reply is not None
            words += [str(outcome.reply.status), "local"]
        told.append(" ".join(words))
    return told


def dones(driver: ClientDriver) -> list[Transaction]:
    """Those that are done, in their order; sees to it that nothing was said after the end."""
    closed = [at for at, event in enumerate(driver.events) if isinstance(event, Closed)]
    assert closed in ([], [len(driver.events) - 1])
    return [event.transaction for event in driver.seen(TransactionDone)]


def closing(driver: ClientDriver) -> Closed:
    """The end of the session, which has come."""
    (closed,) = driver.seen(Closed)
    assert isinstance(closed, Closed)
    assert driver.events[-1] is closed
    assert driver.conn.data_to_send(0.0) == []
    return closed


class ScriptedServer:
    """Answers what it was told to, and yes where it was told nothing more.

    Args:
        offered: in the reply to EHLO.
        script: for MAIL, RCPT, DATA, BDAT (but LAST) and END, the codes of the replies to come; `EOF` closes
            the connection, and so does 421.

    The text of each reply is the verb that it is to, so that a test can see whether it came to the right command.
    ``lines`` are the commands, with "." for the end of a message and BDAT's octets left out; ``messages`` what was
    between.
    """

    def __init__(
        self, offered: Iterable[str] = (), *, dialect: Dialect = SMTP, script: Mapping[str, Iterable[int]] = NOTHING
    ) -> None:
        self.lines: list[str] = []
        self.messages: list[bytes] = []
        self.closed = False
        self.replies = 0
        self._offered = list(offered)
        self._per_recipient = dialect is LMTP
        self._script = {verb: deque(codes) for verb, codes in script.items()}
        self._received = b""
        self._said = b""
        self._accepted = 0
        self._message = b""
        self._in_body = False

    @property
    def unsaid(self) -> int:
        """How many replies of the script nobody asked for."""
        return sum(map(len, self._script.values()))

    def receive(self, octets: bytes) -> bytes:
        """What it says to *octets*."""
        self._received += octets
        while not self.closed and (self._take_body() if self._in_body else self._take_line()):
            pass
        said, self._said = self._said, b""
        return said

    def _answer(self, verb: str, kind: str, yes: int) -> bool:
        queue = self._script.get(kind)
        code = queue.popleft() if queue else yes
        if code != EOF:
            self._said += b"%d %b\r\n" % (code, verb.encode())
            self.replies += 1
        self.closed = code in (EOF, 421)
        return code < 400 and not self.closed

    def _end(self, verb: str) -> None:
        for _ in range(self._accepted if self._per_recipient else 1):
            if not self.closed:
                self._answer(verb, "END", 250)
        self._accepted = 0
        self.messages.append(self._message)
        self._message = b""

    def _take_line(self) -> bool:
        line, end, rest = self._received.partition(b"\r\n")
        if not end:
            return False
        self._received = rest
        text = line.decode()
        verb, _, argument = text.partition(" ")
        match verb:
            case "EHLO" | "LHLO":
                self._said += "".join(f"{each}\r\n" for each in hello_lines(self._offered)).encode()
            case "MAIL":
                self._accepted = 0
                self._answer("MAIL", "MAIL", 250)
            case "RCPT":
                self._accepted += self._answer("RCPT", "RCPT", 250)
            case "DATA":
                self._in_body = self._answer("DATA", "DATA", 354)
            case "BDAT":
                size, _, last = argument.partition(" ")
                if len(rest) < int(size):
                    self._received = line + end + rest
                    return False
                self._message += rest[: int(size)]
                self._received = rest[int(size) :]
                self.lines.append(text)
                if last:
                    self._end("BDAT")
                else:
                    self._answer("BDAT", "BDAT", 250)
                return True
            case "QUIT":
                self._answer("QUIT", "QUIT", 221)
                self.closed = True
            case _:
                self._answer(verb, verb, 250)
        if verb == "RSET":
            self._accepted, self._message = 0, b""
        self.lines.append(text)
        return True

    def _take_body(self) -> bool:
        # The CR LF of the DATA line stands before the message.
        head, end, rest = (b"\r\n" + self._received).partition(b"\r\n.\r\n")
        if not end:
            return False
        self._message = (head + b"\r\n")[2:].replace(b"\r\n..", b"\r\n.")
        if self._message.startswith(b".."):
            self._message = self._message[1:]
        self._received = rest
        self._in_body = False
        self.lines.append(".")
        self._end(".")
        return True


def converse(driver: ClientDriver, server: ScriptedServer, cut: int | None = None) -> None:
    """Carry octets between the two until neither has any more to say; what the server says in pieces of *cut*."""
    while True:
        said = server.receive(driver.fresh())
        if said:
            driver.feed(said, cut)
        elif server.closed:
            driver.eof()
            return
        else:
            return


def wire(conn: ClientConnection) -> bytes:
    """What it has to send now."""
    octets = b"".join(conn.data_to_send(0.0))
    conn.data_sent(0.0)
    return octets


def opened(
    *offered: str,
    config: ClientConfig = CHUNKS,
    of: Envelope | None = None,
    dialect: Dialect = SMTP,
) -> tuple[ClientDriver, Transaction]:
    """A session in which the server waits for a message, none of which has been given."""
    driver = begun(*offered, config=config, dialect=dialect)
    transaction = start(driver, of, None)
    converse(driver, ScriptedServer(dialect=dialect))
    assert driver.events[-1] == BodyWanted(transaction)
    driver.events.clear()
    driver.fresh()
    return driver, transaction
