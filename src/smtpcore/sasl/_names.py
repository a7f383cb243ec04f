"""How mechanisms read names and passwords from what a client sends."""

from contextlib import suppress
from typing import Final

from .._errors import GrammarError
from .._events import Identity
from .._secret import Secret
from ._mechanism import BadAnswer
from ._saslprep import saslprep

# RFC 5801 4: saslname = 1*(UTF8-char-safe / "=2C" / "=3D"), where UTF8-char-safe is all but NUL, "=" and ","
SASLNAME: Final = r"(?:[^\0=,]++|=2C|=3D)++"


def decode(octets: bytes) -> str:
    """The client's *octets* as text.

    Raises:
        BadAnswer: they are not UTF-8.
    """
    # Raised after the block: as its context, the other error would carry the octets, perhaps a password.
    with suppress(UnicodeDecodeError):
        return octets.decode()
    raise BadAnswer("not UTF-8")


def prepare_name(text: str) -> str:
    """A user name that a client shows, as a query (RFC 4013). It holds no control character.

    Raises:
        BadAnswer: SASLprep refuses it, or nothing is left of it.
    """
    try:
        name = saslprep(text)
    except GrammarError as error:
        raise BadAnswer(f"a name: {error}") from None
    if not name:
        raise BadAnswer("an empty name")
    return name


def prepare_authzid(text: str, username: str) -> str | None:
    """Whom *username* wants to act as; None where that is itself, or *text* is empty.

    Raises:
        BadAnswer: as `prepare_name`.
    """
    authzid = prepare_name(text) if text else None
    return authzid if authzid != username else None


def prepare_password(text: str) -> Secret | None:
    """A password that a client shows; None where it cannot be anybody's.

    RFC 4616 2: "If the preparation fails or results in an empty string, verification SHALL fail."
    """
    try:
        password = saslprep(text)
    except GrammarError:
        return None
    return Secret(password) if password else None


def identity(username: str, authzid: str | None) -> Identity:
    """Who *username* is, once its credential and its right to act as *authzid* are known."""
    return Identity(username) if authzid is None else Identity(authzid, username)


def unescape(saslname: str) -> str:
    """The name that a `SASLNAME` stands for."""
    return saslname.replace("=2C", ",").replace("=3D", "=")
