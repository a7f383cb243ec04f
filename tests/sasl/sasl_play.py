"""Plays an exchange against a script (what it is to say, and what it is then sent), or a client against a server."""

from collections.abc import Callable

import pytest

from smtpcore._events import Identity, PasswordCheck, SecretWanted, TokenCheck
from smtpcore.sasl import BadAnswer, BadChallenge, Challenge, ClientExchange, Exchange
from smtpcore.sasl._stored import StoredKey

Line = tuple[Challenge | PasswordCheck | SecretWanted | TokenCheck, bytes | bool | StoredKey | None]

EMPTY = Challenge(b"")


def play(exchange: Exchange, *script: Line) -> Identity | None:
    """Play *exchange*, which is to say all of *script* and no more; give what it returns.

    `BadAnswer` is raised, if it comes of the last answer.
    """
    played = 0
    try:
        said = next(exchange)
        for expected, answer in script:
            assert said == expected
            played += 1
            said = exchange.send(answer)
    except StopIteration as end:
        assert played == len(script)
        identity: Identity | None = end.value
        return identity
    except BadAnswer:
        assert played == len(script)
        raise
    raise AssertionError(f"one line too many: {said}")


ClientLine = tuple[bytes | None, bytes | None]


def play_client(exchange: ClientExchange, *script: ClientLine) -> None:
    """Play a client's *exchange*, which is to say all of *script* and no more, and to end.

    `BadChallenge` is raised, if it comes of the last thing sent.
    """
    played = 0
    try:
        said = next(exchange)
        for expected, sent in script:
            assert said == expected
            played += 1
            said = exchange.send(sent)
    except StopIteration:
        assert played == len(script)
        return
    except BadChallenge:
        assert played == len(script)
        raise
    raise AssertionError(f"one line too many: {said!r}")


Question = PasswordCheck | SecretWanted | TokenCheck


class Application:
    """Answers every question with *answer*, and keeps it in *asked*."""

    def __init__(self, answer: object, asked: list[Question]) -> None:
        self.answer = answer
        self.asked = asked

    def __call__(self, question: Question) -> object:
        self.asked.append(question)
        return self.answer


def converse(client: ClientExchange, server: Exchange, answer: Callable[[Question], object]) -> Identity | None:
    """Play *client* and *server* against each other; *answer* is the application's. Give what the server returns.

    A client that the server lets in has to be content with it.
    """
    said = next(client)
    step = next(server)
    initial = said is not None
    while True:
        if isinstance(step, Challenge):
            if not initial:
                said = client.send(step.octets)
            initial = False
            assert said is not None
            assert 4 * len(said) < 3 * 12_286
            given: object = said
        else:
            given = answer(step)
        try:
            step = server.send(given)
        except StopIteration as end:
            identity: Identity | None = end.value
            break
    if identity is None:
        client.close()
    else:
        with pytest.raises(StopIteration):
            client.send(None)
    return identity
