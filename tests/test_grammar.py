"""The grammar: each pattern against a slow reading of its rule, and the time that it takes."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator

import pytest
from abnf import (
    address_literal,
    auth,
    bdat,
    domain,
    dot_string,
    esmtp_param,
    local_part,
    mailbox,
    string,
    xtext,
)
from hypothesis import given, strategies as st
from linearity import assert_linear

from smtpcore import _grammar as grammar
from smtpcore._errors import GrammarError

Matcher = Callable[[str], object]
Rule = Callable[[str], bool]

# Each with the letters from which all short texts are made.
RULES: dict[str, tuple[Matcher, Rule, str]] = {
    "domain": (grammar.match_domain, domain, "aZ.-_ é"),
    "literal": (grammar.match_literal, address_literal, "[]:1\\\x7f "),
    "local-part": (grammar.match_local_part, local_part, 'a." \\\réx'),
    "dot-string": (grammar.match_dot_string, dot_string, 'a.-("\x7fé'),
    "mailbox": (grammar.match_mailbox, mailbox, 'a@."[]\\'),
    "esmtp-param": (grammar.match_esmtp_param, esmtp_param, "A1-= é"),
    "string": (grammar.match_string, string, "a \té\x7f"),
    "xtext": (grammar.match_xtext, xtext, "aA+=0 é"),
    "bdat": (grammar.match_bdat, bdat, "1 LASt-"),
    "auth": (grammar.match_auth, auth, "A_- =\té"),
}


def short_texts(letters: str) -> Iterator[str]:
    for length in range(6):
        for text in itertools.product(letters, repeat=length):
            yield "".join(text)


@pytest.mark.parametrize("name", RULES)
def test_all_short_texts(name: str) -> None:
    matcher, rule, letters = RULES[name]
    wrong = [text for text in short_texts(letters) if (matcher(text) is not None) != rule(text)]
    assert wrong == []


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    "context", ["{}", "a{}", "a{}a", "a@{}", '"{}"', '"{}"@a', '"\\{}"', "a@[{}]", "[{}]", "A={}", "A=a{}a", "1{}",
    "A {}", "+4{}", "+{}0"]
)  # fmt: skip
def test_every_character(name: str, context: str) -> None:
    matcher, rule, _ = RULES[name]
    characters = [*map(chr, range(0x180)), "\u0663", "\u2028", "\ufeff", "\uff0e", "\U0001f600", "\U0010fffd"]
    texts = [context.replace("{}", c) for c in characters]
    assert [text for text in texts if (matcher(text) is not None) != rule(text)] == []


@pytest.mark.parametrize("name", RULES)
@given(data=st.data())
def test_long_texts(name: str, data: st.DataObject) -> None:
    matcher, rule, letters = RULES[name]
    text = data.draw(st.text(letters, max_size=40))
    assert (matcher(text) is not None) == rule(text)


@pytest.mark.parametrize("last", [" LAST", " last", " LasT", "   LAST"])
def test_bdat(last: str) -> None:
    match = grammar.match_bdat("00000000000000000012" + last)
    assert match is not None
    assert (match["size"], bool(match["last"])) == ("00000000000000000012", True)
    assert grammar.match_bdat("000000000000000000012" + last) is None
    assert all(not match["last"] for match in [grammar.match_bdat("12")] if match)


@pytest.mark.parametrize(
    "text", ["1 LAST ", "1LAST", "1 LASTX", "1 FIRST", "+1", "-1", "0x10", "1_0", "١", "1 LAST LAST", ""]
)
@pytest.mark.catalogue("F7")
def test_not_bdat(text: str) -> None:
    assert grammar.match_bdat(text) is None


def test_groups() -> None:
    match = grammar.match_mailbox('"a@b"@[c@d]')
    assert match is not None
    assert match.groupdict() == {"local": '"a@b"', "domain": "[c@d]"}
    match = grammar.match_esmtp_param("SIZE=10")
    assert match is not None
    assert match.groupdict() == {"keyword": "SIZE", "value": "10"}
    match = grammar.match_auth("PLAIN  dGVzdA==")
    assert match is not None
    assert match.groupdict() == {"mechanism": "PLAIN", "initial": "dGVzdA=="}


def test_mechanism_has_twenty_characters() -> None:
    assert grammar.match_auth("A" * 20)
    assert grammar.match_auth("A" * 20 + " =")
    assert grammar.match_auth("A" * 21) is None
    assert grammar.match_auth("A" * 21 + " =") is None


# --- code points that no address may hold ---------------------------------------------------------


@pytest.mark.catalogue("E11")
def test_unfit() -> None:
    unfit = {chr(point) for point in range(0x110000) if grammar.unfit(chr(point))}
    controls = set(map(chr, range(0x80, 0xA0)))
    surrogates = set(map(chr, range(0xD800, 0xE000)))
    non_characters = set(map(chr, range(0xFDD0, 0xFDF0)))
    non_characters |= {chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF)}
    assert unfit == controls | surrogates | non_characters


def test_unfit_anywhere() -> None:
    assert grammar.unfit("aé\u202e😀") is None
    for text in ("\x85ab", "a\x85b", "ab\x85"):
        assert grammar.unfit(text)


# --- xtext ----------------------------------------------------------------------------------------

printable = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@given(printable)
def test_xtext_round_trip(text: str) -> None:
    encoded = grammar.encode_xtext(text)
    assert xtext(encoded)
    assert grammar.decode_xtext(encoded) == text


@given(st.text("aZ09+=ABF \x7f\né"))
def test_xtext_is_refused_or_stable(text: str) -> None:
    try:
        decoded = grammar.decode_xtext(text)
    except GrammarError:
        return
    assert decoded.isascii()
    assert decoded.isprintable()
    assert grammar.decode_xtext(grammar.encode_xtext(decoded)) == decoded


@pytest.mark.parametrize(
    ("encoded", "text"),
    [("", ""), ("abc", "abc"), ("a+2Bb+3D", "a+b="), ("+20+7E", " ~"), ("+41", "A"), ("+2B41", "+41"), ("+2b", None),
    ("+2", None), ("+", None)],
)  # fmt: skip
def test_decode_xtext(encoded: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(GrammarError):
            grammar.decode_xtext(encoded)
    else:
        assert grammar.decode_xtext(encoded) == text


@pytest.mark.catalogue("E14")
@pytest.mark.parametrize(
    "encoded", ["a+0D+0Ab", "+0A", "+00", "+09", "+1B[31m", "+1F", "+7F", "+80", "+C3+A9", "+FF", "a\r\nb", "a b", "é"]
)
def test_xtext_smuggles_nothing(encoded: str) -> None:
    with pytest.raises(GrammarError):
        grammar.decode_xtext(encoded)


@pytest.mark.parametrize("text", ["\r\n", "a\0", "\x7f", "é", "\x80"])
def test_encode_xtext_takes_printable_ascii_only(text: str) -> None:
    with pytest.raises(GrammarError):
        grammar.encode_xtext(text)


def test_encode_xtext() -> None:
    assert grammar.encode_xtext("a+b=c d~!") == "a+2Bb+3Dc+20d~!"


# --- numbers --------------------------------------------------------------------------------------


@given(st.integers(0, 10**20 - 1), st.integers(0, 20))
def test_number_round_trip(number: int, zeros: int) -> None:
    text = str(number)
    assert grammar.decode_number(text, len(text)) == number
    assert grammar.decode_number("0" * zeros + text, zeros + len(text)) == number


@pytest.mark.parametrize("digits", [1, 9, 20])
def test_number_has_so_many_digits(digits: int) -> None:
    assert grammar.decode_number("9" * digits, digits) == 10**digits - 1
    with pytest.raises(GrammarError, match=f"1 to {digits} digits"):
        grammar.decode_number("9" * (digits + 1), digits)


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1_0",
        "٣",
        "１",
        "²",
        " 1",
        "1 ",
        "1\n",
        "0x10",
        "1e3",
        "1.0",
        "1a1",
        str(2**64 + 10) + "0",
        "1" * 25,
        "NaN",
        "½",
    ],
)
def test_not_a_number(text: str) -> None:
    with pytest.raises(GrammarError):
        grammar.decode_number(text, 20)


# --- time -----------------------------------------------------------------------------------------

# What a pattern could try again and again, were it to give back what it took.
PUMPS = [
    "<", "(", '\\"', "@a,", "@a", "a.", "a-", "-", ".", "a", "+", "+4", "+41", "=", '"', '"a', "\\\\", "\\", " ",
    "[", "[a",
    "]", ":", "a@", ",", "A=a ", "A=", "1", "0", "1 ", " LAST", "é", "é.", "é-", "\t", "\x7f", "\U0001f600",
]  # fmt: skip
FRAMES = [
    ("", ""),
    ("a", "\0"),
    ('"', ""),
    ('"', '"@a'),
    ("a@", "."),
    ("a@[", ""),
    ("<@a:", "@"),
    ("A=", "="),
    ("1 ", "x"),
]
PATTERNS = {
    name: re.compile(pattern) for name, pattern in vars(grammar).items() if name.isupper() and isinstance(pattern, str)
}


def pumped(pumps: Iterable[str]) -> Callable[[int], list[str]]:
    """Texts of so many characters, each of one pump in one frame."""
    return lambda size: [head + pump * (size // len(pump)) + tail for pump in pumps for head, tail in FRAMES]


@pytest.mark.catalogue("E8")
@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_are_linear(name: str) -> None:
    match = PATTERNS[name].fullmatch
    assert_linear(lambda texts: [match(text) for text in texts], pumped(PUMPS), largest=1 << 15)


@pytest.mark.catalogue("E8")
@pytest.mark.parametrize("pump", PUMPS)
def test_inputs_are_linear(pump: str) -> None:
    matchers = [pattern.fullmatch for pattern in PATTERNS.values()]
    assert_linear(lambda texts: [match(text) for text in texts for match in matchers], pumped([pump]))


@pytest.mark.catalogue("E8")
def test_xtext_and_numbers_are_linear() -> None:
    assert_linear(grammar.decode_xtext, lambda size: "+41" * size)
    assert_linear(grammar.encode_xtext, lambda size: "= " * size)

    def refused(text: str) -> None:
        with pytest.raises(GrammarError):
            grammar.decode_number(text, 20)

    assert_linear(refused, lambda size: "1" * size)


@pytest.mark.parametrize("name", PATTERNS)
def test_repetitions_are_possessive(name: str) -> None:
    without_classes = re.sub(r"\\.|\[(?:\\.|[^]\\])*\]", "x", PATTERNS[name].pattern)
    without_groups = re.sub(r"\(\?(?::|P<[a-z]+>)", "(", without_classes)
    without_possessive = re.sub(r"[+*?]\+|\{[0-9]+,[0-9]+\}\+|\{[0-9]+\}", "", without_groups)
    assert set("+*?{").isdisjoint(without_possessive)
