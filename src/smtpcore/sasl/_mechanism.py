"""What a SASL mechanism is to the engine (RFC 4422, RFC 4954).

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
"""

from collections.abc import Generator
from typing import Any, Protocol

from .._errors import SMTPError
from .._events import Identity, PasswordCheck, SecretWanted, TlsInfo, TokenCheck
from .._value import value


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
