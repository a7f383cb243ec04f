"""smtpcore_trio: an SMTP server over `smtpcore` and Trio.

`serve` is the server, a `Session` what it asks. `Maildir` stores messages, and ``python -m smtpcore_trio serve``
is a program that does so with whatever mail it gets.
"""

from .maildir import Maildir, Writer
from .server import NewSession, Server, serve
from .session import Aborted, BaseSession, Facts, Refuse, Session
from .tls import TlsContext

__all__ = [
    "Aborted",
    "BaseSession",
    "Facts",
    "Maildir",
    "NewSession",
    "Refuse",
    "Server",
    "Session",
    "TlsContext",
    "Writer",
    "serve",
]
