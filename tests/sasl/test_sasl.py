import doctest
from types import ModuleType

import pytest
from hypothesis import given, strategies as st
from sasl_play import EMPTY, play

from smtpcore import sasl
from smtpcore._events import Identity, PasswordCheck, SecretWanted, StoredKey, TlsInfo, TokenCheck
from smtpcore._secret import Secret


def test_example_in_the_docstring() -> None:
    failed, attempted = doctest.testmod(sasl)
    assert failed == 0
    assert attempted >= 5


def test_all_is_all() -> None:
    public = {name for name, thing in vars(sasl).items() if name[0] != "_" and not isinstance(thing, ModuleType)}
    assert set(sasl.__all__) == public


class Toy:
    """One's own mechanism, as a type checker sees it."""

    name = "X-TOY"
    initial = False

    def available(self, tls: TlsInfo | None) -> bool:
        return tls is not None

    def start(self, tls: TlsInfo | None) -> sasl.Exchange:
        password = sasl.prepare_password(sasl.decode((yield sasl.Challenge(b"who?"))))
        if password is None:
            raise sasl.BadAnswer("nobody")
        return Identity("toy") if (yield PasswordCheck(self.name, "toy", password)) else None


def test_own_mechanism() -> None:
    toy: sasl.ServerMechanism = Toy()
    who, check = sasl.Challenge(b"who?"), PasswordCheck("X-TOY", "toy", Secret("me"))
    assert play(toy.start(None), (who, b"me"), (check, True)) == Identity("toy")
    assert play(toy.start(None), (who, b"me"), (check, False)) is None
    with pytest.raises(sasl.BadAnswer):
        play(toy.start(None), (who, b""))


# The one that plays the others must itself notice.
def test_player_notices() -> None:
    who, check = (sasl.Challenge(b"who?"), b"me"), PasswordCheck("X-TOY", "toy", Secret("me"))
    for script in [(who,), ((EMPTY, b"me"), (check, True)), (who, (check, True), (check, True)), ()]:
        with pytest.raises(AssertionError):
            play(Toy().start(None), *script)
    with pytest.raises(AssertionError):
        play(Toy().start(None), (sasl.Challenge(b"who?"), b""), (check, True))


MECHANISMS: list[sasl.ServerMechanism] = [
    sasl.ANONYMOUS, sasl.CRAM_MD5, sasl.EXTERNAL, sasl.LOGIN, sasl.OAUTHBEARER, sasl.PLAIN, sasl.SCRAM_SHA_1,
    sasl.SCRAM_SHA_1_PLUS, sasl.SCRAM_SHA_256, sasl.SCRAM_SHA_256_PLUS, sasl.XOAUTH2,
]  # fmt: skip
TLS = TlsInfo(client_subject="tim", channel_bindings={"tls-server-end-point": b"x"})
KEY = StoredKey(b"salt", 4096, Secret(b"x" * 32), Secret(b"y" * 32), password=Secret("x"))
# What messages are made of, so that some come near to being one
PIECES = st.sampled_from([
    b"n,", b"y,", b"p=tls-server-end-point,", b",", b"a=", b"n=", b"r=", b"c=", b"p=", b"biws", b"=2C", b"=", b"tim",
    b"\0", b"\x01", b" ", b"user=", b"auth=Bearer ", b"0123456789abcdef" * 2, "\u00ad".encode(), "\u202e".encode(),
    b"\r\n", b"\xff",
])  # fmt: skip
ANSWERS = st.one_of(st.binary(max_size=40), st.lists(PIECES, max_size=12).map(b"".join))


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda mechanism: mechanism.name)
@given(st.lists(ANSWERS, max_size=4), st.booleans(), st.sampled_from([None, KEY]))
def test_whatever_is_sent(
    mechanism: sasl.ServerMechanism, answers: list[bytes], verdict: bool, key: StoredKey | None
) -> None:
    """Nobody gets in of whom the application was not asked, and nothing is raised but BadAnswer."""
    exchange, asked = mechanism.start(TLS), False
    said: object = next(exchange)
    try:
        while True:
            match said:
                case sasl.Challenge():
                    if not answers:
                        return
                    said = exchange.send(answers.pop(0))
                case SecretWanted():
                    said = exchange.send(key)
                case PasswordCheck() | TokenCheck():
                    asked = True
                    said = exchange.send(verdict)
    except sasl.BadAnswer:
        return
    except StopIteration as end:
        identity = end.value
    assert isinstance(identity, Identity) is (asked and verdict)


def test_values_compare() -> None:
    assert sasl.Plain() == sasl.PLAIN
    assert sasl.OAuthBearer(scope="x") != sasl.OAUTHBEARER
    assert sasl.SCRAM_SHA_256 != sasl.SCRAM_SHA_1
    assert "***" in repr(sasl.SCRAM_SHA_256)
