import pytest
from sasl_play import play

from smtpcore._events import Identity, PasswordCheck
from smtpcore._secret import Secret
from smtpcore.sasl import LOGIN, BadAnswer, Challenge, ServerMechanism

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
