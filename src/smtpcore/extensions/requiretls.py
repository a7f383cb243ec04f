"""REQUIRETLS (RFC 8689): deliver over verified TLS or not at all. A promise that the application keeps."""

from .._reply import Reply
from ._extension import Extension, Facts, Param

# RFC 8689 registers X.7.30, "REQUIRETLS support required", with the code 550.
_UNMET = Reply(550, "REQUIRETLS support required", "5.7.30")


def _offer(facts: Facts) -> str | None:
    # RFC 8689 2: the parameter "MUST only be specified" where "the session itself" employs TLS.
    return None if facts.tls is None else ""


REQUIRETLS = Extension(
    "REQUIRETLS",
    rfc=8689,
    # RFC 8689: a message with REQUIRETLS is sent to no server that does not offer it.
    params=(Param("MAIL", "REQUIRETLS", "requiretls", unmet=lambda wanted: _UNMET),),
    offer=_offer,
)
