"""Plays an exchange against a script: what it is to say, and what it is then sent."""

from smtpcore._events import Identity, PasswordCheck, SecretWanted, StoredKey, TokenCheck
from smtpcore.sasl import BadAnswer, Challenge, Exchange

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
