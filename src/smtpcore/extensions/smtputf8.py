"""SMTPUTF8 (RFC 6531): addresses, and headers, in UTF-8."""

from .._reply import Reply
from ._extension import Extension, Param

_UNMET = Reply(550, "The message needs SMTPUTF8, which the server does not offer", "5.6.7")

SMTPUTF8 = Extension(
    "SMTPUTF8",
    rfc=6531,
    # RFC 6531 3.1 (4): "The parameter does not accept a value."
    # RFC 6531 3.2: where it is not offered, the client "MUST NOT transmit an internationalized email address and
    # MUST NOT transmit a mail message containing internationalized mail headers".
    params=(Param("MAIL", "SMTPUTF8", "smtputf8", unmet=lambda wanted: _UNMET),),
    # RFC 6531 3.1 (8): "Servers offering this extension MUST provide support for, and announce, the 8BITMIME
    # extension".
    needs=("8BITMIME",),
    # RFC 6531 3.1 (3): the client "MUST ignore any parameters if they appear for this keyword".
    hear=lambda text: "",
)
