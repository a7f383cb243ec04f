"""SASLprep, the form in which names and passwords are compared (RFC 4013, a profile of RFC 3454).

Stringprep is bound to Unicode 3.2, and so is this, whatever Unicode the interpreter knows.
"""

import stringprep
from collections.abc import Callable, Iterable
from typing import Final
from unicodedata import ucd_3_2_0

from .._errors import GrammarError

# RFC 4616 2 wants names and passwords of 255 octets taken. To order a run of combining marks takes time
# quadratic in it, and one character may become eighteen, so longer ones are not looked at.
MAX_CHARACTERS: Final = 512

_Table = Callable[[str], bool]

# RFC 4505 3, of the tables of RFC 3454 appendix C
_TRACE: tuple[_Table, ...] = (
    stringprep.in_table_c21_c22,  # controls
    stringprep.in_table_c3,  # private use
    stringprep.in_table_c4,  # non-characters
    stringprep.in_table_c5,  # surrogates
    stringprep.in_table_c6,  # what is no plain text
    stringprep.in_table_c8,  # what changes the display
    stringprep.in_table_c9,  # tags
)
# RFC 4013 2.3; of these the ideographic description characters are C.7
_QUERY = (*_TRACE, stringprep.in_table_c12, stringprep.in_table_c7)
# RFC 4013 2.5: unassigned code points
_STORED = (*_QUERY, stringprep.in_table_a1)


def saslprep(text: str, *, stored: bool = False) -> str:
    """Prepare *text* with SASLprep.

    Args:
        text: a user name or a password.
        stored: make a stored string, which holds no code point that Unicode 3.2 does not assign; else a
            query (RFC 3454 section 7).

    Raises:
        GrammarError: *text* holds a prohibited character, mixes directions, or is longer than
            `MAX_CHARACTERS` and not printable ASCII.
    """
    if text.isascii() and text.isprintable():
        return text
    _bound(text)
    # RFC 4013 2.1: non-ASCII spaces become SPACE, and some characters nothing
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in text if not stringprep.in_table_b1(c))
    prepared = ucd_3_2_0.normalize("NFKC", mapped)
    _check(prepared, _STORED if stored else _QUERY)
    return prepared


def trace(text: str) -> str:
    """Prepare *text* with the "trace" profile, which changes nothing (RFC 4505 section 3).

    Raises:
        GrammarError: as `saslprep`.
    """
    _bound(text)
    _check(text, _TRACE)
    return text


def _bound(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise GrammarError(f"longer than {MAX_CHARACTERS} characters")


def _check(text: str, prohibited: Iterable[_Table]) -> None:
    characters = set(text)
    if any(any(map(table, characters)) for table in prohibited):
        raise GrammarError("a prohibited character")
    # RFC 3454 6: a string with an RandALCat character holds no LCat one, and begins and ends with one
    if any(map(stringprep.in_table_d1, characters)) and not (
        stringprep.in_table_d1(text[0])
        and stringprep.in_table_d1(text[-1])
        and not any(map(stringprep.in_table_d2, characters))
    ):
        raise GrammarError("it mixes directions")
