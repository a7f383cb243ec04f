import pytest
from extension_play import MAIL_OK, MAIL_SYNTAX, connect, find, mail, offers
from linearity import assert_linear

from smtpcore import GrammarError
from smtpcore.extensions import no_soliciting

PARAM = find("MAIL", "SOLICIT")


@pytest.mark.parametrize(
    ("keywords", "offer"),
    [
        ((), "NO-SOLICITING"),
        (("net.example:ADV",), "NO-SOLICITING net.example:ADV"),
        (("net.example:ADV", "a", "B-_:.9"), "NO-SOLICITING net.example:ADV,a,B-_:.9"),
        # RFC 5321 4.5.3.1.5: a reply line has 512 octets
        (("a" * 492,), f"NO-SOLICITING {'a' * 492}"),
    ],
)
def test_offer(keywords: tuple[str, ...], offer: str) -> None:
    assert offers(connect(no_soliciting(*keywords))) == [offer]


@pytest.mark.parametrize("keywords", [("",), ("a", ""), ("a,b",), ("a b",), ("1a",), ("é",), ("a\n",), ("a" * 493,)])
def test_not_an_offer(keywords: tuple[str, ...]) -> None:
    with pytest.raises(GrammarError):
        no_soliciting(*keywords)


@pytest.mark.parametrize(
    ("value", "keywords"),
    [
        ("org.example:ADV:ADLT", ("org.example:ADV:ADLT",)),
        ("net.example:ADV,org.example:ADV:ADLT", ("net.example:ADV", "org.example:ADV:ADLT")),
        ("a,B-_:.9,a", ("a", "B-_:.9", "a")),
        ("a" * 1000, ("a" * 1000,)),
    ],
)
def test_value(value: str, keywords: tuple[str, ...]) -> None:
    said, params = mail(f"SOLICIT={value}", no_soliciting())
    assert said == MAIL_OK
    assert params is not None
    assert params.solicit == keywords
    assert PARAM.encode(keywords) == f"SOLICIT={value}"


@pytest.mark.parametrize("value", ["a" * 1001, ",", "a,", ",a", "a,,b", "9a", ":a", "a;b", "a/b", "a@b"])
def test_not_a_value(value: str) -> None:
    assert mail(f"SOLICIT={value}", no_soliciting())[0] == MAIL_SYNTAX


# RFC 3865 2.4: the refusal "SHOULD" echo what matched.
@pytest.mark.parametrize(
    ("value", "matched"),
    [
        ("net.example:ADV", "net.example:ADV"),
        ("org.example:ADV:ADLT,net.example:ADV", "net.example:ADV"),
        ("b,a", "a,b"),
        ("net.example:ADV:X", None),
        ("c", None),
    ],
)
def test_unwanted(value: str, matched: str | None) -> None:
    said, params = mail(f"SOLICIT={value}", no_soliciting("net.example:ADV", "a", "b"))
    if matched is None:
        assert said == MAIL_OK
    else:
        assert said == f"550 5.7.1 Solicitation is not permitted: SOLICIT={matched}"
    assert (params is None) == (matched is not None)


def test_without() -> None:
    assert mail("", no_soliciting("a"))[0] == MAIL_OK


@pytest.mark.catalogue("E8")
@pytest.mark.parametrize("piece", ["a", "a,", "a:", ",", "9"])
def test_a_hostile_keyword_takes_linear_time(piece: str) -> None:
    def offer(text: str) -> None:
        with pytest.raises(GrammarError):
            no_soliciting(text)

    assert_linear(offer, lambda size: piece * (size // len(piece)) + "=")


@pytest.mark.parametrize(
    ("text", "heard"), [("", ()), ("net.example:ADV", ("net.example:ADV",)), ("a,B-_:.9", ("a", "B-_:.9"))]
)
def test_hear(text: str, heard: tuple[str, ...]) -> None:
    assert no_soliciting().hear(text) == heard


@pytest.mark.parametrize("text", [",", "a,", "a b", "1a", "\u00e9", "a" * 1001])
def test_not_heard(text: str) -> None:
    with pytest.raises(GrammarError):
        no_soliciting().hear(text)
