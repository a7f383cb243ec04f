"""DSN (RFC 3461): what notifications the sender wants; with the UTF-8 forms of RFC 6533."""

import re
from typing import Final

from .._envelope import Notify, OriginalRecipient, Ret
from .._errors import GrammarError
from .._grammar import decode_xtext, encode_xtext, unfit
from ._extension import Codec, Extension, Param, choice, xtext

ENVID_OCTETS: Final = 100
"""RFC 3461 section 4.4: "The ENVID parameter MAY be up to 100 characters in length"; here its value, as xtext."""
ORCPT_OCTETS: Final = 500
"""RFC 3461 section 4.2: "The entire ORCPT parameter MAY be up to 500 characters in length"; here its value."""

# RFC 3461 4.2: addr-type = atom
_match_type = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++").fullmatch
# RFC 6533 3: HEXPOINT = what QCHAR cannot stand for (SP, "+", "=", "\" and controls) and all beyond ASCII but the
#   surrogates, in upper case and without leading zeros. The controls are left out: nothing may print them.
_HEXPOINT = (
    "20|2B|3D|5C|[89A-F][0-9A-F]|[1-9A-F][0-9A-F]{2}|[1-9A-CEF][0-9A-F]{3}|D[0-7][0-9A-F]{2}"
    "|[1-9A-F][0-9A-F]{4}|10[0-9A-F]{4}"
)
# RFC 6533 3: utf-8-addr-xtext = 1*(QCHAR / EmbeddedUnicodeChar), utf-8-addr-unitext adds UTF-8 itself;
#   QCHAR = %x21-2a / %x2c-3c / %x3e-5b / %x5d-7e, EmbeddedUnicodeChar = "\x{" HEXPOINT "}"
_match_utf8_address = re.compile(
    rf"(?:[!-*,-<>-\[\]-~\x80-\ud7ff\ue000-\U0010ffff]++|\\x\{{(?:{_HEXPOINT})\}})++"
).fullmatch
_embedded = re.compile(r"\\x\{([0-9A-F]+)\}")
_to_embed = re.compile(r"[^!-*,-<>-\[\]-~]")


_notify = choice(Notify)


def _decode_notify(text: str) -> frozenset[Notify]:
    values = [_notify.decode(word) for word in text.split(",")]
    # RFC 3461 4.1: notify-esmtp-value = "NEVER" / 1#notify-list-element; "the NEVER keyword MUST appear by itself".
    # Nothing forbids to say one of the others twice.
    if Notify.NEVER in values and len(values) > 1:
        raise GrammarError("NEVER stands alone")
    return frozenset(values)


def _encode_notify(notify: frozenset[Notify]) -> str:
    return ",".join(each.value for each in Notify if each in notify)


def _decode_orcpt(text: str) -> OriginalRecipient:
    address_type, separator, address = text.partition(";")
    # RFC 3461 4.2: original-recipient-address = addr-type ";" xtext, and xtext may be empty
    if not separator or _match_type(address_type) is None:
        raise GrammarError("not an original recipient")
    if address_type.lower() != "utf-8":
        decoded = decode_xtext(address)
    elif _match_utf8_address(address) is not None:
        decoded = _embedded.sub(lambda match: chr(int(match[1], 16)), address)
    else:
        raise GrammarError("not a UTF-8 address")
    if len(text.encode()) > ORCPT_OCTETS or unfit(decoded) is not None:
        raise GrammarError("too long, or a character that no address may hold")
    return OriginalRecipient(address_type, decoded)


def _encode_orcpt(orcpt: OriginalRecipient) -> str:
    if orcpt.address_type.lower() == "utf-8":
        address = _to_embed.sub(lambda match: f"\\x{{{ord(match[0]):02X}}}", orcpt.address)
    else:
        address = encode_xtext(orcpt.address)
    return f"{orcpt.address_type};{address}"


DSN = Extension(
    "DSN",
    rfc=3461,
    params=(
        Param("MAIL", "RET", "ret", choice(Ret)),
        Param("MAIL", "ENVID", "envid", xtext(ENVID_OCTETS)),
        Param("RCPT", "NOTIFY", "notify", Codec(_decode_notify, _encode_notify)),
        Param("RCPT", "ORCPT", "orcpt", Codec(_decode_orcpt, _encode_orcpt)),
    ),
)
