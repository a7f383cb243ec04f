"""EXTERNAL (RFC 4422 appendix A): the client is whom its TLS certificate names."""

from .._events import TlsInfo, TokenCheck
from .._secret import Secret
from .._value import value
from ._mechanism import Challenge, Exchange
from ._names import decode, identity, prepare_authzid


@value
class External:
    """The EXTERNAL mechanism. Asks `TokenCheck` with the name in the certificate and no token."""

    name = "EXTERNAL"
    initial = True

    def available(self, tls: TlsInfo | None) -> bool:
        """Where the client has shown a certificate that was verified."""
        return tls is not None and bool(tls.client_subject)

    def start(self, tls: TlsInfo | None) -> Exchange:
        """Begin an exchange."""
        # RFC 4422 A.1: initial-response = *( UTF8-char-no-nul ), the authorization identity, may be empty
        answer = decode((yield Challenge(b"")))
        subject = None if tls is None else tls.client_subject
        if not subject:
            return None
        authzid = prepare_authzid(answer, subject)
        if not (yield TokenCheck(self.name, subject, Secret(b""), authzid)):
            return None
        return identity(subject, authzid)


EXTERNAL = External()
