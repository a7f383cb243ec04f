"""CHUNKING (RFC 3030): BDAT, messages in counted chunks without dots."""

from .._commands import SYNTAX, parse_bdat
from .._machine import Edge, Gate, Phase
from ._extension import Extension, Verb

CHUNKING = Extension(
    "CHUNKING",
    rfc=3030,
    verbs=(
        Verb(
            Edge(
                (Phase.RCPT, Phase.BDAT),
                "BDAT",
                Phase.CHUNK,
                Phase.READY,
                gates=(Gate.TLS,),
                note="the first asks question BodyBegin; no: its octets are consumed before the reply",
            ),
            SYNTAX["BDAT"],
            parse_bdat,
        ),
        Verb(Edge((Phase.CHUNK,), "octets", Phase.BDAT, Phase.READY, note="no: a message refused on the way"), ""),
        Verb(Edge((Phase.CHUNK,), "octets of LAST", Phase.EOM, Phase.READY, note="as for octets"), ""),
    ),
)
