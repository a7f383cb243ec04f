"""smtpcore_trio: an SMTP server and an SMTP client over `smtpcore` and Trio.

`serve` is the server, a `Session` what it asks; `Maildir` stores messages. `connect` makes a client.
``smtpcore serve`` and ``smtpcore send`` are programs that do so.

The names are found when they are asked for, so that the programs can say what is not installed.
"""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .client import ClientError, Disconnected, NotOffered, Rejected, SMTPClient, TlsMode, Watcher, connect, converse
    from .maildir import Maildir, Writer
    from .server import NewSession, Server, serve
    from .session import Aborted, BaseSession, Facts, Refuse, Session
    from .tls import ClientTlsContext, TlsContext, client_context
    from .transcript import Transcript

__all__ = [
    "Aborted",
    "BaseSession",
    "ClientError",
    "ClientTlsContext",
    "Disconnected",
    "Facts",
    "Maildir",
    "NewSession",
    "NotOffered",
    "Refuse",
    "Rejected",
    "SMTPClient",
    "Server",
    "Session",
    "TlsContext",
    "TlsMode",
    "Transcript",
    "Watcher",
    "Writer",
    "client_context",
    "connect",
    "converse",
    "serve",
]

_HOMES: Final = {
    name: home
    for home, names in (
        ("client", "ClientError Disconnected NotOffered Rejected SMTPClient TlsMode Watcher connect converse"),
        ("maildir", "Maildir Writer"),
        ("server", "NewSession Server serve"),
        ("session", "Aborted BaseSession Facts Refuse Session"),
        ("tls", "ClientTlsContext TlsContext client_context"),
        ("transcript", "Transcript"),
    )
    for name in names.split()
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f".{home}", __name__), name)
    return found
