"""What a SASL mechanism is to the engine, on either side (RFC 4422, RFC 4954).

A server mechanism is a generator. It yields a `Challenge`, and is sent the client's answer as octets;
or it yields a question, and is sent the application's answer to it. It returns an `Identity` when
the client is who it claims to be, and None when it is not. The engine does the rest: base64, ``*``,
line limits, 334, 235 and 535; so a mechanism knows nothing of SMTP.

=============== ==================================
yields          is sent
=============== ==================================
`Challenge`     the client's answer, ``bytes``
`PasswordCheck` ``bool``: whether it was accepted
`TokenCheck`    ``bool``
`SecretWanted`  ``StoredKey | None``
=============== ==================================

A client mechanism is a value that holds a credential; it checks what it is given when it is made. Its
exchange is a generator, too. First it yields its initial response, or None where the server speaks
first; then it is sent each challenge and yields the answer. It is sent None for the server's 235, and
returns if that is due.
"""

import enum
from collections.abc import Generator
from typing import Any, Final, Protocol

from .._errors import SMTPError
from .._events import Identity, PasswordCheck, SecretWanted, TlsInfo, TokenCheck
from .._secret import Secret
from .._value import value

# Servers take lines of 12,288 octets (RFC 4954 section 4). With names and secrets of these lengths each answer
# stays below that, in base64 and with all that stands around them.
MAX_NAME_OCTETS: Final = 512
MAX_SECRET_OCTETS: Final = 7_168


@value
class Challenge:
    """Octets for the client."""

    octets: bytes


class BadAnswer(SMTPError):
    """Raised by a mechanism when the client's answer is not of its form: 501, not 535."""


Exchange = Generator[Challenge | PasswordCheck | SecretWanted | TokenCheck, Any, Identity | None]


class ServerMechanism(Protocol):
    """A mechanism that the server offers; one object serves all connections."""

    @property
    def name(self) -> str:
        """The name in the AUTH list, upper case (RFC 4422 section 3.1)."""

    @property
    def initial(self) -> bool:
        """Whether an initial response may take the place of the answer to the first challenge."""

    def available(self, tls: TlsInfo | None) -> bool:
        """Whether to offer it on this connection; *tls* is None in the clear."""

    def start(self, tls: TlsInfo | None) -> Exchange:
        """Begin an exchange."""


class Strength(enum.IntEnum):
    """What a mechanism protects the credential from; more is stronger."""

    ANONYMOUS = 0
    """There is none."""
    REVEALED = 1
    """The server is told the password or token itself."""
    HASHED = 2
    """The server is told a digest, from which it, and whoever listens, may guess the password."""
    MUTUAL = 3
    """The same, and the server proves that it has known the password."""
    BOUND = 4
    """Bound to the TLS session as well: nobody sits between, even with a certificate that the client trusts."""


class BadChallenge(SMTPError):
    """Raised by a client mechanism when the server's challenge is not of its form, or not the server's."""


ClientExchange = Generator[bytes | None, bytes | None, None]


class ClientMechanism(Protocol):
    """A mechanism with the client's credential; one object may serve many exchanges."""

    @property
    def name(self) -> str:
        """The name in the AUTH list, upper case (RFC 4422 section 3.1)."""

    @property
    def strength(self) -> Strength:
        """What it protects the credential from."""

    def available(self, tls: TlsInfo | None) -> bool:
        """Whether it can be used on this connection; *tls* is None in the clear."""

    def start(self, tls: TlsInfo | None) -> ClientExchange:
        """Begin an exchange.

        Raises:
            LocalProtocolError: it cannot be used here. Some mechanisms raise it when the exchange is first
                resumed, before anything is said.
        """


def challenged(sent: bytes | None) -> bytes:
    """The challenge that has to come here.

    Raises:
        BadChallenge: it is the end instead.
    """
    if sent is None:
        raise BadChallenge("success before the end of the exchange")
    return sent


def last(answer: Secret) -> ClientExchange:
    """Say the last thing that there is to say."""
    if (yield answer.reveal()) is not None:
        raise BadChallenge("a challenge after the last answer")
