"""A password, key or token that does not leak into logs or tracebacks."""

import hmac
from typing import final


@final
class Secret:
    """Octets that show themselves as ``***`` and are compared in constant time.

    Args:
        octets: the secret; a ``str`` is kept as UTF-8.
    """

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes | str) -> None:
        self._octets = octets.encode() if isinstance(octets, str) else octets

    def reveal(self) -> bytes:
        """The octets themselves."""
        return self._octets

    def text(self) -> str:
        """The secret as text.

        Raises:
            UnicodeDecodeError: it is not UTF-8.
        """
        return self._octets.decode()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._octets, other._octets)

    def __hash__(self) -> int:
        return hash((Secret, self._octets))

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Secret is not pickled")
