"""LOGIN: the name and the password, each prompted for.

No RFC specifies it (draft-murchison-sasl-login is the nearest), but many clients know nothing else.
"""

from .._events import Identity, PasswordCheck, TlsInfo
from .._value import value
from ._mechanism import Challenge, Exchange
from ._names import decode, prepare_name, prepare_password


@value
class Login:
    """The LOGIN mechanism. Asks `PasswordCheck`. An initial response is the name, as clients have it."""

    name = "LOGIN"
    initial = True

    def available(self, tls: TlsInfo | None) -> bool:
        """Everywhere: that AUTH waits for TLS is the engine's affair."""
        return True

    def start(self, tls: TlsInfo | None) -> Exchange:
        """Begin an exchange."""
        username = prepare_name(decode((yield Challenge(b"Username:"))))
        password = prepare_password(decode((yield Challenge(b"Password:"))))
        if password is None or not (yield PasswordCheck(self.name, username, password)):
            return None
        return Identity(username)


LOGIN = Login()
