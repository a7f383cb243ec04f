"""What a client connection tells its application. Each answer names the command, and the message, that it is to."""

from typing import final

from ._capabilities import Capabilities
from ._commands import Command
from ._envelope import Recipient
from ._events import Closed, Deviation
from ._reply import Reply
from ._transaction import Transaction
from ._value import value


@final
@value
class Greeting:
    """The server's first word. If it is not positive, all that is left is to quit."""

    reply: Reply


@final
@value
class HelloDone:
    """The reply to EHLO, HELO or LHLO. *capabilities* are empty after HELO, and where it is not positive."""

    command: Command
    reply: Reply
    capabilities: Capabilities


@final
@value
class AuthDone:
    """The end of an AUTH exchange; a positive reply says that it succeeded."""

    command: Command
    reply: Reply
    mechanism: str


@final
@value
class Answer:
    """The reply to any other command. `Wait.TLS` follows one to STARTTLS that is positive."""

    command: Command
    reply: Reply


@final
@value
class SenderAnswer:
    """The reply to MAIL."""

    transaction: Transaction
    command: Command
    reply: Reply


@final
@value
class RecipientAnswer:
    """The reply to RCPT."""

    transaction: Transaction
    command: Command
    recipient: Recipient
    reply: Reply


@final
@value
class BodyWanted:
    """The server takes the message: give it with `send_body` and `end_body`."""

    transaction: Transaction


@final
@value
class MessageAnswer:
    """A reply to the message: to its end, to a chunk that was refused, or to DATA where that says no.

    Args:
        recipient: whom it is for, in LMTP; else None, and it is for all that were accepted.
    """

    transaction: Transaction
    command: Command
    reply: Reply
    recipient: Recipient | None = None


@final
@value
class TransactionDone:
    """Every outcome of *transaction* is final. Said once of each transaction, and before `Closed`."""

    transaction: Transaction


ClientEvent = (
    Greeting
    | HelloDone
    | AuthDone
    | Answer
    | SenderAnswer
    | RecipientAnswer
    | BodyWanted
    | MessageAnswer
    | TransactionDone
    | Deviation
    | Closed
)
