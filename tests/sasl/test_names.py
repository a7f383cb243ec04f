import pytest

from smtpcore._events import Identity
from smtpcore._secret import Secret
from smtpcore.sasl._mechanism import BadAnswer
from smtpcore.sasl._names import decode, identity, prepare_authzid, prepare_name, prepare_password, unescape

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
