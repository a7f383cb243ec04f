"""RFC 3339 date-times, as FUTURERELEASE and RRVS carry them: checked and kept as text."""

import datetime as dt
import re

from .._errors import GrammarError

# RFC 3339 5.6: date-time = full-date "T" full-time, time-numoffset = ("+" / "-") time-hour ":" time-minute;
#   "T" and "Z" may be in lower case. Its time-secfrac is unbounded; nine digits are nanoseconds.
_HOUR = "(?:[01][0-9]|2[0-3])"
_MINUTE = "[0-5][0-9]"
_match = re.compile(
    rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt]{_HOUR}:{_MINUTE}:{_MINUTE}(?:\.[0-9]{{1,9}})?+"
    rf"(?:[Zz]|[+-]{_HOUR}:{_MINUTE})"
).fullmatch


def parse_datetime(text: str) -> dt.datetime:
    """The moment that *text* names, down to the microsecond.

    Raises:
        GrammarError: not a date-time that exists. (A leap second, too: Python's clock has none.)
    """
    if _match(text) is None:
        raise GrammarError("not a date-time")
    try:
        return dt.datetime.fromisoformat(text.upper())
    except ValueError:
        raise GrammarError("a date-time that does not exist") from None


def decode_datetime(text: str) -> str:
    """*text* itself, if it is a date-time that exists (RFC 3339 section 5.6).

    Raises:
        GrammarError: it is not.
    """
    parse_datetime(text)
    return text
