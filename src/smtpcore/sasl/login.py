"""LOGIN: the name and the password, each prompted for.

No RFC specifies it (draft-murchison-sasl-login is the nearest), but many clients know nothing else.
"""

from .._events import Identity, PasswordCheck, TlsInfo
from .._secret import Secret
from .._value import value
from ._mechanism import Challenge, ClientExchange, Exchange, Strength, challenged, last
from ._names import check_names, check_password, decode, prepare_name, prepare_password


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


@value
class LoginClient:
    """LOGIN with a password. It answers two prompts, whatever they say.

    Args:
        username: whose password it is.
        password: UTF-8.

    Raises:
        LocalProtocolError: no server could accept the name or the password.
    """

    name = "LOGIN"
    strength = Strength.REVEALED

    username: str
    password: Secret

    def __attrs_post_init__(self) -> None:
        check_names(self.username, None)
        check_password(self.password)

    def available(self, tls: TlsInfo | None) -> bool:
        """Everywhere: that AUTH waits for TLS is the engine's affair."""
        return True

    def start(self, tls: TlsInfo | None) -> ClientExchange:
        """Begin an exchange."""
        # The name may be an initial response, but not every server takes one.
        challenged((yield None))
        challenged((yield self.username.encode()))
        yield from last(self.password)
