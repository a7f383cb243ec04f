"""LIMITS (RFC 9422): the server says what it enforces."""

import re
from collections.abc import Mapping

from ._extension import Extension, Facts, words

# RFC 9422 3: limit-name-value = limit-name ["=" limit-value]; 4: %x31-39 0*5DIGIT ; "0" not allowed, six-digit
#   maximum, is the value of each limit that there is so far.
_match = re.compile("([A-Za-z0-9_-]++)=([1-9][0-9]{0,5}+)").fullmatch


def _offer(facts: Facts) -> str | None:
    # RFC 9422 4.1 and 4.2: MAILMAX "the maximum number of transactions ... in a single session", RCPTMAX "of RCPT
    # TO commands the server will accept in a single transaction". RCPTDOMAINMAX is no limit of this engine.
    numbers = {"RCPTMAX": facts.limits.recipients, "MAILMAX": facts.limits.transactions}
    # RFC 9422 4.1: %x31-39 0*5DIGIT ; "0" not allowed, six-digit maximum
    words = [f"{name}={number}" for name, number in numbers.items() if number is not None and number <= 999_999]
    # RFC 9422 3: limits-param = limit-name-value 0*[SP limit-name-value], so there is no LIMITS without one.
    return " ".join(words) or None


def _hear(text: str) -> Mapping[str, int]:
    limits: dict[str, int] = {}
    for word in words(text):
        # What cannot be read among the limits says nothing; the rest holds. Of two by one name, the first.
        if (match := _match(word)) is not None:
            limits.setdefault(match[1].upper(), int(match[2]))
    return limits


LIMITS = Extension("LIMITS", rfc=9422, offer=_offer, hear=_hear)
