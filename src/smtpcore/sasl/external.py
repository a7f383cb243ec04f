"""EXTERNAL (RFC 4422 appendix A): the client is whom its TLS certificate names."""

from .._events import TlsInfo, TokenCheck
from .._secret import Secret
from .._value import value
from ._mechanism import Challenge, ClientExchange, Exchange, Strength, last
from ._names import client_name, decode, identity, prepare_authzid


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


@value
class ExternalClient:
    """EXTERNAL: the TLS layer has shown the certificate.

    Args:
        authzid: whom to act as, if that is another than the one whom the certificate names.

    Raises:
        LocalProtocolError: no server could accept *authzid*.
    """

    name = "EXTERNAL"
    strength = Strength.BOUND

    authzid: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.authzid is not None:
            client_name(self.authzid)

    def available(self, tls: TlsInfo | None) -> bool:
        """Within TLS. Only the server knows whether it was shown a certificate."""
        return tls is not None

    def start(self, tls: TlsInfo | None) -> ClientExchange:
        """Begin an exchange."""
        yield from last(Secret(self.authzid or ""))
