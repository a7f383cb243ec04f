import pytest

from smtpcore import GrammarError
from smtpcore.extensions._attributes import attributes, is_port, is_word

parse = attributes({"NAME": is_word, "PORT": is_port})


@pytest.mark.parametrize(
    ("argument", "parsed"),
    [
        ("NAME=a", {"NAME": "a"}),
        ("name=a Port=25", {"NAME": "a", "PORT": "25"}),
        ("PORT=25 NAME=a", {"NAME": "a", "PORT": "25"}),
        ("NAME=a+2Bb+3Dc", {"NAME": "a+b=c"}),
        ("NAME=[UNAVAILABLE] PORT=[unavailable]", {"NAME": None, "PORT": None}),
        ("NAME=[TEMPUNAVAIL]", {"NAME": None}),
        ("NAME=[tempUnavail]", {"NAME": None}),
        ("NAME=+5BUNAVAILABLE+5D", {"NAME": None}),
        ("NAME=[other]", {"NAME": "[other]"}),
    ],
)
def test_pairs(argument: str, parsed: dict[str, str | None]) -> None:
    assert parse(argument) == parsed


@pytest.mark.catalogue("B6", "E14")
@pytest.mark.parametrize(
    "argument",
    [
        "", " ", "NAME", "NAME=", "=a", "NAME=a ", " NAME=a", "NAME=a  PORT=1", "NAME=a\tPORT=1",
        "OTHER=a", "NAME=a NAME=a", "NAME=a name=[UNAVAILABLE]", "NAME=a=b",
        "NAME=a+0D+0AQUIT", "NAME=a+00", "NAME=a+20b", "NAME=a+", "NAME=+e9", "NAME=é", "NAME=+E9",
        "PORT=http", "PORT=-1",
    ],
)  # fmt: skip
def test_not_pairs(argument: str) -> None:
    with pytest.raises(GrammarError):
        parse(argument)


def test_name_in_ascii() -> None:
    # U+017F is S to str.upper.
    with pytest.raises(GrammarError):
        attributes({"SOURCE": is_word})("\u017fource=a")


@pytest.mark.parametrize("text", ["a", "!~", "[192.0.2.1]", "IPV6:::1", "a" * 255])
def test_word(text: str) -> None:
    assert is_word(text)


@pytest.mark.parametrize("text", ["", " ", "a b", "a\tb", "a\n", "\x7f", "é", "a" * 256])
def test_not_a_word(text: str) -> None:
    assert not is_word(text)


@pytest.mark.parametrize("text", ["0", "25", "00025", "65535"])
def test_port(text: str) -> None:
    assert is_port(text)


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize("text", ["", "65536", "99999", "000025", "-1", "+1", "2 5", "1_0", "0x19", "\u0661"])
def test_not_a_port(text: str) -> None:
    assert not is_port(text)
