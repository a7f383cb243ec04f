"""STARTTLS (RFC 3207)."""

from .._commands import SYNTAX
from .._machine import Edge, Phase
from ._extension import Extension, Facts, Verb


def _unavailable(facts: Facts) -> str | None:
    # RFC 3207 4.2: "A client MUST NOT attempt to start a TLS session if a TLS session is already active."
    return "tls_active" if facts.tls is not None else None


STARTTLS = Extension(
    "STARTTLS",
    rfc=3207,
    verbs=(
        Verb(
            Edge((Phase.HELLO, Phase.READY), "STARTTLS", Phase.TLS, ends_group=True, note="question StartTls"),
            SYNTAX["STARTTLS"],
            unavailable=_unavailable,
        ),
        Verb(Edge((Phase.TLS,), "handshake", Phase.HELLO, Phase.CLOSED, note="forgets all that was said before"), ""),
    ),
    # RFC 3207 4.2: "A server MUST NOT return the STARTTLS extension in response to an EHLO command received
    # after a TLS handshake has completed."
    offer=lambda facts: None if facts.tls is not None else "",
)
