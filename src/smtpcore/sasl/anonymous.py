"""ANONYMOUS (RFC 4505): a client without a name, which may leave a trace of itself."""

from typing import Final

from .._errors import GrammarError
from .._events import Identity, TlsInfo, TokenCheck
from .._secret import Secret
from .._value import settings
from ._mechanism import BadAnswer, Challenge, Exchange
from ._names import decode
from ._saslprep import trace

# RFC 4505 2: message = [ email / token ], token = 1*255TCHAR. An email of more than 254 characters is no
# path of SMTP either (RFC 5321 section 4.5.3.1.3), so one bound does for both.
MAX_TRACE: Final = 255


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
        if len(answer) > MAX_TRACE:
            raise BadAnswer("a longer trace than 255 characters")
        try:
            who = trace(answer)
        except GrammarError as error:
            raise BadAnswer(f"a trace: {error}") from None
        return Identity(self.username) if (yield TokenCheck(self.name, who, Secret(b""))) else None


ANONYMOUS = Anonymous()
