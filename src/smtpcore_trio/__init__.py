"""smtpcore_trio: an SMTP server and an SMTP client over `smtpcore` and Trio.

`serve` is the server, a `Session` what it asks; `Maildir` stores messages. `connect` makes a client.
``smtpcore serve`` and ``smtpcore send`` are programs that do so.

The names are found when they are asked for, so that the programs can say what is not installed.
"""

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ._worker import Unsendable
    from .admission import Admission
    from .client import (
        ClientError,
        Disconnected,
        NotOffered,
        Rejected,
        SMTPClient,
        TlsMode,
        Watcher,
        connect,
        connect_unix,
        converse,
    )
    from .listening import Port, listen_inherited, listen_tcp, listen_unix
    from .logs import ClientLogs, Logs
    from .maildir import Maildir, Writer
    from .metrics import ClientMetrics, Metrics, exporting
    from .observe import NOBODY, BaseObserver, Observer, SessionFacts, Several
    from .observe_client import BaseClientObserver, ClientFacts, ClientObserver, Sent, SeveralClient
    from .pool import Destination, Pool, PoolFull, PoolLimits
    from .server import NewSession, Server, serve
    from .session import Aborted, BaseSession, Facts, Refuse, Session
    from .tls import ClientTlsContext, NotPinned, TlsContext, client_context
    from .transcript import Transcript
    from .workers import WorkerFailed, Workers

__all__ = [
    "NOBODY",
    "Aborted",
    "Admission",
    "BaseClientObserver",
    "BaseObserver",
    "BaseSession",
    "ClientError",
    "ClientFacts",
    "ClientLogs",
    "ClientMetrics",
    "ClientObserver",
    "ClientTlsContext",
    "Destination",
    "Disconnected",
    "Facts",
    "Logs",
    "Maildir",
    "Metrics",
    "NewSession",
    "NotOffered",
    "NotPinned",
    "Observer",
    "Pool",
    "PoolFull",
    "PoolLimits",
    "Port",
    "Refuse",
    "Rejected",
    "SMTPClient",
    "Sent",
    "Server",
    "Session",
    "SessionFacts",
    "Several",
    "SeveralClient",
    "TlsContext",
    "TlsMode",
    "Transcript",
    "Unsendable",
    "Watcher",
    "WorkerFailed",
    "Workers",
    "Writer",
    "client_context",
    "connect",
    "connect_unix",
    "converse",
    "exporting",
    "listen_inherited",
    "listen_tcp",
    "listen_unix",
    "serve",
]

_HOMES: Final = {
    name: home
    for home, names in (
        ("_worker", "Unsendable"),
        ("admission", "Admission"),
        (
            "client",
            "ClientError Disconnected NotOffered Rejected SMTPClient TlsMode Watcher connect connect_unix converse",
        ),
        ("listening", "Port listen_inherited listen_tcp listen_unix"),
        ("logs", "ClientLogs Logs"),
        ("maildir", "Maildir Writer"),
        ("metrics", "ClientMetrics Metrics exporting"),
        ("observe", "NOBODY BaseObserver Observer SessionFacts Several"),
        ("observe_client", "BaseClientObserver ClientFacts ClientObserver Sent SeveralClient"),
        ("pool", "Destination Pool PoolFull PoolLimits"),
        ("server", "NewSession Server serve"),
        ("session", "Aborted BaseSession Facts Refuse Session"),
        ("tls", "ClientTlsContext NotPinned TlsContext client_context"),
        ("transcript", "Transcript"),
        ("workers", "WorkerFailed Workers"),
    )
    for name in names.split()
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f".{home}", __name__), name)
    return found
