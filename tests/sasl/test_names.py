import traceback
from typing import Any

import pytest
from hypothesis import given
from sasl_texts import MAX_NAME, MAX_SECRET, NO_NAMES, NO_PASSWORDS, NO_STORED_PASSWORDS, TEXT

from smtpcore._errors import LocalProtocolError
from smtpcore._events import Identity
from smtpcore._secret import Secret
from smtpcore.sasl import client_mechanisms, scram_key
from smtpcore.sasl._mechanism import BadAnswer
from smtpcore.sasl._names import (
    check_names,
    check_password,
    check_secret,
    client_name,
    decode,
    escape,
    identity,
    prepare_authzid,
    prepare_name,
    prepare_password,
    unescape,
)

NOT_UTF8 = [b"\xff", b"caf\xe9", b"\xc3(", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82"]


def test_decode() -> None:
    assert decode("tim\0é".encode()) == "tim\0é"


@pytest.mark.catalogue("E10")
@pytest.mark.parametrize("octets", NOT_UTF8)
def test_decode_is_strict(octets: bytes) -> None:
    with pytest.raises(BadAnswer):
        decode(octets)


@pytest.mark.catalogue("D12")
def test_octets_stay_out_of_the_error() -> None:
    with pytest.raises(BadAnswer) as raised:
        decode(b"hunter2\xff")
    # A UnicodeDecodeError would hold the octets.
    assert raised.value.__context__ is None
    assert "hunter2" not in str(raised.value)


def test_prepare_name() -> None:
    assert prepare_name("I\u00adX") == "IX"


@pytest.mark.catalogue("D8")
@pytest.mark.parametrize("text", ["", "\u00ad", "no\r\nbody", "a\0b", "a\x7f", "a\u0085", "\u202ea"])
def test_name_is_refused(text: str) -> None:
    with pytest.raises(BadAnswer):
        prepare_name(text)


@pytest.mark.catalogue("D9")
@pytest.mark.parametrize(
    ("text", "authzid"),
    [("", None), ("tim", None), ("ti\u00adm", None), ("other", "other"), ("Tim", "Tim"), ("\u2168", "IX")],
)
def test_prepare_authzid(text: str, authzid: str | None) -> None:
    assert prepare_authzid(text, "tim") == authzid


# One that comes to nothing is not as if none had been named.
@pytest.mark.parametrize("text", ["\u00ad", "a\r\nb"])
def test_authzid_is_refused(text: str) -> None:
    with pytest.raises(BadAnswer):
        prepare_authzid(text, "tim")


@pytest.mark.parametrize(
    ("text", "password"),
    [("tanstaaf", Secret("tanstaaf")), ("\u00aa", Secret("a")), ("", None), ("\u00ad", None), ("a\tb", None)],
)
def test_prepare_password(text: str, password: Secret | None) -> None:
    assert prepare_password(text) == password


def test_identity() -> None:
    assert identity("tim", None) == Identity("tim")
    assert identity("tim", "list") == Identity("list", authenticated_as="tim")


@pytest.mark.parametrize(("saslname", "name"), [("a", "a"), ("a=2Cb=3Dc", "a,b=c"), ("=3D2C", "=2C")])
def test_unescape(saslname: str, name: str) -> None:
    assert unescape(saslname) == name


@given(TEXT)
def test_escape(name: str) -> None:
    assert unescape(escape(name)) == name
    assert "," not in escape(name)


@pytest.mark.parametrize(
    ("text", "name"), [("tim", "tim"), ("I\u00adX", "IX"), ("x" * MAX_NAME, "x" * MAX_NAME), ("é" * 256, "é" * 256)]
)
def test_client_name(text: str, name: str) -> None:
    assert client_name(text) == name


@pytest.mark.catalogue("B5", "D8")
@pytest.mark.parametrize("text", NO_NAMES)
def test_client_name_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        client_name(text)
    with pytest.raises(LocalProtocolError):
        check_names(text, None)
    with pytest.raises(LocalProtocolError):
        check_names("tim", text)


@given(TEXT)
def test_client_s_password(password: str) -> None:
    check_password(Secret(password))


def test_client_s_longest_password() -> None:
    check_password(Secret("x" * MAX_SECRET))


def test_client_s_password_for_hashing() -> None:
    check_password(Secret("\u00aa"), stored=True)
    for password in NO_STORED_PASSWORDS:
        check_password(Secret(password))
        with pytest.raises(LocalProtocolError):
            check_password(Secret(password), stored=True)


@pytest.mark.catalogue("D12", "J3")
@pytest.mark.parametrize("password", NO_PASSWORDS)
def test_client_s_password_is_refused_and_not_shown(password: bytes) -> None:
    secret = Secret(password)
    with pytest.raises(LocalProtocolError) as raised:
        check_password(secret)
    assert raised.value.__context__ is None
    # Its frames hold no password either. The first is this one.
    assert raised.tb.tb_next is not None
    shown = traceback.StackSummary.extract(traceback.walk_tb(raised.tb.tb_next), capture_locals=True)
    assert "hunter2" not in "".join(shown.format())


def test_a_password_is_a_secret() -> None:
    """The error does not show it."""
    bare: Any = "hunter2"
    for use in (check_secret, check_password, scram_key, lambda password: client_mechanisms("tim", password)):
        with pytest.raises(TypeError) as raised:
            use(bare)
        assert str(raised.value) == "a password is given as a Secret, not as str"
