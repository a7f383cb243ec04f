"""Users and what is kept of their passwords: a scrypt hash, and a key for SCRAM-SHA-256.

No password can be got back from either.
"""

import hashlib
import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from smtpcore import PasswordCheck, Secret, SecretWanted, StoredKey, TokenCheck
from smtpcore.sasl import scram_key

from .certificate import write_private

_SALT_OCTETS: Final = 16
# RFC 7914 2: memory is 128 * n * r octets, here 16 MiB, for about 50 ms.
_SCRYPT: Final = {"n": 16384, "r": 8, "p": 1}
# So much of that at a time.
_HASHES_AT_ONCE: Final = 2


@attrs.frozen
class User:
    """What is kept of one user's password."""

    salt: bytes
    hashed: Secret
    key: StoredKey

    @classmethod
    def of(cls, password: Secret) -> "User":
        """Make it. Blocks for as long as hashing takes."""
        salt = secrets.token_bytes(_SALT_OCTETS)
        return cls(salt, _scrypt(password, salt), scram_key(password))

    def is_password(self, password: Secret) -> bool:
        """Whether it is this user's. Blocks for as long as hashing takes."""
        return _scrypt(password, self.salt) == self.hashed


def _scrypt(password: Secret, salt: bytes) -> Secret:
    return Secret(hashlib.scrypt(password.reveal(), salt=salt, **_SCRYPT))


class Credentials:
    """Users by their names, and the seed of the keys that SCRAM makes up for those who are none."""

    def __init__(self, users: Mapping[str, User], seed: Secret) -> None:
        self._users = users
        self.seed = seed
        self._limiter = trio.CapacityLimiter(_HASHES_AT_ONCE)
        self._nobody = User(b"\0" * _SALT_OCTETS, Secret(b""), StoredKey())

    @property
    def names(self) -> list[str]:
        """The users' names."""
        return list(self._users)

    @classmethod
    def create(cls, username: str) -> tuple["Credentials", Secret]:
        """One user with a random password, which is returned too."""
        password = Secret(secrets.token_hex(12))
        return cls({username: User.of(password)}, Secret(secrets.token_bytes(32))), password

    @classmethod
    def load(cls, path: Path) -> "Credentials":
        """Read what `save` wrote.

        Raises:
            OSError: it cannot be read.
            ValueError: it was not written by `save`.
        """
        try:
            kept: dict[str, Any] = json.loads(path.read_bytes())
            users = {name: _read(user) for name, user in kept["users"].items()}
            return cls(users, Secret(_octets(kept["seed"])))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} holds no credentials") from error

    def save(self, path: Path) -> None:
        """Write to the file *path*, for nobody but its owner to read.

        Raises:
            OSError: it cannot be written.
        """
        users = {name: _written(user) for name, user in self._users.items()}
        kept = {"seed": _text(self.seed.reveal()), "users": users}
        write_private(path, json.dumps(kept, indent=2).encode() + b"\n")

    async def answer(self, check: PasswordCheck | SecretWanted | TokenCheck) -> StoredKey | bool:
        """What `Session.authenticate` is to answer. Nobody may act as another, and no token is good."""
        user = self._users.get(check.username)
        itself = check.authzid in (None, check.username)
        match check:
            case PasswordCheck():
                # As long for a name that is unknown as for one that is not.
                known = user or self._nobody
                right = await trio.to_thread.run_sync(known.is_password, check.password, limiter=self._limiter)
                return right and itself and user is not None
            case SecretWanted():
                return user.key if user is not None and itself else False
            case _:
                return False


def _text(octets: bytes) -> str:
    return b64encode(octets).decode()


def _octets(text: str) -> bytes:
    return b64decode(text, validate=True)


def _written(user: User) -> dict[str, dict[str, object]]:
    key = user.key
    return {
        "scrypt": _SCRYPT | {"salt": _text(user.salt), "hash": _text(user.hashed.reveal())},
        "scram-sha-256": {
            "salt": _text(key.salt),
            "iterations": key.iterations,
            "stored_key": _text(key.stored_key.reveal()),
            "server_key": _text(key.server_key.reveal()),
        },
    }


def _read(kept: Mapping[str, Mapping[str, Any]]) -> User:
    scrypt, scram = kept["scrypt"], kept["scram-sha-256"]
    if any(scrypt[name] != value for name, value in _SCRYPT.items()):
        raise ValueError("hashed in another way")
    key = StoredKey(
        _octets(scram["salt"]),
        int(scram["iterations"]),
        Secret(_octets(scram["stored_key"])),
        Secret(_octets(scram["server_key"])),
    )
    return User(_octets(scrypt["salt"]), Secret(_octets(scrypt["hash"])), key)
