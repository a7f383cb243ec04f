"""SCRAM (RFC 5802, RFC 7677): each side proves that it knows the password, and neither says it.

::

    C: client-first   gs2-header n=name,r=c-nonce
    S: server-first   r=c-nonce s-nonce,s=salt,i=iterations
    C: client-final   c=gs2-header and binding,r=c-nonce s-nonce,p=proof
    S: server-final   v=signature
    C: (empty, since 235 carries no data: RFC 4954 section 4)

The -PLUS forms bind the exchange to the TLS session below it (RFC 5929), so that nobody sits between.
"""

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Final

import attrs

from .._errors import LocalProtocolError
from .._events import SecretWanted, TlsInfo
from .._secret import Secret
from .._value import settings
from ._mechanism import BadAnswer, BadChallenge, Challenge, ClientExchange, Exchange, Strength, challenged, last
from ._names import (
    SASLNAME,
    check_names,
    check_password,
    check_secret,
    client_name,
    decode,
    escape,
    identity,
    prepare_authzid,
    prepare_name,
    unescape,
)
from ._stored import StoredKey, keys, stored

# RFC 5802 5.1: servers "SHOULD announce a hash iteration-count of at least 4096". The client does the work.
ITERATIONS: Final = 15_000
SALT_OCTETS: Final = 16
# So a client goes no lower (RFC 7677 section 4). Nor may a server have it hash for longer than a second or so.
MIN_ITERATIONS: Final = 4096
MAX_ITERATIONS: Final = 1_000_000

# RFC 5929 4: the hash of the server's certificate
END_POINT: Final = "tls-server-end-point"

# RFC 5802 7, where printable = %x21-2B / %x2D-7E, and attr-val = ALPHA "=" 1*value-char. An extension may not
# bear the letter of an attribute that has a meaning. That takes care of "m" too, of which 5.1 says: "its
# presence in a client or a server message MUST cause authentication failure".
_EXTENSIONS: Final = r"(?:,[A-Zbdf-hj-loqtuw-z]=[^\0,]++)*+"
_NONCE: Final = r"[!-+\--~]"
_BASE64: Final = r"(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?+"
# client-first-message = gs2-header client-first-message-bare
#   gs2-header = gs2-cbind-flag "," [ authzid ] ","      gs2-cbind-flag = ("p=" cb-name) / "n" / "y"
#   client-first-message-bare = [reserved-mext ","] username "," nonce ["," extensions]
# The nonces are bounded since the other side repeats them.
_match_first: Final = re.compile(
    r"(?P<gs2>(?P<flag>[ny]|p=(?P<binding>[A-Za-z0-9.-]++))," + rf"(?:a=(?P<authzid>{SASLNAME}))?+,)"
    rf"(?P<bare>n=(?P<name>{SASLNAME}),r=(?P<nonce>{_NONCE}{{1,1024}}+){_EXTENSIONS})"
).fullmatch
_match_nonce: Final = re.compile(rf"{_NONCE}{{1,1024}}+").fullmatch
# server-first-message = [reserved-mext ","] nonce "," salt "," iteration-count ["," extensions]
_match_server_first: Final = re.compile(
    rf"r=(?P<nonce>{_NONCE}{{1,2048}}+),s=(?P<salt>{_BASE64}),i=(?P<iterations>[1-9][0-9]{{0,9}}+){_EXTENSIONS}"
).fullmatch
# client-final-message = client-final-message-without-proof "," proof
#   client-final-message-without-proof = channel-binding "," nonce ["," extensions]
_match_final: Final = re.compile(
    rf"(?P<bare>c=(?P<binding>{_BASE64}),r=(?P<nonce>{_NONCE}++){_EXTENSIONS}),p=(?P<proof>{_BASE64})"
).fullmatch
# server-final-message = (server-error / verifier) ["," extensions]. Some servers send an error first, too. What
# they call it is shown to people, so it has to look like those that RFC 5802 lists.
_match_server_final: Final = re.compile(rf"v=(?P<verifier>{_BASE64}){_EXTENSIONS}").fullmatch
_match_error: Final = re.compile(rf"e=(?P<error>[A-Za-z0-9-]{{1,64}}+){_EXTENSIONS}").fullmatch

