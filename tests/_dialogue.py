"""What the tests of whole sessions share: a driver, and dialogues that read like the examples of an RFC.

A dialogue is a text of such lines::

    S: 220 mx.example.org ESMTP ready      what the server says, but for blanks at the end
    C: EHLO client.example                 a line of the client's; CR LF is added
    C~ abc\\r\\n                             octets of the client's as they are, with escapes
    A: RcptTo reject 550 5.1.1 No such     what the application says to a question of the lines above
    TLS                                    the handshake that the server waits for succeeds
    EOF                                    the client closes its side
    CLOSED                                 the server wants the connection closed

Lines of the client's with nothing between them are one group: sent at once. What is said to a question
that no ``A:`` names is yes. Every dialogue is held twice, group by group and octet by octet, and both
must come to the same events.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

from smtpcore import (
    SMTP,
    BodyBegin,
    BodyChunk,
    BodyEnd,
    Connected,
    Deviation,
    Dialect,
    EnhancedStatus,
    Extended,
    Hello,
    MailFrom,
    PasswordCheck,
    Peer,
    Phase,
    Question,
    RcptTo,
    Reply,
    SecretWanted,
    ServerConfig,
    ServerConnection,
    ServerEvent,
    StartTls,
    TlsInfo,
    TokenCheck,
    Verify,
    Wait,
    XClient,
)

PEER = Peer("192.0.2.7", 40025)
TLS = TlsInfo("TLSv1.3", "TLS_AES_128_GCM_SHA256")
HOSTNAME = "mx.example.org"
CONFIG = ServerConfig(hostname=HOSTNAME)
ACCEPTABLE = (
    Connected, Hello, StartTls, PasswordCheck, TokenCheck, MailFrom, RcptTo, BodyBegin, BodyEnd, Verify, Extended,
    XClient,
)  # fmt: skip
QUESTIONS = get_args(Question)

Answer = Callable[[ServerConnection, ServerEvent], None]


def accept_all(conn: ServerConnection, event: ServerEvent) -> None:
    """Say yes to every question; know no user."""
    if isinstance(event, ACCEPTABLE):
        conn.accept(event)
    elif isinstance(event, SecretWanted):
        conn.provide(event, None)


def config(**changes: Any) -> ServerConfig:
    """A config of mx.example.org."""
    return ServerConfig(hostname=HOSTNAME, **changes)


class Driver:
    """Pumps a connection as an adapter would, and keeps what it says.

    Args:
        answer: is given each event as it comes, and answers the questions.
        start: pump, so that the client is greeted.
        now: the time then.
    """

    def __init__(
        self,
        settings: ServerConfig = CONFIG,
        *,
        dialect: Dialect = SMTP,
        peer: Peer = PEER,
        tls: TlsInfo | None = None,
        answer: Answer = accept_all,
        start: bool = True,
        now: float = 0.0,
    ) -> None:
        self.conn = ServerConnection(settings, peer=peer, tls=tls, dialect=dialect)
        self.answer = answer
        self.events: list[ServerEvent] = []
        self.out = b""
        self.now = now
        self.wait: Wait | None = None
        self._read = 0
        if start:
            self.pump()

    def pump(self) -> Wait:
        """Take events until there is nothing left to do; send all that is to be sent."""
        while True:
            event = self.conn.next_event()
            if not isinstance(event, Wait):
                self.events.append(event)
                self.answer(self.conn, event)
                continue
            self.flush()
            if event is not Wait.SEND:
                self.wait = event
                return event

    def flush(self) -> None:
        """Send what is to be sent."""
        out = b"".join(self.conn.data_to_send(self.now))
        if out:
            self.conn.data_sent(self.now)
            self.out += out

    def feed(self, data: bytes, cut: int | None = None) -> bytes:
        """Let the client send *data*, in pieces of *cut* octets; what the server says to it."""
        before = len(self.out)
        size = cut or len(data) or 1
        for start in range(0, len(data), size):
            self.conn.receive_data(data[start : start + size], self.now)
            self.pump()
        return self.out[before:]

    def say(self, *lines: str) -> bytes:
        """Let the client send *lines*; what the server says to them."""
        return self.feed("".join(f"{line}\r\n" for line in lines).encode())

    def codes(self, *lines: str) -> list[str]:
        """Let the client send *lines*; the codes of the replies, one each."""
        return codes(self.say(*lines))

    def eof(self) -> None:
        """Let the client close its side."""
        self.conn.receive_data(b"", self.now)
        self.pump()

    def handshake(self, tls: TlsInfo = TLS) -> None:
        """Let the handshake succeed that the server waits for."""
        self.conn.tls_started(tls)
        self.pump()

    def at(self, now: float) -> Wait:
        """Let it be *now*."""
        self.now = now
        self.conn.handle_timeout(now)
        return self.pump()

    def seen(self, *kinds: type) -> list[Any]:
        """The events of *kinds*."""
        return [event for event in self.events if isinstance(event, kinds)]

    def fresh(self) -> bytes:
        """What the server has said since the last call."""
        out, self._read = self.out[self._read :], len(self.out)
        return out

    @property
    def body(self) -> bytes:
        """All octets of messages that came out."""
        return b"".join(event.data for event in self.seen(BodyChunk))


def ready(**changes: Any) -> Driver:
    """A session after EHLO."""
    driver = Driver(config(**changes))
    driver.say("EHLO client.example")
    return driver


def opened(**changes: Any) -> Driver:
    """A session with a transaction that has a recipient."""
    driver = ready(**changes)
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    return driver


def in_data(**changes: Any) -> Driver:
    """A session in a message, by DATA."""
    driver = opened(**changes)
    driver.say("DATA")
    assert driver.conn.phase is Phase.BODY
    return driver


def codes(out: bytes) -> list[str]:
    """The code of each reply in *out*, and the enhanced one where there is one."""
    found = []
    for line in out.decode().split("\r\n")[:-1]:
        if line[3] == " ":
            words = line.split(" ")
            enhanced = len(words) > 1 and words[1].count(".") == 2 and words[1].replace(".", "").isdigit()
            found.append(" ".join(words[:2]) if enhanced else words[0])
    return found


def joined(events: Iterable[ServerEvent]) -> list[ServerEvent]:
    """*events* with neighbouring chunks of a message as one, and without reports of early input.

    How a message is cut, and whether input was early, is all that may depend on how the octets came.
    """
    kept: list[ServerEvent] = []
    for event in events:
        if isinstance(event, BodyChunk) and kept and isinstance(kept[-1], BodyChunk):
            kept[-1] = BodyChunk(kept[-1].data + event.data)
        elif event != Deviation("early input"):
            kept.append(event)
    return kept


def reply(text: str) -> Reply:
    """``550 5.1.1 No such user`` as a reply."""
    code, _, rest = text.partition(" ")
    status, _, after = rest.partition(" ")
    if status.count(".") == 2 and status.replace(".", "").isdigit():
        return Reply(int(code), after, EnhancedStatus.parse(status))
    return Reply(int(code), rest)


# --- dialogues -----------------------------------------------------------------------------------


class _Script:
    """The lines of a dialogue, and the answers of its application."""

    def __init__(self, text: str) -> None:
        self.lines = [stripped for line in text.split("\n") if (stripped := line.strip())]
        self.decisions: list[tuple[str, str]] = []

    def answer(self, conn: ServerConnection, event: ServerEvent) -> None:
        if not isinstance(event, QUESTIONS):
            return
        if self.decisions and self.decisions[0][0] == type(event).__name__:
            _decide(conn, event, self.decisions.pop(0)[1])
        else:
            accept_all(conn, event)


def _decide(conn: ServerConnection, event: Any, decision: str) -> None:
    verb, _, rest = decision.partition(" ")
    if verb == "accept":
        conn.accept(event, reply(rest) if rest else None)
    elif verb == "reject":
        conn.reject(event, reply(rest))
    elif verb == "settle":
        conn.settle(event, [reply(each.strip()) for each in rest.split("|")])
    else:
        raise AssertionError(f"no such decision: {decision}")


def _blocks(lines: Sequence[str]) -> list[tuple[bytes, list[str], list[str], str]]:
    """Groups of the client's octets, each with the decisions, the server's lines, and what happens then."""
    blocks: list[tuple[bytes, list[str], list[str], str]] = []
    sent, decisions, said = b"", list[str](), list[str]()
    for line in [*lines, ""]:
        mark, _, rest = line.partition(" ")
        if mark in ("C:", "C~") and not said:
            pass
        elif mark in ("C:", "C~", "TLS", "EOF", "CLOSED", ""):
            blocks.append((sent, decisions, said, "" if mark in ("C:", "C~") else mark))
            sent, decisions, said = b"", [], []
        if mark == "C:":
            sent += rest.encode() + b"\r\n"
        elif mark == "C~":
            sent += rest.encode("ascii").decode("unicode_escape").encode("latin-1")
        elif mark == "A:":
            decisions.append(rest)
        elif mark == "S:":
            said.append(rest)
        elif mark not in ("TLS", "EOF", "CLOSED", ""):
            raise AssertionError(f"not a line of a dialogue: {line}")
    return blocks


def _hold(driver: Driver, script: _Script, cut: int | None) -> None:
    started = False
    for sent, decisions, said, happening in _blocks(script.lines):
        script.decisions = [(question, rest) for question, _, rest in (each.partition(" ") for each in decisions)]
        if not started:
            started = True
            driver.pump()
        driver.feed(sent, cut)
        heard = driver.fresh().decode().replace(" \r\n", "\n").replace("\r\n", "\n")
        wanted = "".join(f"{line}\n" for line in said)
        assert heard == wanted, f"to {sent[-200:]!r} was said:\n{heard}and should have been:\n{wanted}"
        assert not script.decisions, "a decision without its question"
        if happening == "TLS":
            assert driver.wait is Wait.TLS
            driver.handshake()
        elif happening == "EOF":
            driver.eof()
        elif happening == "CLOSED":
            assert driver.wait is Wait.CLOSED


def play(
    text: str,
    settings: ServerConfig = CONFIG,
    *,
    dialect: Dialect = SMTP,
    peer: Peer = PEER,
    tls: TlsInfo | None = None,
    greet: bool = True,
) -> Driver:
    """Hold a dialogue; the driver of it, group by group.

    Args:
        text: what is said, as the module's docstring tells.
        greet: put the greeting and its reply in front of it: the dialogue is about what comes later.
    """
    if greet:
        text = f"S: 220 {HOSTNAME} {dialect.protocol} ready\n" + text
    drivers = []
    for cut in (None, 1):
        script = _Script(text)
        driver = Driver(settings, dialect=dialect, peer=peer, tls=tls, answer=script.answer, start=False)
        _hold(driver, script, cut)
        drivers.append(driver)
    assert joined(drivers[0].events) == joined(drivers[1].events)
    return drivers[0]
