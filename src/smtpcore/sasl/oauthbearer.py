"""OAUTHBEARER (RFC 7628): a bearer token, with the name that it is for."""

import re
from typing import Final

from .._errors import LocalProtocolError
from .._events import Identity, TlsInfo, TokenCheck
from .._secret import Secret
from .._value import settings, value
from ._bearer import Refused, bearer_token, check_token, credentials, refusal, show
from ._mechanism import BadAnswer, Challenge, ClientExchange, Exchange, Strength
from ._names import SASLNAME, check_names, decode, escape, prepare_name, unescape

# RFC 7628 3.1: client-resp = (gs2-header kvsep *kvpair kvsep) / kvsep, kvpair = key "=" value kvsep,
#   kvsep = %x01, key = 1*(ALPHA), value = *(VCHAR / SP / HTAB / CR / LF)
# RFC 5801 4: gs2-header = gs2-cb-flag "," [gs2-authzid] ","; "p=" is not for this mechanism, which binds nothing
_match_answer: Final = re.compile(
    rf"[ny],(?:a=(?P<name>{SASLNAME}))?+,\x01(?P<pairs>(?:[A-Za-z]++=[\t\n\r -~]*+\x01)*+)\x01"
).fullmatch
# RFC 7628 3.1: the name of the host that the client connected to
_match_host: Final = re.compile("[!-~]{1,255}").fullmatch


@settings
class OAuthBearer:
    """The OAUTHBEARER mechanism. Asks `TokenCheck`.

    A client that does not say whose the token is, is refused.

    Args:
        scope: the OAuth scope that a client whose token was refused is told to ask for.
        openid_configuration: the URL of the OpenID provider's configuration, where it is told to ask.
    """

    name = "OAUTHBEARER"
    initial = True

    scope: str = ""
    openid_configuration: str = ""

    def available(self, tls: TlsInfo | None) -> bool:
        """Everywhere: that AUTH waits for TLS is the engine's affair."""
        return True

    def start(self, tls: TlsInfo | None) -> Exchange:
        """Begin an exchange."""
        answer = _match_answer(decode((yield Challenge(b""))))
        if answer is None:
            raise BadAnswer("not a GS2 header and key/value pairs")
        # RFC 7628 3.1: unknown keys are ignored; of two "auth" neither is to be believed
        auth = [pair[5:] for pair in answer["pairs"].split("\x01") if pair.startswith("auth=")]
        if len(auth) > 1:
            raise BadAnswer("more than one auth=")
        username = prepare_name(unescape(answer["name"])) if answer["name"] else None
        # RFC 7628 4.3: an empty "auth" asks what the server wants
        token = bearer_token(auth[0]) if auth else None
        if username is None or token is None or not (yield TokenCheck(self.name, username, token)):
            # RFC 7628 3.2.2, 3.2.3: the client answers the challenge with ^A, and then the exchange fails
            yield from refusal(
                {"status": "invalid_token", "scope": self.scope, "openid-configuration": self.openid_configuration}
            )
            return None
        return Identity(username)


OAUTHBEARER = OAuthBearer()


@value
class OAuthBearerClient:
    """OAUTHBEARER with a token.

    Args:
        username: whom the token is for.
        token: the access token.
        host: the name of the server, as the client looked it up.
        port: the port that it connected to.
        refused: is called where the server says why it refuses the token, with what it states, such as
            ``{"status": "invalid_token", "scope": "mail"}`` (RFC 7628 section 3.2.2).

    Raises:
        LocalProtocolError: no server could accept one of these.
    """

    name = "OAUTHBEARER"
    strength = Strength.REVEALED

    username: str
    token: Secret
    host: str | None = None
    port: int | None = None
    refused: Refused | None = None

    def __attrs_post_init__(self) -> None:
        check_names(self.username, None)
        check_token(self.token)
        if self.host is not None and _match_host(self.host) is None:
            raise LocalProtocolError("not the name of a host")
        if self.port is not None and not 0 < self.port < 1 << 16:
            raise LocalProtocolError("not a port")

    def available(self, tls: TlsInfo | None) -> bool:
        """Everywhere: that AUTH waits for TLS is the engine's affair."""
        return True

    def start(self, tls: TlsInfo | None) -> ClientExchange:
        """Begin an exchange."""
        stated = {"host": self.host, "port": self.port}
        pairs = "".join(f"{key}={value}\x01" for key, value in stated.items() if value is not None)
        header = f"n,a={escape(self.username)},"
        answer = Secret(f"{header}\x01{pairs}auth={credentials(self.token)}\x01\x01")
        # RFC 7628 3.2.3: the client sends a dummy response, %x01
        yield from show(answer, dummy=b"\x01", refused=self.refused)
