import pytest
from hypothesis import given, strategies as st

from smtpcore import GrammarError
from smtpcore.extensions import _attributes
from smtpcore.extensions._attributes import encoder, hear_names, is_port, is_word

parse = _attributes.attributes({"NAME": is_word, "PORT": is_port})


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
        _attributes.attributes({"SOURCE": is_word})("\u017fource=a")


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


# --- written ---------------------------------------------------------------------------------------

encode = encoder(parse)


@pytest.mark.parametrize(
    ("attributes", "argument"),
    [
        ({"NAME": "a"}, "NAME=a"),
        ({"PORT": "25", "NAME": "a"}, "PORT=25 NAME=a"),
        ({"name": "a+b=c"}, "name=a+2Bb+3Dc"),
        ({"NAME": None, "PORT": None}, "NAME=[UNAVAILABLE] PORT=[UNAVAILABLE]"),
    ],
)
def test_written(attributes: dict[str, str | None], argument: str) -> None:
    assert encode(attributes) == argument
    assert parse(argument) == {name.upper(): value for name, value in attributes.items()}


@pytest.mark.catalogue("B5", "B6")
@pytest.mark.parametrize(
    "attributes",
    [
        {}, {"NAME": ""}, {"NAME": "a b"}, {"NAME": "a\r\nQUIT"}, {"NAME": "\0"}, {"NAME": "\u00e9"},
        {"NAME": "a" * 256},
        {"NAME": "[UNAVAILABLE]"}, {"NAME": "[tempunavail]"}, {"OTHER": "a"}, {"": "a"}, {"NAME": "a", "name": "a"},
        {"PORT": "65536"}, {"PORT": "\u0661"}, {"NAME=a PORT": "25"}, {"NAME=a\r\nQUIT": None}, {"NAME ": "a"},
        {"NAME=": "a"}, {" NAME": "a"}, {"NAME=a": None},
    ],
)  # fmt: skip
def test_not_written(attributes: dict[str, str | None]) -> None:
    with pytest.raises(GrammarError):
        encode(attributes)


def test_name_is_written_in_ascii() -> None:
    with pytest.raises(GrammarError):
        encoder(_attributes.attributes({"SOURCE": is_word}))({"\u017fource": "a"})


VALUES = st.none() | st.text(st.characters(max_codepoint=0x17F)) | st.from_regex(r"[ -~]{1,255}", fullmatch=True)


@pytest.mark.catalogue("B5", "B6")
@given(st.dictionaries(st.sampled_from(["NAME", "name", "PORT", "Port"]) | st.text(max_size=9), VALUES, max_size=4))
def test_what_is_written_is_read(attributes: dict[str, str | None]) -> None:
    try:
        argument = encode(attributes)
    except GrammarError:
        return
    assert argument.isascii()
    assert argument.isprintable()
    assert parse(argument) == {name.upper(): value for name, value in attributes.items()}


@given(st.text(max_size=30) | st.from_regex(r"(?:NAME|name)=[!-~]{0,20}(?: PORT=[0-9]{1,6})?", fullmatch=True))
def test_what_is_read_can_be_written(argument: str) -> None:
    try:
        attributes = parse(argument)
    except GrammarError:
        return
    assert parse(encode(attributes)) == attributes


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", set()),
        ("NAME  port", {"NAME", "PORT"}),
        ("NAME name", {"NAME"}),
        ("NAME \u017fource", {"NAME"}),
    ],
)
def test_names_heard(text: str, names: set[str]) -> None:
    assert hear_names(text) == names
