"""What XOAUTH2 and OAUTHBEARER share: the bearer token, and how it is refused."""

import json
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from typing import Final

from .._errors import LocalProtocolError
from .._secret import Secret
from ._mechanism import MAX_SECRET_OCTETS, BadChallenge, Challenge, ClientExchange

# RFC 6750 2.1: credentials = "Bearer" 1*SP b64token, b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" /
# "+" / "/" ) *"="; the scheme's case does not matter (RFC 9110 section 11.1)
_TOKEN: Final = "[A-Za-z0-9._~+/-]++=*+"
_match_token: Final = re.compile(_TOKEN.encode()).fullmatch
_match_credentials: Final = re.compile(rf"[Bb][Ee][Aa][Rr][Ee][Rr] ++(?P<token>{_TOKEN})").fullmatch

Refused = Callable[[Mapping[str, str]], object]


def bearer_token(credentials: str) -> Secret | None:
    """The token in the value of ``auth``; None where there is none that could be valid."""
    match = _match_credentials(credentials)
    return None if match is None else Secret(match["token"])


def refusal(error: Mapping[str, str]) -> Generator[Challenge, bytes, None]:
    """Tell the client why, before the exchange fails. Its answer says nothing, whatever it is."""
    stated = {name: text for name, text in error.items() if text}
    yield Challenge(json.dumps(stated, separators=(",", ":")).encode())


def read_refusal(challenge: bytes) -> dict[str, str]:
    """Why the server refuses the token: what it states as printable text, and nothing where it states none."""
    with suppress(ValueError, RecursionError):
        stated = json.loads(challenge.decode())
        if isinstance(stated, dict):
            return {name: text for name, text in stated.items() if isinstance(text, str) and text.isprintable()}
    return {}


def check_token(token: Secret) -> None:
    """See that *token* can be sent.

    Raises:
        LocalProtocolError: it is no b64token (RFC 6750 section 2.1), or too long.
    """
    if len(token.reveal()) > MAX_SECRET_OCTETS:
        raise LocalProtocolError(f"a token of more than {MAX_SECRET_OCTETS} octets")
    if _match_token(token.reveal()) is None:
        raise LocalProtocolError("not a bearer token")


def credentials(token: Secret) -> str:
    """The value of ``auth`` for *token*."""
    return f"Bearer {token.text()}"


def show(answer: Secret, *, dummy: bytes, refused: Refused | None) -> ClientExchange:
    """Show the token, and hear why it is refused if it is.

    Args:
        answer: the message that holds the token.
        dummy: what to say to a refusal, for the server to fail the exchange after it.
        refused: is told why.
    """
    challenge = yield answer.reveal()
    if challenge is None:
        return
    if refused is not None:
        refused(read_refusal(challenge))
    yield dummy
    raise BadChallenge("the token was refused, and then it was not")
