import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st
from scramp.utils import ScramException, saslprep as their_saslprep

from smtpcore._errors import GrammarError
from smtpcore.sasl._saslprep import MAX_CHARACTERS, saslprep, trace


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        # RFC 4013 3
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # spaces, and what is mapped to nothing
        ("a\u00a0b\u3000c", "a b c"),
        ("\u200ba\ufe0f\u1806", "a"),
        ("\u00ad", ""),
        ("", ""),
        (" a ", " a "),
        # directions that do not mix
        ("\u0627\u0031\u0628", "\u0627\u0031\u0628"),
        ("\u05d0", "\u05d0"),
        ("é\u0301", "é\u0301"),
    ],
)
@pytest.mark.parametrize("stored", [False, True])
def test_saslprep(text: str, prepared: str, stored: bool) -> None:
    assert saslprep(text, stored=stored) == prepared


@pytest.mark.catalogue("D8", "E11")
@pytest.mark.parametrize(
    "text",
    [
        "\x07",  # RFC 4013 3
        "\u0627\u0031",  # RFC 4013 3
        "a\0",
        "a\r\n",
        "a\x7f",
        "a\x85",  # C.2.2
        "a\u2028",
        "a\ue000",  # C.3
        "a\ufdd0",  # C.4
        "a\U0001ffff",
        "a\ud800",  # C.5
        "a\ufffc",  # C.6
        "a\u2ff0",  # C.7
        "a\u202e",  # C.8
        "a\U000e0041",  # C.9
        "\u0031\u0627",
        "\u0627a\u0628",
        "a\u0627",
    ],
)
def test_prohibited(text: str) -> None:
    with pytest.raises(GrammarError):
        saslprep(text)
    with pytest.raises(GrammarError):
        saslprep(text, stored=True)


# U+0221 was assigned in Unicode 4.0, U+1F642 in 6.1
@pytest.mark.parametrize("text", ["\u0221", "pass\U0001f642"])
def test_unassigned(text: str) -> None:
    assert saslprep(text) == text
    with pytest.raises(GrammarError):
        saslprep(text, stored=True)


def test_unicode_is_that_of_the_rfc() -> None:
    # U+1D2C became a compatibility character in Unicode 4.0; here it is not assigned, so it stays.
    assert unicodedata.normalize("NFKC", "\u1d2c") == "A"
    assert saslprep("\u1d2c") == "\u1d2c"


@pytest.mark.parametrize(("function", "character"), [(saslprep, "ö"), (trace, "x"), (trace, "ö")])
def test_length(function: Callable[[str], str], character: str) -> None:
    assert function(character * MAX_CHARACTERS) == character * MAX_CHARACTERS
    with pytest.raises(GrammarError):
        function(character * (MAX_CHARACTERS + 1))


def test_ascii_may_be_long() -> None:
    assert saslprep("x" * 10_000) == "x" * 10_000


@given(st.text())
def test_stored_as_by_another(text: str) -> None:
    try:
        theirs = their_saslprep(text)
    except ScramException:
        with pytest.raises(GrammarError):
            saslprep(text, stored=True)
    else:
        assert saslprep(text, stored=True) == theirs


@given(st.text())
def test_query_is_stored_or_holds_unassigned(text: str) -> None:
    try:
        stored = saslprep(text, stored=True)
    except GrammarError:
        return
    assert saslprep(text) == stored
    assert saslprep(stored, stored=True) == stored


@pytest.mark.parametrize("text", ["", "sirhc", "\u00aa\u00a0 \u00ad", "\u0221", "\u2ff0"])
def test_trace_changes_nothing(text: str) -> None:
    assert trace(text) == text


@pytest.mark.parametrize(
    "text",
    ["\0", "a\n", "\x80", "\ue000", "\ufffe", "\ud800", "\ufffc", "\u202e", "\U000e0001", "\u0627\u0031"],
)
def test_trace_prohibited(text: str) -> None:
    with pytest.raises(GrammarError):
        trace(text)
