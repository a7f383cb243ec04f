"""A client connection, pumped by hand, and an application that does what it is told."""

import itertools
from collections import deque
from collections.abc import Iterator
from typing import Final

from .._client import ClientConnection
from .._client_config import ClientConfig
from .._client_events import (
    Answer,
    AuthDone,
    BodyWanted,
    ClientEvent,
    Greeting,
    HelloDone,
    MessageAnswer,
    RecipientAnswer,
    SenderAnswer,
    TransactionDone,
)
from .._dialect import SMTP, Dialect
from .._errors import LocalProtocolError
from .._events import Closed, Deviation, TlsInfo, Wait
from .._secret import Secret
from .._transaction import Transaction
from .._value import value
from ..sasl import client_mechanisms
from ._driver import Driver
from ._intents import Greet, HangUp, Intent, Leave, LogIn, Say, Secure, Send

CLIENT_CONFIG: Final = ClientConfig()
CLIENT_TLS: Final = TlsInfo("TLSv1.3", "TLS_AES_128_GCM_SHA256", verified=True)


@value
class Sent:
    """A transaction, and what its application wanted to send."""

    transaction: Transaction
    intent: Send


class _Giver:
    """Gives the message of one transaction, piece by piece."""

    def __init__(self, sent: Sent) -> None:
        self.transaction = sent.transaction
        self._pieces = deque(_pieces(sent.intent))
        self._abandons = sent.intent.abandon is not None

    def step(self, conn: ClientConnection) -> bool:
        """Give a piece, or the end; whether there is more to give."""
        try:
            if self._pieces:
                conn.send_body(self.transaction, self._pieces.popleft())
                return True
            if self._abandons:
                conn.abort(self.transaction)
            else:
                conn.end_body(self.transaction)
        except LocalProtocolError:  # the policy of the config: nobody sends that
            conn.abort(self.transaction)
        return False


def _pieces(intent: Send) -> Iterator[bytes]:
    message = intent.message[: intent.abandon]
    sizes = itertools.cycle(intent.sizes or (max(1, len(message)),))
    at = 0
    while at < len(message):
        size = next(sizes)
        yield message[at : at + size]
        at += size


class ClientDriver(Driver[ClientConnection, ClientEvent]):
    """Pumps a client connection as an adapter would, and keeps what it says.

    Args:
        config: of the client.
        start: pump, as if connected.
        now: the time then.
    """

    def __init__(
        self,
        config: ClientConfig = CLIENT_CONFIG,
        *,
        dialect: Dialect = SMTP,
        tls: TlsInfo | None = None,
        start: bool = True,
        now: float = 0.0,
    ) -> None:
        super().__init__(ClientConnection(config, tls=tls, dialect=dialect), CLIENT_TLS, now)
        self.sent: list[Sent] = []
        self._givers: dict[int, _Giver] = {}
        self._giving: _Giver | None = None
        if start:
            self.pump()

    def do(self, intent: Intent) -> None:
        """Do what *intent* says; for a `Pause`, see `at`.

        Raises:
            LocalProtocolError: it is not possible now.
        """
        conn = self.conn
        match intent:
            case Greet():
                conn.hello(intent.name)
            case Secure():
                conn.start_tls()
            case LogIn():
                mechanism = conn.choose(client_mechanisms(intent.username, Secret(intent.password)))
                if mechanism is not None:
                    conn.authenticate(mechanism)
            case Send():
                self.send(intent)
            case Say():
                self._say(intent.verb, intent.argument)
            case Leave():
                conn.quit()
            case HangUp():
                conn.close()
            case _:  # Pause
                self.at(self.now + intent.seconds)

    def _say(self, verb: str, argument: str) -> None:
        match verb:
            case "RSET":
                self.conn.reset()
            case "NOOP" if not argument:
                self.conn.noop()
            case "VRFY":
                self.conn.verify(argument)
            case "EXPN":
                self.conn.expand(argument)
            case "HELP":
                self.conn.help(argument)
            case _:
                self.conn.command(verb, argument)

    def send(self, intent: Send, *, give: bool = True) -> Transaction:
        """Begin a transaction; its message is given when it is wanted, unless *give* is false."""
        transaction = self.conn.send(intent.envelope)
        sent = Sent(transaction, intent)
        self.sent.append(sent)
        if give:
            self._givers[id(transaction)] = _Giver(sent)
        return transaction

    def pump(self) -> Wait:
        """Take events and give messages until there is nothing left to do; send all that is to be sent."""
        while True:
            event = self.conn.next_event()
            if not isinstance(event, Wait):
                self.note(event)
                continue
            self.wait = event
            self.flush()
            if not self._give():
                return event

    def note(self, event: ClientEvent) -> None:
        """An event came."""
        self.events.append(event)
        if isinstance(event, BodyWanted):
            self._giving = self._givers.pop(id(event.transaction), None)

    def _give(self) -> bool:
        """Give something of a message, if it is wanted; whether anything was given."""
        giver = self._giving
        if giver is None or not giver.transaction.wants_body:
            return False
        if not giver.step(self.conn):
            self._giving = None
            self.given()
        return True

    @property
    def giving(self) -> bool:
        """Whether a message is wanted that has not been given whole."""
        return self._giving is not None and not self._giving.transaction.done

    def given(self) -> None:
        """A message has been given whole, or was given up."""


def describe(event: ClientEvent) -> str:
    """A client's event in one line: its name, and the words that matter, the code of a reply first."""
    words: list[object]
    match event:
        case Greeting():
            words = [event.reply.code]
        case HelloDone():
            words = [event.reply.code, *event.capabilities.keywords]
        case AuthDone():
            words = [event.reply.code, event.mechanism]
        case Answer():
            words = [event.reply.code, event.command.verb]
        case SenderAnswer():
            words = [event.reply.code]
        case RecipientAnswer():
            words = [event.reply.code, event.recipient.path]
        case MessageAnswer():
            words = [event.reply.code, *([] if event.recipient is None else [event.recipient.path])]
        case TransactionDone():
            words = [f"{each.recipient.path}={each.fate.name}" for each in event.transaction.outcomes]
        case Deviation():
            words = [event.what if isinstance(event.what, str) else event.what.name]
        case Closed():
            words = [event.cause.name, *([] if event.violation is None else [event.violation.name]), event.detail]
        case _:  # BodyWanted
            words = []
    return " ".join([type(event).__name__, *map(str, words)]).rstrip()
