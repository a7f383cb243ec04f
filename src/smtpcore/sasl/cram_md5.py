"""CRAM-MD5 (RFC 2195): a challenge, keyed with the password.

The server must keep the password itself, and nothing binds the exchange to the server. SCRAM is better
in both; this is for clients that know no SCRAM.
"""

import hmac
import re
import secrets
from collections.abc import Callable
from typing import Final

from .._events import Identity, SecretWanted, TlsInfo
from .._secret import Secret
from .._value import settings, value
from ._mechanism import BadAnswer, BadChallenge, Challenge, ClientExchange, Exchange, Strength, challenged, last
from ._names import check_names, check_password, decode, prepare_name
from ._stored import StoredKey

# RFC 2195 2: the challenge has the form of a msg-id. A server that could have any octets at all keyed with the
# password might make use of that elsewhere.
_match_challenge: Final = re.compile(rb"<[ -;=?-~]++>").fullmatch
# RFC 2195 2: the digest is "sent in hexadecimal format, using lower-case ASCII characters"
_match_digest: Final = re.compile("[0-9a-f]{32}").fullmatch


def _nonce() -> str:
    return secrets.token_hex(16)


def _digest(password: Secret, challenge: bytes) -> str:
    return hmac.new(password.reveal(), challenge, "md5").hexdigest()


@settings
class CramMd5:
    """The CRAM-MD5 mechanism. Asks `SecretWanted`, and wants `StoredKey.password`.

    Args:
        host: what stands behind the ``@`` in the challenge; RFC 2195 wants the server's name.
        nonce: makes what stands before it, anew each time.
    """

    name = "CRAM-MD5"
    # RFC 4954 4: an initial response is for mechanisms in which the client speaks first
    initial = False

    host: str = "localhost"
    nonce: Callable[[], str] = _nonce

    def available(self, tls: TlsInfo | None) -> bool:
        """Everywhere."""
        return True

    def start(self, tls: TlsInfo | None) -> Exchange:
        """Begin an exchange."""
        challenge = f"<{self.nonce()}@{self.host}>".encode()
        # RFC 2195 2: the user name, a space, and the digest; there may be spaces in the name
        name, _, answer = decode((yield Challenge(challenge))).rpartition(" ")
        if _match_digest(answer) is None:
            raise BadAnswer("not a name and a digest")
        username = prepare_name(name)
        key: StoredKey | None = yield SecretWanted(self.name, username)
        password = None if key is None else key.password
        # An unknown name costs as much time as a known one.
        digest = _digest(Secret(b"") if password is None else password, challenge)
        if not hmac.compare_digest(digest, answer) or password is None:
            return None
        return Identity(username)


CRAM_MD5 = CramMd5()


@value
class CramMd5Client:
    """CRAM-MD5 with a password.

    Args:
        username: whose password it is.
        password: UTF-8, in the form in which the server keeps it.

    Raises:
        LocalProtocolError: no server could accept the name or the password.
    """

    name = "CRAM-MD5"
    strength = Strength.HASHED

    username: str
    password: Secret

    def __attrs_post_init__(self) -> None:
        check_names(self.username, None)
        check_password(self.password)

    def available(self, tls: TlsInfo | None) -> bool:
        """Everywhere."""
        return True

    def start(self, tls: TlsInfo | None) -> ClientExchange:
        """Begin an exchange."""
        challenge = challenged((yield None))
        if _match_challenge(challenge) is None:
            raise BadChallenge("not of the form of a msg-id")
        yield from last(Secret(f"{self.username} {_digest(self.password, challenge)}"))
