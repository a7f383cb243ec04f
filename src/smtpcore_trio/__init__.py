"""smtpcore_trio: an SMTP server and an SMTP client over `smtpcore` and Trio.

`serve` is the server, a `Session` what it asks; `Maildir` stores messages. `connect` makes a client.
``smtpcore serve`` and ``smtpcore send`` are programs that do so.

The names are found when they are asked for, so that the programs can say what is not installed.
"""

import importlib
from typing import TYPE_CHECKING, Final

from ._missing import EXTRAS, is_missing

if TYPE_CHECKING:
    from ._client_errors import ClientError, Disconnected, NotOffered, Rejected
    from ._worker import Unsendable
    from .admission import Admission
    from .client import (
        SMTPClient,
        TlsMode,
        Watcher,
        connect,
        connect_unix,
        converse,
    )
    from .listening import Port, listen_inherited, listen_tcp, listen_unix
    from .logs import BoundLogger, ClientLogs, Logs
    from .maildir import Maildir, Writer, new_identifier
    from .metrics import ClientMetrics, Metrics, exporting
    from .observe import (
        NOBODY,
        BaseObserver,
        BodySize,
        Denied,
        Event,
        Observer,
        Secured,
        SessionFacts,
        Settled,
        Several,
        new_session_id,
    )
    from .observe_client import BaseClientObserver, ClientFacts, ClientObserver, Sent, SeveralClient
    from .pool import Destination, Pool, PoolFull, PoolLimits
    from .server import NewSession, Server, serve
    from .session import Aborted, Admitted, Answer, BaseSession, Facts, Refuse, Session
    from .tls import ClientTlsContext, NotPinned, TlsContext, client_context
    from .transcript import Transcript
    from .workers import WorkerFailed, Workers

__all__ = [
    "NOBODY",
    "Aborted",
    "Admission",
    "Admitted",
    "Answer",
    "BaseClientObserver",
    "BaseObserver",
    "BaseSession",
    "BodySize",
    "BoundLogger",
    "ClientError",
    "ClientFacts",
    "ClientLogs",
    "ClientMetrics",
    "ClientObserver",
    "ClientTlsContext",
    "Denied",
    "Destination",
    "Disconnected",
    "Event",
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
    "Secured",
    "Sent",
    "Server",
    "Session",
    "SessionFacts",
    "Settled",
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
    "new_identifier",
    "new_session_id",
    "serve",
]

_HOMES: Final = {
    name: home
    for home, names in (
        ("_client_errors", "ClientError Disconnected NotOffered Rejected"),
        ("_worker", "Unsendable"),
        ("admission", "Admission"),
        ("client", "SMTPClient TlsMode Watcher connect connect_unix converse"),
        ("listening", "Port listen_inherited listen_tcp listen_unix"),
        ("logs", "BoundLogger ClientLogs Logs"),
        ("maildir", "Maildir Writer new_identifier"),
        ("metrics", "ClientMetrics Metrics exporting"),
        (
            "observe",
            "NOBODY BaseObserver BodySize Denied Event Observer Secured SessionFacts Settled Several new_session_id",
        ),
        ("observe_client", "BaseClientObserver ClientFacts ClientObserver Sent SeveralClient"),
        ("pool", "Destination Pool PoolFull PoolLimits"),
        ("server", "NewSession Server serve"),
        ("session", "Aborted Admitted Answer BaseSession Facts Refuse Session"),
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
    try:
        module = importlib.import_module(f".{home}", __name__)
    except ModuleNotFoundError as missing:
        if missing.name not in EXTRAS:
            raise
        raise ModuleNotFoundError(is_missing(missing.name, EXTRAS[missing.name]), name=missing.name) from missing
    found = globals()[name] = getattr(module, name)
    return found
