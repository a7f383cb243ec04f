"""What XOAUTH2 and OAUTHBEARER share: the bearer token, and how it is refused."""

import json
import re
from collections.abc import Generator, Mapping
from typing import Final

from .._secret import Secret
from ._mechanism import Challenge

# RFC 6750 2.1: credentials = "Bearer" 1*SP b64token, b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" /
# "+" / "/" ) *"="; the scheme's case does not matter (RFC 9110 section 11.1)
_match_credentials: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] ++(?P<token>[A-Za-z0-9._~+/-]++=*+)").fullmatch


def bearer_token(credentials: str) -> Secret | None:
    """The token in the value of ``auth``; None where there is none that could be valid."""
    match = _match_credentials(credentials)
    return None if match is None else Secret(match["token"])


def refusal(error: Mapping[str, str]) -> Generator[Challenge, bytes, None]:
    """Tell the client why, before the exchange fails. Its answer says nothing, whatever it is."""
    stated = {name: text for name, text in error.items() if text}
    yield Challenge(json.dumps(stated, separators=(",", ":")).encode())
