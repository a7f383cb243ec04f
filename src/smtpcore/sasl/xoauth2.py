"""XOAUTH2: a name and a bearer token, in Google's form. OAUTHBEARER is its successor.

The form is in Google's "OAuth 2.0 Mechanism"; Microsoft has the same.
"""

import re
from typing import Final

from .._events import Identity, TlsInfo, TokenCheck
from .._secret import Secret
from .._value import settings, value
from ._bearer import Refused, bearer_token, check_token, credentials, refusal, show
from ._mechanism import BadAnswer, Challenge, ClientExchange, Exchange, Strength
from ._names import check_names, decode, prepare_name

# base64("user=" {User} "^Aauth=Bearer " {Access Token} "^A^A")
_match_answer: Final = re.compile(r"user=(?P<name>[^\x01]++)\x01auth=(?P<auth>[^\x01]*+)\x01\x01").fullmatch


@settings
class XOAuth2:
    """The XOAUTH2 mechanism. Asks `TokenCheck`.

    Args:
        scope: the OAuth scope that a client whose token was refused is told to ask for.
    """

    name = "XOAUTH2"
    initial = True

    scope: str = ""

    def available(self, tls: TlsInfo | None) -> bool:
        """Everywhere: that AUTH waits for TLS is the engine's affair."""
        return True

    def start(self, tls: TlsInfo | None) -> Exchange:
        """Begin an exchange."""
        answer = _match_answer(decode((yield Challenge(b""))))
        if answer is None:
            raise BadAnswer("not user= ^A auth= ^A^A")
        username = prepare_name(answer["name"])
        token = bearer_token(answer["auth"])
        if token is None or not (yield TokenCheck(self.name, username, token)):
            yield from refusal({"status": "401", "schemes": "bearer", "scope": self.scope})
            return None
        return Identity(username)


XOAUTH2 = XOAuth2()


@value
class XOAuth2Client:
    """XOAUTH2 with a token.

    Args:
        username: whom the token is for.
        token: the access token.
        refused: is called where the server says why it refuses the token, with what it states, such as
            ``{"status": "401", "schemes": "bearer"}``.

    Raises:
        LocalProtocolError: no server could accept the name or the token.
    """

    name = "XOAUTH2"
    strength = Strength.REVEALED

    username: str
    token: Secret
    refused: Refused | None = None

    def __attrs_post_init__(self) -> None:
        check_names(self.username, None)
        check_token(self.token)

    def available(self, tls: TlsInfo | None) -> bool:
        """Everywhere: that AUTH waits for TLS is the engine's affair."""
        return True

    def start(self, tls: TlsInfo | None) -> ClientExchange:
        """Begin an exchange."""
        answer = Secret(f"user={self.username}\x01auth={credentials(self.token)}\x01\x01")
        yield from show(answer, dummy=b"", refused=self.refused)
