"""ETRN (RFC 1985): start delivering what waits for a host. The application does it."""

import re

from .._address import Domain
from .._errors import GrammarError
from .._machine import Edge, Gate, Phase
from ._extension import Extension, Verb

_match_queue = re.compile(r"#[A-Za-z0-9][A-Za-z0-9._-]*+").fullmatch


def _parse(argument: str) -> str:
    # RFC 1985 5: ETRN [option] node, option "@" for subdomains too or "#" for a queue by name. RFC 6531
    # extends MAIL, RCPT, VRFY and EXPN alone, so a domain is in A-labels here.
    if not argument.isascii():
        raise GrammarError("not ASCII")
    if _match_queue(argument) is None:
        Domain.parse(argument.removeprefix("@"))
    return argument


ETRN = Extension(
    "ETRN",
    rfc=1985,
    verbs=(
        Verb(
            Edge((Phase.READY,), "ETRN", junk=True, gates=(Gate.TLS, Gate.AUTH), note="question Extended"),
            "ETRN domain, @domain or #queue",
            _parse,
            ok="queueing_started",
        ),
    ),
)
