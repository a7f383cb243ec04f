"""SMTPUTF8 (RFC 6531): addresses, and headers, in UTF-8."""

from ._extension import Extension, Param

SMTPUTF8 = Extension(
    "SMTPUTF8",
    rfc=6531,
    # RFC 6531 3.1 (4): "The parameter does not accept a value."
    params=(Param("MAIL", "SMTPUTF8", "smtputf8"),),
    # RFC 6531 3.1 (8): "Servers offering this extension MUST provide support for, and announce, the 8BITMIME
    # extension".
    needs=("8BITMIME",),
)
