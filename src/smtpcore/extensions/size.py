"""SIZE (RFC 1870): the server says how much it takes, the client how much it brings."""

from .._envelope import MailParams
from .._reply import Reply, fill
from ._extension import Extension, Facts, Param, decimal


def _fits(facts: Facts, params: MailParams) -> Reply | None:
    # RFC 1870 6.1: 552 where the declared size is larger than the server's fixed maximum.
    if params.size is not None and params.size > facts.limits.message_octets:
        return fill(facts.replies.too_big, limit=str(facts.limits.message_octets))
    return None


SIZE = Extension(
    "SIZE",
    rfc=1870,
    # RFC 1870 3: size-value ::= 1*20DIGIT
    params=(Param("MAIL", "SIZE", "size", decimal(20)),),
    offer=lambda facts: str(facts.limits.message_octets),
    check_mail=_fits,
)
