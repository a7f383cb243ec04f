"""XOAUTH2: a name and a bearer token, in Google's form. OAUTHBEARER is its successor.

The form is in Google's "OAuth 2.0 Mechanism"; Microsoft has the same.
"""

import re
from typing import Final

from .._events import Identity, TlsInfo, TokenCheck
from .._value import settings
from ._bearer import bearer_token, refusal
from ._mechanism import BadAnswer, Challenge, Exchange
from ._names import decode, prepare_name

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
