"""SIZE (RFC 1870): the server says how much it takes, the client how much it brings."""

from .._envelope import MailParams
from .._grammar import decode_number
from .._reply import Replies, Reply, fill
from ._extension import Extension, Facts, Param, decimal

_TOO_BIG = Replies().too_big


def _fits(facts: Facts, params: MailParams) -> str | None:
    # RFC 1870 6.1: 552 where the declared size is larger than the server's fixed maximum.
    return "message_octets" if params.size is not None and params.size > facts.limits.message_octets else None


def _hear(text: str) -> int | None:
    # RFC 1870 3: size-param ::= [1*20DIGIT]. "A parameter value of 0 (zero) indicates that no fixed maximum
    # message size is in force. If the parameter is omitted no information is conveyed".
    return decode_number(text, 20) or None if text else None


def _refuse(most: int | None, params: MailParams) -> Reply | None:
    # RFC 1870 7: compare the size "with the server's fixed maximum message size ... to determine whether the
    # server will ever accept the message".
    if most is not None and params.size is not None and params.size > most:
        return fill(_TOO_BIG, limit=str(most))
    return None


SIZE = Extension(
    "SIZE",
    rfc=1870,
    # RFC 1870 3: size-value ::= 1*20DIGIT
    params=(Param("MAIL", "SIZE", "size", decimal(20)),),
    offer=lambda facts: str(facts.limits.message_octets),
    check_mail=_fits,
    hear=_hear,
    refuse=_refuse,
)
