"""A server connection, pumped by hand: no socket, no clock, and all that came of it kept."""

from collections.abc import Callable, Iterable
from typing import Final, get_args

from .._config import ServerConfig
from .._dialect import SMTP, Dialect
from .._events import BodyChunk, Deviation, Peer, Question, SecretWanted, ServerEvent, TlsInfo, Wait
from .._reply import EnhancedStatus, Reply
from .._server import Acceptable, ServerConnection
from ._driver import Driver

HOSTNAME: Final = "mx.example.org"
PEER: Final = Peer("192.0.2.7", 40025)
TLS: Final = TlsInfo("TLSv1.3", "TLS_AES_128_GCM_SHA256")
CONFIG: Final = ServerConfig(hostname=HOSTNAME)
ACCEPTABLE: Final = get_args(Acceptable)
QUESTIONS: Final = get_args(Question)

Answer = Callable[[ServerConnection, ServerEvent], None]
"""What an application does about an event: it answers it, where it is a question."""


def accept_all(conn: ServerConnection, event: ServerEvent) -> None:
    """Say yes to every question; know no user."""
    if isinstance(event, ACCEPTABLE):
        conn.accept(event)
    elif isinstance(event, SecretWanted):
        conn.provide(event, None)


class ServerDriver(Driver[ServerConnection, ServerEvent]):
    """Pumps a server connection as an adapter would, and keeps what it says.

    Args:
        config: of the server; by default one called ``mx.example.org``.
        answer: is given each event as it comes, and answers the questions.
        start: pump, so that the client is greeted.
        now: the time then.
    """

    def __init__(
        self,
        config: ServerConfig = CONFIG,
        *,
        dialect: Dialect = SMTP,
        peer: Peer = PEER,
        tls: TlsInfo | None = None,
        answer: Answer = accept_all,
        start: bool = True,
        now: float = 0.0,
    ) -> None:
        super().__init__(ServerConnection(config, peer=peer, tls=tls, dialect=dialect), TLS, now)
        self.answer = answer
        if start:
            self.pump()

    def pump(self) -> Wait:
        """Take events until there is nothing left to do; send all that is to be sent."""
        while True:
            event = self.conn.next_event()
            if not isinstance(event, Wait):
                self.note(event)
                continue
            self.flush()
            if event is not Wait.SEND:
                self.wait = event
                return event

    def note(self, event: ServerEvent) -> None:
        """An event came."""
        self.events.append(event)
        self.answer(self.conn, event)

    def codes(self, *lines: str) -> list[str]:
        """Let the client send *lines*; the codes of the replies, one each."""
        return codes(self.say(*lines))

    @property
    def body(self) -> bytes:
        """All octets of messages that came out."""
        return b"".join(event.data for event in self.seen(BodyChunk))


def codes(out: bytes) -> list[str]:
    """The code of each reply in *out*, and the enhanced one where there is one."""
    found = []
    for line in out.decode().split("\r\n")[:-1]:
        if line[3] == " ":
            words = line.split(" ")
            found.append(" ".join(words[:2]) if len(words) > 1 and _is_enhanced(words[1]) else words[0])
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


def read_reply(text: str) -> Reply:
    """``550 5.1.1 No such user`` as a reply.

    Raises:
        LocalProtocolError: the code is none.
    """
    code, _, rest = text.partition(" ")
    status, _, after = rest.partition(" ")
    if _is_enhanced(status):
        return Reply(int(code), after, EnhancedStatus.parse(status))
    return Reply(int(code), rest)


def _is_enhanced(word: str) -> bool:
    return word.count(".") == 2 and word.replace(".", "").isdigit()
