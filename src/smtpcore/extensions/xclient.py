"""XCLIENT (Postfix): a trusted front end says which client it speaks for."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final

from .._events import Peer
from .._machine import Edge, Phase
from ._attributes import attributes, encoder, hear_names, is_port, is_word
from ._extension import Extension, Facts, Verb


def _is_address(text: str) -> bool:
    # XCLIENT_README: "a numerical IPv4 network address, an IPv6 address prefixed with IPV6:"
    try:
        if text[:5].upper() == "IPV6:":
            return "%" not in text and ipaddress.IPv6Address(text[5:]) is not None
        return ipaddress.IPv4Address(text) is not None
    except ValueError:
        return False


# XCLIENT_README: attribute-name = ( NAME | ADDR | PORT | PROTO | HELO | LOGIN | DESTADDR | DESTPORT )
_FORMS: Final[Mapping[str, Callable[[str], object]]] = {
    "NAME": is_word,
    "ADDR": _is_address,
    "PORT": is_port,
    "PROTO": re.compile("(?:SMTP|ESMTP)", re.IGNORECASE).fullmatch,
    "HELO": is_word,
    "LOGIN": re.compile(r"[ -~]{1,255}+").fullmatch,
    "DESTADDR": _is_address,
    "DESTPORT": is_port,
}


_parse = attributes(_FORMS)
encode_xclient: Final = encoder(_parse)
"""The argument of an XCLIENT that gives these attributes; None stands for a value that is not known.

Raises:
    GrammarError: an attribute has no such name, or a value is not of its form; or there is none.
"""


def xclient(trusted: Callable[[Peer], bool]) -> Extension:
    """The extension, for the peers that *trusted* names; to others it does not exist."""

    def offer(facts: Facts) -> str | None:
        return " ".join(_FORMS) if trusted(facts.peer) else None

    def unavailable(facts: Facts) -> str | None:
        return None if trusted(facts.peer) else "not_implemented"

    return Extension(
        "XCLIENT",
        rfc=0,
        verbs=(
            Verb(
                Edge((Phase.HELLO, Phase.READY), "XCLIENT", Phase.HELLO, ends_group=True, note="question XClient"),
                "XCLIENT name=value [...]",
                _parse,
                unavailable,
                ok="greeting",
            ),
        ),
        offer=offer,
        hear=hear_names,
    )
