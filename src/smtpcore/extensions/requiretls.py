"""REQUIRETLS (RFC 8689): deliver over verified TLS or not at all. A promise that the application keeps."""

from ._extension import Extension, Facts, Param


def _offer(facts: Facts) -> str | None:
    # RFC 8689 2: the parameter "MUST only be specified" where "the session itself" employs TLS.
    return None if facts.tls is None else ""


REQUIRETLS = Extension("REQUIRETLS", rfc=8689, params=(Param("MAIL", "REQUIRETLS", "requiretls"),), offer=_offer)
