"""BINARYMIME (RFC 3030 section 3): bodies of any octets, by BDAT alone."""

from .._envelope import Body
from ._extension import Extension, Param, choice, unmet_body

BINARYMIME = Extension(
    "BINARYMIME",
    rfc=3030,
    # RFC 3030 3: body-value ::= "7BIT" / "8BITMIME" / "BINARYMIME"
    params=(Param("MAIL", "BODY", "body", choice(Body), unmet_body),),
    # RFC 3030 3: "can only be used with the "CHUNKING" service extension"; it adds to what 8BITMIME defines.
    needs=("CHUNKING", "8BITMIME"),
)
