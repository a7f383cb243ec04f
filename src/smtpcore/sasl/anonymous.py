"""ANONYMOUS (RFC 4505): a client without a name, which may leave a trace of itself."""

from typing import Final

from .._errors import GrammarError, LocalProtocolError
from .._events import Identity, TlsInfo, TokenCheck
from .._secret import Secret
from .._value import settings, value
from ._mechanism import BadAnswer, Challenge, ClientExchange, Exchange, Strength, last
from ._names import decode
from ._saslprep import trace

# RFC 4505 2: message = [ email / token ], token = 1*255TCHAR. An email of more than 254 characters is no
# path of SMTP either (RFC 5321 section 4.5.3.1.3), so one bound does for both.
MAX_TRACE: Final = 255


def _check(text: str) -> str:
    if len(text) > MAX_TRACE:
        raise GrammarError(f"longer than {MAX_TRACE} characters")
    return trace(text)


@settings
class Anonymous:
    """The ANONYMOUS mechanism. Asks `TokenCheck` with the trace as name, which may be empty.

    Args:
        username: whom a client becomes that is let in. Never its trace, in which it may say anything.
    """

    name = "ANONYMOUS"
    initial = True

    username: str = "anonymous"

    def available(self, tls: TlsInfo | None) -> bool:
        """Everywhere."""
        return True

    def start(self, tls: TlsInfo | None) -> Exchange:
        """Begin an exchange."""
        answer = decode((yield Challenge(b"")))
        try:
            who = _check(answer)
        except GrammarError as error:
            raise BadAnswer(f"a trace: {error}") from None
        return Identity(self.username) if (yield TokenCheck(self.name, who, Secret(b""))) else None


ANONYMOUS = Anonymous()


@value
class AnonymousClient:
    """ANONYMOUS.

    Args:
        trace: what to leave of oneself: an email address, or a text without ``@``, or nothing.

    Raises:
        LocalProtocolError: no server could accept it.
    """

    name = "ANONYMOUS"
    strength = Strength.ANONYMOUS

    trace: str = ""

    def __attrs_post_init__(self) -> None:
        try:
            _check(self.trace)
        except GrammarError as error:
            raise LocalProtocolError(f"a trace: {error}") from None

    def available(self, tls: TlsInfo | None) -> bool:
        """Everywhere."""
        return True

    def start(self, tls: TlsInfo | None) -> ClientExchange:
        """Begin an exchange."""
        yield from last(Secret(self.trace))
