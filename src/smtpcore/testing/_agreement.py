"""Whether both ends of a session agree on what became of each message."""

import functools
import re
from collections.abc import Sequence

from .._client_events import TransactionDone
from .._envelope import Body, Envelope, MailParams, RcptParams
from .._events import Closed
from .._framing import Stray
from .._transaction import Fate
from .._value import fields, value
from ._client_driver import ClientDriver, Sent

_line_end = re.compile(rb"\r\n|\r|\n")


@value
class Taken:
    """A message as the server's application has seen it, and for whom it said yes.

    Args:
        verb: DATA or BDAT.
        accepted: for each recipient of *envelope*, whether the message was taken for it.
    """

    envelope: Envelope
    verb: str
    message: bytes
    accepted: tuple[bool, ...]


def received(message: bytes) -> bytes:
    """*message* as it comes out behind DATA: the dot that ends it stands at the beginning of a line."""
    return message if not message or message.endswith(b"\r\n") else message + b"\r\n"


def disagreements(client: ClientDriver, taken: Sequence[Taken]) -> list[str]:
    """What the client says of its messages and the server does not, or the other way; of a session that is over.

    The recipients of an envelope need to differ from each other.
    """
    sent = client.sent

    # Two messages may be alike, and one of them lost: any way to match them in their order will do.
    @functools.cache
    def match(of_sent: int, of_taken: int) -> tuple[str, ...]:
        if of_sent == len(sent):
            return tuple(f"nobody sent {each.message!r} to {each.envelope!r}" for each in taken[of_taken:])
        one = sent[of_sent]
        lost = _lost(one) + match(of_sent + 1, of_taken)
        if of_taken < len(taken) and _same(client, one, taken[of_taken]):
            arrived = _arrived(one, taken[of_taken]) + match(of_sent + 1, of_taken + 1)
            return min(lost, arrived, key=len)
        return lost

    return [*_disorder(client), *match(0, 0)]


def _disorder(client: ClientDriver) -> list[str]:
    """What is wrong with the order of the client's events."""
    wrong = []
    for each in client.sent:
        transaction = each.transaction
        told = [e for e in client.events if isinstance(e, TransactionDone) and e.transaction is transaction]
        if len(told) != 1 or not transaction.done:
            wrong.append(f"TransactionDone was said {len(told)} times of {transaction.envelope!r}")
        if tuple(outcome.recipient for outcome in transaction.outcomes) != transaction.envelope.recipients:
            wrong.append(f"the outcomes are not those of {transaction.envelope!r}")
    closed = [at for at, event in enumerate(client.events) if isinstance(event, Closed)]
    if closed != [len(client.events) - 1]:
        wrong.append(f"Closed is not the last event, said once, but at {closed} of {len(client.events)}")
    return wrong


def _lost(one: Sent) -> tuple[str, ...]:
    return tuple(
        f"{outcome.recipient.path} has the message, says the client, and the server took none: {outcome!r}"
        for outcome in one.transaction.outcomes
        if outcome.fate is Fate.ACCEPTED
    )


def _arrived(one: Sent, taken: Taken) -> tuple[str, ...]:
    accepted = {recipient.path for recipient, yes in zip(taken.envelope.recipients, taken.accepted, strict=True) if yes}
    return tuple(
        f"{outcome!r}, and the server took it for {sorted(map(str, accepted))}"
        for outcome in one.transaction.outcomes
        if outcome.fate is not Fate.UNKNOWN and (outcome.fate is Fate.ACCEPTED) != (outcome.recipient.path in accepted)
    )


def _same(client: ClientDriver, one: Sent, taken: Taken) -> bool:
    """Whether *taken* can be what the client sent for *one*, octet for octet."""
    envelope, message = one.intent.envelope, one.intent.message
    if client.conn.config.stray is Stray.NORMALISE and envelope.params.body is not Body.BINARY_MIME:
        message = _line_end.sub(b"\r\n", message)
    if taken.verb == "DATA":
        message = received(message)
    if taken.message != message or taken.envelope.reverse_path != envelope.reverse_path:
        return False
    wished = {each.path: each.params for each in envelope.recipients}
    return _within(taken.envelope.params, envelope.params) and all(
        each.path in wished and _within(each.params, wished[each.path]) for each in taken.envelope.recipients
    )


def _within(asked: MailParams | RcptParams, wished: MailParams | RcptParams) -> bool:
    """Whether nothing was asked that was not wished; what a server does not offer is left out."""
    for field in fields(type(asked)):
        asked_for = getattr(asked, field.name)
        # SMTPUTF8 is the client's own to say, where an address needs it.
        if asked_for != field.default and field.name != "smtputf8" and asked_for != getattr(wished, field.name):
            return False
    return True
