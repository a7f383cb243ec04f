"""smtpcore: an SMTP engine without I/O.

The server's door is `ServerConnection`; what it tells are the events, what it is told the config
and the answers. Extensions are in `smtpcore.extensions`, SASL mechanisms in `smtpcore.sasl`, the
PROXY protocol in `smtpcore.proxy`.
"""

from ._address import NULL_PATH, POSTMASTER, AddressLiteral, Domain, Host, Mailbox, NullPath, ReversePath
from ._config import ServerConfig
from ._deadlines import DEADLINES, Deadline, DeadlineRow
from ._dialect import LMTP, SMTP, SUBMISSION, Dialect, EarlyInput
from ._envelope import (
    Body,
    DeliverBy,
    Envelope,
    MailParams,
    Notify,
    OriginalRecipient,
    RcptParams,
    Recipient,
    RequireRecipientValidSince,
    Ret,
)
from ._errors import GrammarError, LocalProtocolError, RemoteProtocolError, SMTPError
from ._events import (
    Abort,
    Authenticated,
    AuthFailed,
    BodyAborted,
    BodyBegin,
    BodyChunk,
    BodyEnd,
    Cause,
    Closed,
    Connected,
    Deviation,
    Extended,
    Hello,
    Identity,
    MailFrom,
    PasswordCheck,
    Peer,
    Question,
    Quirk,
    Quit,
    RcptTo,
    Refused,
    Report,
    Reset,
    SecretWanted,
    ServerEvent,
    StartTls,
    StoredKey,
    TlsInfo,
    TokenCheck,
    Verify,
    Wait,
    XClient,
)
from ._framing import Stray
from ._limits import Limits, Timeouts
from ._machine import Edge, Gate, Phase
from ._reply import EnhancedStatus, Replies, Reply, safe
from ._secret import Secret
from ._server import Acceptable, ServerConnection
from .extensions import STANDARD, Extension

__all__ = [
    "DEADLINES", "LMTP", "NULL_PATH", "POSTMASTER", "SMTP", "STANDARD", "SUBMISSION", "Abort", "Acceptable",
    "AddressLiteral", "AuthFailed", "Authenticated", "Body", "BodyAborted", "BodyBegin", "BodyChunk", "BodyEnd", "Cause",
    "Closed", "Connected", "Deadline", "DeadlineRow", "DeliverBy", "Deviation", "Dialect", "Domain", "EarlyInput", "Edge",
    "EnhancedStatus", "Envelope", "Extended", "Extension", "Gate", "GrammarError", "Hello", "Host", "Identity", "Limits",
    "LocalProtocolError", "MailFrom", "MailParams", "Mailbox", "Notify", "NullPath", "OriginalRecipient", "PasswordCheck",
    "Peer", "Phase", "Question", "Quirk", "Quit", "RcptParams", "RcptTo", "Recipient", "Refused", "RemoteProtocolError",
    "Replies", "Reply", "Report", "RequireRecipientValidSince", "Reset", "Ret", "ReversePath", "SMTPError", "Secret",
    "SecretWanted", "ServerConfig", "ServerConnection", "ServerEvent", "StartTls", "StoredKey", "Stray", "Timeouts",
    "TlsInfo", "TokenCheck", "Verify", "Wait", "XClient", "safe",
]  # fmt: skip
