"""PLAIN (RFC 4616): the name and the password in one message."""

from .._events import PasswordCheck, TlsInfo
from .._value import value
from ._mechanism import BadAnswer, Challenge, Exchange
from ._names import decode, identity, prepare_authzid, prepare_name, prepare_password


@value
class Plain:
    """The PLAIN mechanism. Asks `PasswordCheck`."""

    name = "PLAIN"
    initial = True

    def available(self, tls: TlsInfo | None) -> bool:
        """Everywhere: that AUTH waits for TLS is the engine's affair."""
        return True

    def start(self, tls: TlsInfo | None) -> Exchange:
        """Begin an exchange."""
        # RFC 4616 2: message = [authzid] UTF8NUL authcid UTF8NUL passwd
        parts = decode((yield Challenge(b""))).split("\0")
        if len(parts) != 3:
            raise BadAnswer("not authzid NUL authcid NUL passwd")
        username = prepare_name(parts[1])
        authzid = prepare_authzid(parts[0], username)
        password = prepare_password(parts[2])
        if password is None or not (yield PasswordCheck(self.name, username, password, authzid)):
            return None
        return identity(username, authzid)


PLAIN = Plain()
