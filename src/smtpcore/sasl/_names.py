"""How mechanisms read names and passwords: the server's from what is sent, the client's from what they are given."""

from contextlib import suppress
from typing import Final

from .._errors import GrammarError, LocalProtocolError
from .._events import Identity
from .._secret import Secret
from ._mechanism import MAX_NAME_OCTETS, MAX_SECRET_OCTETS, BadAnswer
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


def escape(name: str) -> str:
    """The `SASLNAME` that stands for *name*."""
    return name.replace("=", "=3D").replace(",", "=2C")


def client_name(text: str) -> str:
    """The prepared form of a name that a client is to show, which a server can accept.

    Mechanisms that hash nothing show the name, and the password, as they are: the server prepares them
    (RFC 4616 section 2), and one that does not would take the prepared form for another.

    Raises:
        LocalProtocolError: SASLprep refuses it, or nothing is left of it; or it is too long.
    """
    try:
        name = prepare_name(text)
    except BadAnswer as error:
        raise LocalProtocolError(str(error)) from None
    if len(text.encode()) > MAX_NAME_OCTETS:
        raise LocalProtocolError(f"a name of more than {MAX_NAME_OCTETS} octets")
    return name


def check_names(username: str, authzid: str | None) -> None:
    """See that a server can accept the name and, if there is one, the authorization identity.

    Raises:
        LocalProtocolError: as `client_name`.
    """
    client_name(username)
    if authzid is not None:
        client_name(authzid)


def check_secret(password: Secret) -> None:
    """See that *password* is in a `Secret`, so that no traceback shows it.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(password, Secret):
        raise TypeError(f"a password is given as a Secret, not as {type(password).__name__}")


def check_password(password: Secret, *, stored: bool = False) -> None:
    """See that a server can accept *password*.

    Args:
        password: what the client is to show, or a digest of it.
        stored: it is to be prepared as a stored string.

    Raises:
        LocalProtocolError: SASLprep refuses it, or nothing is left of it; or it is too long.
        TypeError: it is not a `Secret`.
    """
    check_secret(password)
    if fault := _password_fault(password, stored=stored):
        raise LocalProtocolError(f"a password: {fault}")


def _password_fault(password: Secret, *, stored: bool) -> str | None:
    # A fault is no exception here: with that would go the frames that have seen the password.
    if len(password.reveal()) > MAX_SECRET_OCTETS:
        return f"longer than {MAX_SECRET_OCTETS} octets"
    try:
        return None if saslprep(password.text(), stored=stored) else "empty"
    except UnicodeDecodeError:
        return "not UTF-8"
    except GrammarError as error:
        return str(error)