# RFC 4422 3.1: sasl-mech = 1*20mech-char, mech-char = UPPER-ALPHA / DIGIT / HYPHEN / UNDERSCORE
_match_name: Final = re.compile("[A-Z0-9_-]{1,20}").fullmatch


def scram_key(
    password: Secret, *, salt: bytes | None = None, iterations: int = ITERATIONS, hash_name: str = "sha256"
) -> StoredKey:
    """Make what a server keeps of *password* for SCRAM with *hash_name* (RFC 5802 section 3).

    This takes as long as the iterations do.

    Args:
        password: UTF-8.
        salt: of your own; else `SALT_OCTETS` random octets.
        iterations: how often the hash is applied.
        hash_name: as hashlib calls it.

    Raises:
        GrammarError: *password* cannot be prepared as a stored string (RFC 4013).
        UnicodeDecodeError: it is not UTF-8.
    """
    check_secret(password)
    if salt is None:
        salt = secrets.token_bytes(SALT_OCTETS)
    client_key, server_key = keys(password, salt, iterations, hash_name)
    return StoredKey(salt, iterations, stored(client_key, hash_name), server_key)


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def _binds(name: str) -> bool:
    return name.endswith("-PLUS")


def _nonce() -> str:
    return secrets.token_urlsafe(24)


def _seed() -> Secret:
    return Secret(secrets.token_bytes(32))


@settings
class Scram:
    """A SCRAM mechanism. Asks `SecretWanted`; `scram_key` makes the answer.

    A name for which None is provided, or a key of another hash, is shown a made-up salt, always the same,
    and fails at the end as with a wrong password. For that to be no tell-tale, *iterations* and
    *salt_octets* are to be those of the keys provided, and *seed* to outlive the process.

    Args:
        name: ends with ``-PLUS`` if it binds to the TLS session.
        hash_name: as hashlib calls it.
        iterations: those that a made-up key shows.
        salt_octets: those that a made-up key shows; at most 64.
        seed: what made-up keys are made of; the same for both forms.
        nonce: makes the server's part of the nonce, anew each time: printable ASCII without commas.
    """

    initial = True

    name: str
    hash_name: str
    iterations: int = ITERATIONS
    salt_octets: int = SALT_OCTETS
    seed: Secret = attrs.field(factory=_seed)
    nonce: Callable[[], str] = _nonce

    @property
    def binds(self) -> bool:
        """Whether this is a -PLUS form."""
        return _binds(self.name)

    def available(self, tls: TlsInfo | None) -> bool:
        """Everywhere; a -PLUS form where the TLS layer tells its ``tls-server-end-point``."""
        return not self.binds or bool(_binding(tls, END_POINT))

    def start(self, tls: TlsInfo | None) -> Exchange:
        """Begin an exchange."""
        first = _match_first(decode((yield Challenge(b""))))
        if first is None:
            raise BadAnswer("not a client-first-message")
        if self.binds != first["flag"].startswith("p"):
            raise BadAnswer("the GS2 flag is not that of the mechanism")
        # RFC 5802 6: 'If the flag is set to "y" and the server supports channel binding, the server MUST fail
        # authentication. [...] this is an indication that there has been a downgrade attack'
        if first["flag"] == "y" and _binding(tls, END_POINT):
            return None
        binding = _binding(tls, first["binding"])
        # RFC 5802 6: "If the channel binding flag was "p" and the server does not support the indicated channel
        # binding type, then the server MUST fail authentication."
        if self.binds and not binding:
            return None

        username = prepare_name(unescape(first["name"]))
        authzid = prepare_authzid(unescape(first["authzid"] or ""), username)
        key: StoredKey | None = yield SecretWanted(self.name, username, authzid)
        made_up = self._make_up(username)
        if key is None or len(key.stored_key.reveal()) != len(made_up.stored_key.reveal()):
            key = made_up

        nonce = first["nonce"] + self.nonce()
        server_first = f"r={nonce},s={b64encode(key.salt).decode()},i={key.iterations}"
        final = _match_final(decode((yield Challenge(server_first.encode()))))
        if final is None:
            raise BadAnswer("not a client-final-message")
        if final["nonce"] != nonce or final["binding"] != b64encode(first["gs2"].encode() + binding).decode():
            return None
        message = f"{first['bare']},{server_first},{final['bare']}".encode()
        # RFC 5802 3: ClientProof = ClientKey XOR HMAC(StoredKey, AuthMessage), StoredKey = H(ClientKey)
        signature = hmac.digest(key.stored_key.reveal(), message, self.hash_name)
        proof = b64decode(final["proof"])
        if len(proof) != len(signature):
            raise BadAnswer("the proof is not as long as the hash")
        client_key = _xor(proof, signature)
        if stored(Secret(client_key), self.hash_name) != key.stored_key:
            return None

        server_signature = hmac.digest(key.server_key.reveal(), message, self.hash_name)
        if (yield Challenge(b"v=" + b64encode(server_signature))):
            raise BadAnswer("an answer where there is nothing to say")
        return identity(username, authzid)

    def _make_up(self, username: str) -> StoredKey:
        """The key of one who has none; nobody knows the password to it."""

        def derive(what: str, hash_name: str) -> bytes:
            return hmac.digest(self.seed.reveal(), f"{self.hash_name} {what} {username}".encode(), hash_name)

        salt = derive("salt", "sha512")[: self.salt_octets]
        return StoredKey(salt, self.iterations, Secret(derive("key", self.hash_name)), Secret(b""))


