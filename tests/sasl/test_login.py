import pytest
from hypothesis import given, strategies as st
from sasl_play import Application, Question, converse, play, play_client
from sasl_texts import NO_NAMES, NO_PASSWORDS, TEXT

from smtpcore._errors import LocalProtocolError
from smtpcore._events import Identity, PasswordCheck
from smtpcore._secret import Secret
from smtpcore.sasl import (
    LOGIN,
    BadAnswer,
    BadChallenge,
    Challenge,
    ClientMechanism,
    LoginClient,
    ServerMechanism,
    Strength,
    saslprep,
)

MECHANISM: ServerMechanism = LOGIN
NAME = Challenge(b"Username:")
PASSWORD = Challenge(b"Password:")


def test_offer() -> None:
    assert (MECHANISM.name, MECHANISM.initial, MECHANISM.available(None)) == ("LOGIN", True, True)


@pytest.mark.parametrize(("verdict", "identity"), [(True, Identity("tim")), (False, None)])
def test_exchange(verdict: bool, identity: Identity | None) -> None:
    check = PasswordCheck("LOGIN", "tim", Secret("tanstaaf"))
    assert play(LOGIN.start(None), (NAME, b"tim"), (PASSWORD, b"tanstaaf"), (check, verdict)) == identity


def test_all_is_prepared() -> None:
    check = PasswordCheck("LOGIN", "IX", Secret("a b"))
    script = ((NAME, "\u2168".encode()), (PASSWORD, "a\u00a0b".encode()), (check, True))
    assert play(LOGIN.start(None), *script) == Identity("IX")


@pytest.mark.parametrize("password", [b"", b"a\0b"])
def test_password_that_cannot_be(password: bytes) -> None:
    assert play(LOGIN.start(None), (NAME, b"tim"), (PASSWORD, password)) is None


@pytest.mark.catalogue("D8", "D11")
@pytest.mark.parametrize("name", [b"", b"no\r\nbody", b"tim\0", b"t\xefm", b"tim\ntanstaaf"])
def test_bad_name(name: bytes) -> None:
    with pytest.raises(BadAnswer):
        play(LOGIN.start(None), (NAME, name))


def test_bad_password() -> None:
    with pytest.raises(BadAnswer):
        play(LOGIN.start(None), (NAME, b"tim"), (PASSWORD, b"caf\xe9"))


# --- the client ----------------------------------------------------------------------------------

CLIENT: ClientMechanism = LoginClient("tim", Secret("tanstaaf"))


def test_client() -> None:
    assert (CLIENT.name, CLIENT.strength, CLIENT.available(None)) == ("LOGIN", Strength.REVEALED, True)


# What servers prompt with differs.
@pytest.mark.parametrize(
    ("first", "second"),
    [(b"Username:", b"Password:"), (b"User Name\0", b"Password\0"), (b"", b""), (b"\xff", b"Username:")],
)
def test_client_says(first: bytes, second: bytes) -> None:
    play_client(CLIENT.start(None), (None, first), (b"tim", second), (b"tanstaaf", None))


@pytest.mark.parametrize(
    "script",
    [
        [(None, None)],
        [(None, b"Username:"), (b"tim", None)],
        [(None, b"Username:"), (b"tim", b"Password:"), (b"tanstaaf", b"Password:")],
    ],
)
def test_client_is_answered_badly(script: list[tuple[bytes | None, bytes | None]]) -> None:
    with pytest.raises(BadChallenge):
        play_client(CLIENT.start(None), *script)


@given(TEXT, TEXT, st.booleans())
def test_client_and_server(username: str, password: str, verdict: bool) -> None:
    asked: list[Question] = []
    exchange = LoginClient(username, Secret(password)).start(None)
    identity = converse(exchange, LOGIN.start(None), Application(verdict, asked))
    assert asked == [PasswordCheck("LOGIN", saslprep(username), Secret(saslprep(password)))]
    assert identity == (Identity(saslprep(username)) if verdict else None)


@pytest.mark.catalogue("B5", "D8")
@pytest.mark.parametrize("name", NO_NAMES)
def test_client_with_bad_name(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        LoginClient(name, Secret("x"))


@pytest.mark.catalogue("B5")
@pytest.mark.parametrize("password", NO_PASSWORDS)
def test_client_with_bad_password(password: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        LoginClient("tim", Secret(password))
