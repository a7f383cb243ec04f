"""RRVS (RFC 7293): deliver only to who has owned the mailbox since a date. The application knows."""

import re
from typing import Final

from .._envelope import RequireRecipientValidSince
from .._errors import GrammarError
from .._reply import Reply
from ._datetime import decode_datetime
from ._extension import Codec, Extension, Param

# RFC 7293 3.1: rrvs-param = "RRVS=" date-time [ ";" ( "C" / "R" ) ]
_match = re.compile("([^;]++)(?:;([CcRr]))?+").fullmatch


def _decode(text: str) -> RequireRecipientValidSince:
    match = _match(text)
    # RFC 7293 3.1: 'a "time-secfrac" MUST NOT be used'
    if match is None or "." in match[1]:
        raise GrammarError("not an rrvs-param")
    # RFC 7293 3.1: 'Valid actions are "R" (reject; the default) and "C" (continue).'
    return RequireRecipientValidSince(decode_datetime(match[1]), "C" if match[2] in ("C", "c") else "R")


def _encode(rrvs: RequireRecipientValidSince) -> str:
    return f"{rrvs.since};{rrvs.action}"


def _unmet(rrvs: RequireRecipientValidSince) -> Reply | None:
    # The mailbox may have another owner now, and whoever asks for RRVS asks that he does not get the message. The
    # header field of the same name (RFC 7293 section 3.2) goes through servers without RRVS; it is for who writes it.
    return _REFUSED if rrvs.action == "R" else None


_REFUSED: Final = Reply(550, "The recipient needs RRVS, which the server does not offer", "5.3.3")

RRVS: Final = Extension("RRVS", rfc=7293, params=(Param("RCPT", "RRVS", "rrvs", Codec(_decode, _encode), _unmet),))
