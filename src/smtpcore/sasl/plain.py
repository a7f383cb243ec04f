"""PLAIN (RFC 4616): the name and the password in one message."""

from .._events import PasswordCheck, TlsInfo
from .._secret import Secret
from .._value import value
from ._mechanism import BadAnswer, Challenge, ClientExchange, Exchange, Strength, last
from ._names import check_names, check_password, decode, identity, prepare_authzid, prepare_name, prepare_password


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
        # RFC 4616 2: message = [authzid] UTF8NUL authcid UTF8NUL passwd, in none of which is NUL
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


@value
class PlainClient:
    """PLAIN with a password.

    Args:
        username: whose password it is.
        password: UTF-8.
        authzid: whom to act as, if that is another.

    Raises:
        LocalProtocolError: no server could accept a name or the password.
    """

    name = "PLAIN"
    strength = Strength.REVEALED

    username: str
    password: Secret
    authzid: str | None = None

    def __attrs_post_init__(self) -> None:
        check_names(self.username, self.authzid)
        check_password(self.password)

    def available(self, tls: TlsInfo | None) -> bool:
        """Everywhere: that AUTH waits for TLS is the engine's affair."""
        return True

    def start(self, tls: TlsInfo | None) -> ClientExchange:
        """Begin an exchange."""
        names = f"{self.authzid or ''}\0{self.username}\0"
        yield from last(Secret(names.encode() + self.password.reveal()))
