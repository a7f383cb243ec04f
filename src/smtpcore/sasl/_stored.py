"""What a server keeps of a password, and how it is made of one (RFC 5802 section 3)."""

import hashlib
import hmac
from contextlib import suppress
from typing import Final, final

from .._secret import Secret
from .._value import value
from ._names import prepare_password
from ._saslprep import saslprep

# A key does not say what its hash was, but is as long as that.
_HASHES: Final = {hashlib.new(name).digest_size: name for name in ("sha1", "sha256", "sha384", "sha512")}


@final
@value
class StoredKey:
    """What a server keeps of a password.

    For SCRAM: salt, iterations, StoredKey and ServerKey (RFC 5802 section 3). For a mechanism that
    needs the password itself, such as CRAM-MD5, ``password`` is set.
    """

    salt: bytes = b""
    iterations: int = 0
    stored_key: Secret = Secret(b"")
    server_key: Secret = Secret(b"")
    password: Secret | None = None

    def verify(self, password: Secret) -> bool:
        """Whether *password* is the one of which this is kept, as PLAIN or LOGIN shows it.

        This takes as long as the iterations do, so let a thread do it. For a name that is unknown ask a key of
        as many iterations that is nobody's, or the time tells who is known. Where the password itself is kept, it
        is compared in constant time, and nothing is hashed. A key of no password, or of another hash than SHA-1
        and SHA-2, is nobody's.
        """
        shown = _prepared(password)
        if shown is None:
            return False
        if self.password is not None:
            return shown == _prepared(self.password)
        hash_name = _HASHES.get(len(self.stored_key.reveal()))
        if hash_name is None or self.iterations < 1:
            return False
        salted = salted_password(shown.reveal(), self.salt, self.iterations, hash_name)
        return stored(client_key(salted, hash_name), hash_name) == self.stored_key


def _prepared(password: Secret) -> Secret | None:
    with suppress(UnicodeDecodeError):
        return prepare_password(password.text())
    return None


def salted_password(prepared: bytes, salt: bytes, iterations: int, hash_name: str) -> bytes:
    """SaltedPassword."""
    return hashlib.pbkdf2_hmac(hash_name, prepared, salt, iterations)


def client_key(salted: bytes, hash_name: str) -> Secret:
    """ClientKey."""
    return Secret(hmac.digest(salted, b"Client Key", hash_name))


def stored(key: Secret, hash_name: str) -> Secret:
    """StoredKey, of ClientKey."""
    return Secret(hashlib.new(hash_name, key.reveal()).digest())


def keys(password: Secret, salt: bytes, iterations: int, hash_name: str) -> tuple[Secret, Secret]:
    """ClientKey and ServerKey.

    Raises:
        GrammarError: *password* cannot be prepared as a stored string (RFC 4013).
        UnicodeDecodeError: it is not UTF-8.
    """
    salted = salted_password(saslprep(password.text(), stored=True).encode(), salt, iterations, hash_name)
    return client_key(salted, hash_name), Secret(hmac.digest(salted, b"Server Key", hash_name))
