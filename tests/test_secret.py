"""Secrets: never shown, compared in constant time."""

import copy
import hmac
import pickle
import traceback

import pytest

from smtpcore._secret import Secret
from smtpcore._value import value


@value
class Login:
    user: str
    password: Secret


def test_octets_and_text() -> None:
    assert Secret("pä").reveal() == b"p\xc3\xa4" == Secret(b"p\xc3\xa4").reveal()
    assert Secret("pä").text() == "pä"
    with pytest.raises(UnicodeDecodeError):
        Secret(b"\xff").text()


@pytest.mark.catalogue("D12")
@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r:>20}".format, lambda secret: "%s" % (secret,)])
def test_not_shown(show: object) -> None:
    assert callable(show)
    shown = show(Secret("hunter2"))
    assert "hunter2" not in shown
    assert "***" in shown
    assert "hunter2" not in show(Login("u", Secret("hunter2")))


@pytest.mark.catalogue("D12")
def test_not_in_tracebacks() -> None:
    def fail(secret: Secret) -> None:
        raise RuntimeError(f"cannot log in with {secret}")

    with pytest.raises(RuntimeError) as raised:
        fail(Secret("hunter2"))
    frames = traceback.TracebackException.from_exception(raised.value, capture_locals=True).format()
    assert "hunter2" not in "".join(frames).replace('fail(Secret("hunter2"))', "")


def test_equality() -> None:
    assert Secret("a") == Secret(b"a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("a") != b"a"
    assert len({Secret("a"), Secret(b"a"), Secret("b")}) == 2
    assert hash(Secret("a")) != hash(b"a")


def test_equality_takes_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert Secret("a") != Secret("b")
    assert compared == [(b"a", b"b")]


@pytest.mark.parametrize("keep", [pickle.dumps, copy.copy, copy.deepcopy])
def test_not_pickled(keep: object) -> None:
    assert callable(keep)
    with pytest.raises(TypeError, match="not pickled"):
        keep(Secret("a"))
