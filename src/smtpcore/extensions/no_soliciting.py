"""NO-SOLICITING (RFC 3865): what kinds of solicitation are not wanted here."""

import re
from typing import Final

from .._envelope import MailParams
from .._errors import GrammarError
from .._reply import LINE_OCTETS, Reply
from ._extension import Codec, Extension, Facts, Param

# RFC 3865 2.2: Solicitation-keywords = word 0*("," word), word = ALPHA 0*(wordchar),
#   wordchar = ("." / "-" / "_" / ":" / ALPHA / DIGIT)
_match = re.compile(r"[A-Za-z][A-Za-z0-9._:-]*+(?:,[A-Za-z][A-Za-z0-9._:-]*+)*+").fullmatch
_OFFER_OCTETS: Final = LINE_OCTETS - len("250-NO-SOLICITING \r\n")


def _decode(text: str) -> tuple[str, ...]:
    # RFC 3865 2.2: "length of this string is limited to <= 1000 characters"
    if len(text) > 1000 or _match(text) is None:
        raise GrammarError("not solicitation keywords")
    return tuple(text.split(","))


def _hear(text: str) -> tuple[str, ...]:
    # RFC 3865 2.2: Solicitation-keywords, here as behind SOLICIT=; a server may offer the keyword alone.
    return _decode(text) if text else ()


def no_soliciting(*keywords: str) -> Extension:
    """The extension for a server that refuses *keywords*; with none, the application decides alone.

    Raises:
        GrammarError: one is not a solicitation keyword, or together they do not fit a line of the
            reply to EHLO.
    """
    offered = ",".join(keywords)
    if keywords and (_decode(offered) != keywords or len(offered) > _OFFER_OCTETS):
        raise GrammarError(f"not solicitation keywords of {_OFFER_OCTETS} octets")

    def check(_facts: Facts, params: MailParams) -> Reply | None:
        unwanted = [keyword for keyword in keywords if keyword in params.solicit]
        if not unwanted:
            return None
        # RFC 3865 2.4: a refusal SHOULD include the parameter, with the "keyword(s) that matched"; it "will
        # usually be 5.7.1".
        return Reply(550, f"Solicitation is not permitted: SOLICIT={','.join(unwanted)}", "5.7.1")

    return Extension(
        "NO-SOLICITING",
        rfc=3865,
        params=(Param("MAIL", "SOLICIT", "solicit", Codec(_decode, ",".join)),),
        offer=lambda facts: offered,
        check_mail=check,
        hear=_hear,
    )