def _binding(tls: TlsInfo | None, kind: str | None) -> bytes:
    """What the TLS layer tells for the binding type *kind*; nothing where it tells nothing."""
    return b"" if tls is None or kind is None else tls.channel_bindings.get(kind, b"")


_SEED: Final = _seed()

SCRAM_SHA_1 = Scram(name="SCRAM-SHA-1", hash_name="sha1", seed=_SEED)
SCRAM_SHA_1_PLUS = Scram(name="SCRAM-SHA-1-PLUS", hash_name="sha1", seed=_SEED)
SCRAM_SHA_256 = Scram(name="SCRAM-SHA-256", hash_name="sha256", seed=_SEED)
SCRAM_SHA_256_PLUS = Scram(name="SCRAM-SHA-256-PLUS", hash_name="sha256", seed=_SEED)


@settings
class ScramClient:
    """SCRAM with a password.

    It takes the server's number of iterations from `MIN_ITERATIONS` to `MAX_ITERATIONS`.

    Args:
        name: ends with ``-PLUS`` if it binds to the TLS session, by ``tls-server-end-point``.
        hash_name: as hashlib calls it.
        username: whose password it is.
        password: UTF-8.
        authzid: whom to act as, if that is another.
        could_bind: for a form without -PLUS: that the -PLUS form had been taken if the server had been seen to
            offer it. Within a TLS session that can be bound to, the server is told so; if it does offer
            that form, somebody has taken it off the list, and it fails the exchange.
        nonce: makes the client's nonce, anew each time: printable ASCII without commas.

    Raises:
        LocalProtocolError: no server could accept a name or the password; or *name* cannot be a mechanism's,
            or *hash_name* is not known.
    """

    name: str
    hash_name: str
    username: str
    password: Secret
    authzid: str | None = None
    could_bind: bool = False
    nonce: Callable[[], str] = _nonce

    def __attrs_post_init__(self) -> None:
        if _match_name(self.name) is None:
            raise LocalProtocolError("not the name of a mechanism")
        try:
            hashlib.pbkdf2_hmac(self.hash_name, b"", b"", 1)
        except ValueError:
            raise LocalProtocolError("not a hash") from None
        check_names(self.username, self.authzid)
        check_password(self.password, stored=True)

    @property
    def strength(self) -> Strength:
        """`Strength.BOUND` for a -PLUS form."""
        return Strength.BOUND if _binds(self.name) else Strength.MUTUAL

    def available(self, tls: TlsInfo | None) -> bool:
        """Everywhere; a -PLUS form where the TLS layer tells its ``tls-server-end-point``."""
        return not _binds(self.name) or bool(_binding(tls, END_POINT))

    def start(self, tls: TlsInfo | None) -> ClientExchange:
        """Begin an exchange.

        Raises:
            LocalProtocolError: a -PLUS form is not available; or the nonce cannot be sent.
        """
        binding = _binding(tls, END_POINT)
        if _binds(self.name):
            if not binding:
                raise LocalProtocolError("there is no TLS session to bind to")
            flag = f"p={END_POINT}"
        else:
            # RFC 5802 6: "If the client supports channel binding and the server does not appear to [...], then the
            # client MUST NOT use an "n" gs2-cbind-flag."
            flag = "y" if self.could_bind and binding else "n"
            binding = b""
        nonce = self.nonce()
        if _match_nonce(nonce) is None:
            raise LocalProtocolError("not a nonce")
        authzid = "" if self.authzid is None else f"a={escape(self.authzid)}"
        return self._exchange(f"{flag},{authzid},", binding, nonce)

    def _exchange(self, gs2: str, binding: bytes, nonce: str) -> ClientExchange:
        bare = f"n={escape(client_name(self.username))},r={nonce}"
        first = _read(_match_server_first, challenged((yield f"{gs2}{bare}".encode())), "server-first-message")
        # RFC 5802 5.1: 'The client MUST verify that the initial part of the nonce used in subsequent messages is the
        # same as the nonce it initially specified.'
        if not first["nonce"].startswith(nonce) or first["nonce"] == nonce:
            raise BadChallenge("the nonce is not the client's and the server's")
        if not first["salt"]:
            raise BadChallenge("no salt")
        if not MIN_ITERATIONS <= int(first["iterations"]) <= MAX_ITERATIONS:
            raise BadChallenge(f"{first['iterations']} iterations")

        final = f"c={b64encode(gs2.encode() + binding).decode()},r={first['nonce']}"
        proof, signature = self._prove(first, f"{bare},{first[0]},{final}".encode())
        final = f"{final},p={b64encode(proof).decode()}"
        verifier = _read(_match_server_final, challenged((yield final.encode())), "server-final-message")["verifier"]
        if Secret(b64decode(verifier)) != signature:
            raise BadChallenge("the server does not know the password")
        yield from last(Secret(b""))

    def _prove(self, first: re.Match[str], message: bytes) -> tuple[bytes, Secret]:
        """ClientProof and ServerSignature (RFC 5802 section 3)."""
        salt, iterations = b64decode(first["salt"]), int(first["iterations"])
        client_key, server_key = keys(self.password, salt, iterations, self.hash_name)
        stored_key = stored(client_key, self.hash_name)
        proof = _xor(client_key.reveal(), hmac.digest(stored_key.reveal(), message, self.hash_name))
        return proof, Secret(hmac.digest(server_key.reveal(), message, self.hash_name))


def _read(match: Callable[[str], re.Match[str] | None], challenge: bytes, what: str) -> re.Match[str]:
    """The server's message in *challenge*."""
    try:
        text = challenge.decode()
    except UnicodeDecodeError:
        raise BadChallenge(f"a {what} that is not UTF-8") from None
    if found := match(text):
        return found
    if error := _match_error(text):
        raise BadChallenge(f"the server says {error['error']}")
    raise BadChallenge(f"not a {what}")
