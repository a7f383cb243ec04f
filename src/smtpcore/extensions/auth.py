"""AUTH (RFC 4954): the SASL profile of SMTP. The mechanisms are in `smtpcore.sasl`."""

import re
from typing import Literal

from .._address import Mailbox
from .._commands import SYNTAX
from .._errors import GrammarError
from .._grammar import MECHANISM, decode_xtext, encode_xtext, match_auth
from .._machine import Edge, Gate, Phase
from ._extension import Codec, Extension, Facts, Param, Verb, words

_hexchar = re.compile(r"\+[0-9A-Fa-f]{2}")
_match_mechanism = re.compile(MECHANISM).fullmatch


def parse_auth(argument: str) -> tuple[str, str | None]:
    """The mechanism, in upper case, and the initial response as sent.

    Raises:
        GrammarError: not of that form.
    """
    match = match_auth(argument)
    if match is None:
        raise GrammarError("not a mechanism and an initial response")
    return match[1].upper(), match[2]


def _decode(text: str) -> Mailbox | Literal["<>"]:
    # RFC 4954 8: "all alphabetic characters are case-insensitive", in hexchar too, other than in RFC 3461.
    decoded = decode_xtext(_hexchar.sub(lambda match: match[0].upper(), text))
    # RFC 4954 8: 'The decoded form of the xtext MUST be either a <mailbox> or the two characters "<>"'
    return "<>" if decoded == "<>" else Mailbox.parse(decoded)


def _encode(auth: Mailbox | Literal["<>"]) -> str:
    return encode_xtext(str(auth))


def _unavailable(facts: Facts) -> str | None:
    if facts.identity is not None:
        # RFC 4954 4: "After an AUTH command has been successfully completed, no more AUTH commands may be issued"
        return "already_authenticated"
    if facts.tls_before_auth:
        return "encryption_required"
    return None if facts.mechanisms else "not_implemented"


def _offer(facts: Facts) -> str | None:
    # Offered after a success, too, so that AUTH= of MAIL stays what it was.
    return None if facts.tls_before_auth else " ".join(facts.mechanisms) or None


def _hear(text: str) -> tuple[str, ...]:
    # RFC 4954 3 (3): "a space-separated list of the names of available SASL mechanisms"; RFC 4422 3.1: in upper
    # case. A word that cannot name one is passed over, so that the others are of use.
    return tuple(dict.fromkeys(word.upper() for word in words(text) if _match_mechanism(word)))


AUTH = Extension(
    "AUTH",
    rfc=4954,
    params=(Param("MAIL", "AUTH", "auth", Codec(_decode, _encode)),),
    verbs=(
        Verb(
            Edge((Phase.READY,), "AUTH", Phase.AUTH, ends_group=True, gates=(Gate.TLS,), note="334 rounds"),
            SYNTAX["AUTH"],
            parse_auth,
            _unavailable,
        ),
        Verb(Edge((Phase.AUTH,), "exchange", Phase.READY, Phase.READY, note="235, or 535"), ""),
    ),
    offer=_offer,
    hear=_hear,
)
