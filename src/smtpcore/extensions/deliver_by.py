"""DELIVERBY (RFC 2852): deliver within some seconds, or return the message or tell of the delay."""

import re

from .._envelope import DeliverBy, MailParams
from .._errors import GrammarError
from .._grammar import decode_number
from .._reply import Reply
from ._extension import Codec, Extension, Facts, Param

MOST_SECONDS = 999_999_999

# RFC 2852 4: by-value = by-time ";" by-mode [by-trace], by-time = ["-" / "+"] 1*9DIGIT
_match = re.compile(r"([+-]?[0-9]{1,9}+);([NRnr])([Tt]?)").fullmatch

# RFC 2852 3: a by-time below the offered one "will be rejected with a permanent failure (55z) reply code";
# 4: "555 ... if the condition is permanent".
_TOO_SOON = Reply(555, "The delivery time is shorter than the minimum", "5.5.4")
_UNMET = Reply(550, "The message has a time of delivery, which the server does not observe", "5.3.3")


def _decode(text: str) -> DeliverBy:
    match = _match(text)
    if match is None:
        raise GrammarError("not a by-value")
    seconds = int(match[1])
    returns = match[2] in "Rr"
    # RFC 2852 4: 'In the case of a by-mode of "R", a zero or negative by-time is a syntax error.' With
    # "N" it is none: it tells how long ago the time was.
    if returns and seconds <= 0:
        raise GrammarError("a message cannot be returned before it came")
    return DeliverBy(seconds, "R" if returns else "N", bool(match[3]))


def _encode(by: DeliverBy) -> str:
    return f"{by.seconds};{by.mode}{'T' if by.trace else ''}"


def _unmet(by: DeliverBy) -> Reply | None:
    # RFC 2852: with mode R, a message is not relayed to a server that does not offer DELIVERBY, but returned; with
    # mode N it is relayed without the parameter.
    return _UNMET if by.mode == "R" else None


def _hear(text: str) -> int | None:
    # RFC 2852 2: min-by-time = [1*9DIGIT]; "if the parameter is omitted, no information is conveyed".
    return decode_number(text, 9) if text else None


def _refuse(least: int | None, params: MailParams) -> Reply | None:
    # RFC 2852 3: a by-time below the offered one "will be rejected"; with mode N there is none.
    if least is not None and params.by is not None and params.by.mode == "R" and params.by.seconds < least:
        return _TOO_SOON
    return None


def deliver_by(min_seconds: int = 0) -> Extension:
    """The extension for a server that takes mode R only with *min_seconds* or more.

    Raises:
        GrammarError: *min_seconds* is below zero or has more than nine digits.
    """
    # RFC 2852 2: min-by-time = [1*9DIGIT]; "if the parameter is omitted, no information is conveyed".
    if not 0 <= min_seconds <= MOST_SECONDS:
        raise GrammarError(f"not 0 to {MOST_SECONDS} seconds")

    def check(_facts: Facts, params: MailParams) -> Reply | None:
        return _refuse(min_seconds, params)

    return Extension(
        "DELIVERBY",
        rfc=2852,
        params=(Param("MAIL", "BY", "by", Codec(_decode, _encode), _unmet),),
        offer=lambda facts: str(min_seconds) if min_seconds else "",
        check_mail=check,
        hear=_hear,
        refuse=_refuse,
    )
