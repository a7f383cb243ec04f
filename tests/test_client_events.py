"""The events of a client: values, named by the command and the message that they are about."""

import typing
from collections.abc import Callable

import attrs
import pytest
from _client_play import ENVELOPE, SITUATIONS, ready

from smtpcore import (
    NO_CAPABILITIES,
    Answer,
    AuthDone,
    BodyWanted,
    Cause,
    ClientEvent,
    Closed,
    Command,
    Deviation,
    Greeting,
    HelloDone,
    MessageAnswer,
    Oddity,
    RecipientAnswer,
    Reply,
    SenderAnswer,
    Transaction,
    TransactionDone,
)
from smtpcore._value import fields

OK = Reply(250, "Ok")
NOOP = Command("NOOP")


def _transaction() -> Transaction:
    return ready().conn.send(ENVELOPE)


EVENTS: dict[str, Callable[[Transaction], ClientEvent]] = {
    "Greeting": lambda transaction: Greeting(OK),
    "HelloDone": lambda transaction: HelloDone(NOOP, OK, NO_CAPABILITIES),
    "AuthDone": lambda transaction: AuthDone(NOOP, OK, "PLAIN"),
    "Answer": lambda transaction: Answer(NOOP, OK),
    "SenderAnswer": lambda transaction: SenderAnswer(transaction, NOOP, OK),
    "RecipientAnswer": lambda transaction: RecipientAnswer(transaction, NOOP, ENVELOPE.recipients[0], OK),
    "BodyWanted": BodyWanted,
    "MessageAnswer": lambda transaction: MessageAnswer(transaction, NOOP, OK),
    "TransactionDone": TransactionDone,
    "Deviation": lambda transaction: Deviation(Oddity.LONG_LINE),
    "Closed": lambda transaction: Closed(Cause.EOF),
}


def test_the_union_holds_all_events() -> None:
    assert [each.__name__ for each in typing.get_args(ClientEvent)] == list(EVENTS)


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_a_value(name: str) -> None:
    transaction = _transaction()
    one, same, other = (EVENTS[name](each) for each in (transaction, transaction, _transaction()))
    assert one == same
    assert hash(one) == hash(same)
    assert (one == other) is ("transaction" not in [each.name for each in fields(type(one))])
    assert type(one).__name__ == name
    assert vars(type(one))["__final__"]
    assert not hasattr(one, "__dict__")
    first = fields(type(one))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(one, first, None)


def test_a_message_is_answered_for_all_unless_it_says_for_whom() -> None:
    assert MessageAnswer(_transaction(), NOOP, OK).recipient is None


def test_each_event_is_told_by_some_connection() -> None:
    told = set()
    for situation, replies in {
        "greeting": ["220 mx"],
        "reply to EHLO": ["250 mx"],
        "reply to an answer": ["535 No"],
        "reply to NOOP": ["250"],
        "reply to MAIL": ["250 Ok", "250 Ok", "354 Go"],
        "verdict": ["250 Ok"],
        "reply to QUIT": ["221 Bye"],
    }.items():
        play = SITUATIONS[situation]()
        for reply in replies:
            play.hear(reply)
        told |= {type(event).__name__ for event in play.events}
    assert told == set(EVENTS)
