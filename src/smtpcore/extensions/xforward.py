"""XFORWARD (Postfix): a trusted front end says, for the log, where a message came from."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from .._events import Peer
from .._machine import Edge, Phase
from ._attributes import attributes, encoder, hear_names, is_port, is_word
from ._extension import Extension, Facts, Verb

# XFORWARD_README: attribute-name = ( NAME | ADDR | PORT | PROTO | HELO | IDENT | SOURCE ); names and addresses
# need be none of the DNS nor of IP, for mail may have come by another protocol.
_FORMS: Final[Mapping[str, Callable[[str], object]]] = {
    "NAME": is_word,
    "ADDR": is_word,
    "PORT": is_port,
    "PROTO": re.compile("[!-~]{1,64}+").fullmatch,
    "HELO": is_word,
    "IDENT": is_word,
    "SOURCE": re.compile("(?:LOCAL|REMOTE)", re.IGNORECASE).fullmatch,
}


_parse = attributes(_FORMS)
encode_xforward: Final = encoder(_parse)
"""The argument of an XFORWARD that gives these attributes; None stands for a value that is not known.

Raises:
    GrammarError: an attribute has no such name, or a value is not of its form; or there is none.
"""


def xforward(trusted: Callable[[Peer], bool]) -> Extension:
    """The extension, for the peers that *trusted* names; to others it does not exist."""

    def offer(facts: Facts) -> str | None:
        return " ".join(_FORMS) if trusted(facts.peer) else None

    def unavailable(facts: Facts) -> str | None:
        return None if trusted(facts.peer) else "not_implemented"

    return Extension(
        "XFORWARD",
        rfc=0,
        verbs=(
            Verb(
                Edge((Phase.READY,), "XFORWARD", note="question Extended"),
                "XFORWARD name=value [...]",
                _parse,
                unavailable,
            ),
        ),
        offer=offer,
        hear=hear_names,
    )
