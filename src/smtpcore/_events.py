"""What a connection tells its application: events, and instructions to wait.

A *question* holds the connection until the application answers it with `accept`, `reject`,
`provide` or `settle`, naming it. A *report* wants no answer. Both unions are closed, so a ``match``
over them can be checked for completeness.
"""

import enum
from collections.abc import Mapping
from typing import Literal, final

import attrs

from ._address import Host, Mailbox, ReversePath
from ._envelope import NO_MAIL_PARAMS, NO_RCPT_PARAMS, MailParams, RcptParams
from ._reply import Reply
from ._secret import Secret
from ._value import value


class Wait(enum.Enum):
    """What to do before `next_event` can say more."""

    DATA = "read, and feed receive_data"
    SEND = "send what data_to_send returns, call data_sent, and ask again"
    REPLY = "answer the open question"
    INTENT = "say what to do next: nothing is awaited from the server"
    TLS = "send what data_to_send returns, shake hands, and call tls_started or tls_failed"
    CLOSED = "send what data_to_send returns, and close"


@value
class Peer:
    """Who is at the other end, as the transport (or a trusted proxy) says.

    Args:
        address: an IP address as text; None for a Unix socket.
    """

    address: str | None
    port: int | None = None


@value
class TlsInfo:
    """What the TLS layer says of its session.

    Args:
        version: such as ``TLSv1.3``.
        cipher: the cipher suite's name.
        server_name: the name that the client asked for (SNI).
        client_subject: the identity in the client's verified certificate, for EXTERNAL; None if it
            showed none. A client puts its own there.
        verified: whether the peer's certificate was verified, and is for the name that was asked for.
        channel_bindings: binding type to data, such as ``tls-server-end-point`` (RFC 5929 section 4).
    """

    version: str = ""
    cipher: str = ""
    server_name: str | None = None
    client_subject: str | None = None
    verified: bool = False
    channel_bindings: Mapping[str, bytes] = attrs.field(factory=dict, hash=False, repr=False)


@value
class Identity:
    """Who has authenticated: the identity acted as, and the one whose credential was shown."""

    username: str
    authenticated_as: str | None = None


# --- questions ---------------------------------------------------------------------------------


@final
@value
class Connected:
    """A client has connected. Accept: the 220 greeting. Reject with 421 or 5xx: said, then closed."""

    peer: Peer


@final
@value
class Hello:
    """EHLO, HELO or LHLO (RFC 5321 section 4.1.1.1). *host* is never to be trusted."""

    verb: str
    host: Host | str


@final
@value
class StartTls:
    """STARTTLS (RFC 3207). Accept: 220, then `Wait.TLS`. Reject: 454, say."""


@final
@value
class PasswordCheck:
    """A client claims to be *username*. Accept: it is; reject: it is not.

    *authzid* is whom it wants to act as, where that is not itself; accepting allows it (RFC 4616).
    """

    mechanism: str
    username: str
    password: Secret = attrs.field(repr=False)
    authzid: str | None = None


@final
@value
class SecretWanted:
    """The mechanism wants what is kept for *username*; answer with `provide`.

    Provide None for an unknown name, and for an *authzid* that it may not act as: the exchange goes
    on with a made-up key and fails like one with a wrong password.
    """

    mechanism: str
    username: str
    authzid: str | None = None


@final
@value
class TokenCheck:
    """A client shows a bearer token (XOAUTH2, OAUTHBEARER: RFC 7628), or a name that needs no password.

    For EXTERNAL the token is empty and *username* is that of the certificate; for ANONYMOUS it is
    the trace text.
    """

    mechanism: str
    username: str
    token: Secret = attrs.field(repr=False)
    authzid: str | None = None


@final
@value
class MailFrom:
    """MAIL (RFC 5321 section 4.1.1.2). Accept: the transaction is open."""

    path: ReversePath
    params: MailParams = NO_MAIL_PARAMS


@final
@value
class RcptTo:
    """RCPT (RFC 5321 section 4.1.1.3). Accept: one recipient more."""

    path: Mailbox
    params: RcptParams = NO_RCPT_PARAMS


@final
@value
class BodyBegin:
    """DATA, or the first BDAT. Accept: take the message. The envelope is complete.

    Accepting DATA sends the 354; accepting BDAT sends nothing yet.
    """

    verb: str


@final
@value
class BodyEnd:
    """The whole message of *octets* octets has been handed out.

    Accept only once it is safe: the client deletes its copy then. LMTP: `settle` gives one reply for
    each recipient.
    """

    octets: int


@final
@value
class Verify:
    """VRFY or EXPN (RFC 5321 section 4.1.1.6), where the config wants to answer them."""

    verb: str
    argument: str
    smtputf8: bool = False


@final
@value
class Extended:
    """A verb of an extension that the engine does not act on by itself: ETRN, XFORWARD or your own."""

    verb: str
    argument: object


@final
@value
class XClient:
    """XCLIENT: a trusted peer says whom it speaks for. Accept: the session starts anew, with 220.

    A value is None where the peer said ``[UNAVAILABLE]`` or ``[TEMPUNAVAIL]``.
    """

    attributes: Mapping[str, str | None] = attrs.field(hash=False)


Question = (
    Connected
    | Hello
    | StartTls
    | PasswordCheck
    | SecretWanted
    | TokenCheck
    | MailFrom
    | RcptTo
    | BodyBegin
    | BodyEnd
    | Verify
    | Extended
    | XClient
)

# --- reports -----------------------------------------------------------------------------------


@final
@value
class BodyChunk:
    """Some octets of the message, unstuffed; never empty."""

    data: bytes


class Abort(enum.Enum):
    """Why a message will not be completed; the client hears a reply where it is still there."""

    TOO_BIG = "it is longer than message_octets, or in more than chunks"
    STRAY_OCTETS = "it holds a bare CR, a bare LF or a NUL"
    RESET = "RSET, EHLO or a command out of order came between its chunks"
    LOST = "the connection ended, or was ended"


@final
@value
class BodyAborted:
    """The message that began will not be completed: drop what was kept of it.

    *limit* is the name in `Limits` of the one that was hit, if one was; of the events behind it that the same
    message brings, none names it again.
    """

    reason: Abort
    limit: str = ""


@final
@value
class Reset:
    """The transaction was dropped, by RSET or by a new EHLO."""


@final
@value
class Authenticated:
    """An AUTH exchange succeeded; ``identity`` of the connection is set."""

    mechanism: str
    identity: Identity


@final
@value
class AuthFailed:
    """An AUTH exchange failed, was cancelled or was malformed. *limit* is the name of the one that was hit, if any."""

    mechanism: str
    username: str | None
    reply: Reply
    limit: str = ""


@final
@value
class Refused:
    """The engine refused a command by itself. What came after AUTH is not in *line*.

    *limit* is the name in `Limits` of the one that was hit, if one was.
    """

    line: bytes
    reply: Reply
    limit: str = ""


class Quirk(enum.Enum):
    """A departure from the grammar that a config may permit; each use is a `Deviation`."""

    BARE_LF = "a bare LF ends a command line"
    SPACE_AFTER_COLON = "MAIL FROM: <path> and RCPT TO: <path>, with spaces after the colon"
    MISSING_BRACKETS = "MAIL FROM:path and RCPT TO:path, without angle brackets"
    ODD_HELLO = "EHLO and HELO with an argument that is no domain nor address literal, or with none"


class Oddity(enum.Enum):
    """What a server does that no RFC has it do, and that does no harm; each is a `Deviation`."""

    NOT_ASCII = "text beyond ASCII in a reply"
    NOT_UTF8 = "text in a reply that is not UTF-8 either"
    MISSING_TEXT = "a reply line that ends behind the code"
    LONG_LINE = "a reply line of more than 512 octets"
    UNKNOWN_CODE = "a reply code that no RFC knows"
    UNEXPECTED_CODE = "a reply code that is not among those of the command, but says as much"
    AUTH_EQUALS = "AUTH=mechanisms among the capabilities"
    LOWER_CASE = "a capability that is not in upper case"
    REPEATED_KEYWORD = "a capability given twice"
    BAD_KEYWORD = "a line among the capabilities that is none"
    BAD_VALUE = "parameters of a capability that cannot be read"


@final
@value
class Deviation:
    """The peer departed from the protocol in a way that does no harm, or that the config permits.

    *what* is a quirk, an oddity, or "early input": octets sent before the reply that they depend on.
    """

    what: Quirk | Oddity | Literal["early input"]


@final
@value
class Quit:
    """QUIT; `Closed` follows."""


class Cause(enum.Enum):
    """Why a connection ended."""

    QUIT = "the client said QUIT"
    ABORTED = "the application closed the connection, or left a message unfinished"
    EOF = "the peer closed the connection"
    TIMED_OUT = "a deadline expired"
    SHUTDOWN = "the application called close"
    REJECTED = "the server's application refused the connection or answered 421"
    LIMIT = "a limit of the connection was exceeded"
    PROTOCOL = "the peer speaks another protocol, or ahead of its turn"
    TLS_FAILED = "the TLS handshake failed"


class Violation(enum.Enum):
    """How a server broke the protocol so that nothing it says can be relied on any more."""

    MALFORMED_REPLY = "a line that is no reply line, or holds a bare CR, a bare LF or a NUL"
    MIXED_CODES = "a reply whose lines bear different codes"
    SURPLUS_REPLY = "a reply that no command asked for"
    EARLY_REPLY = "a reply that came before its command was sent"
    OCTETS_BEFORE_TLS = "octets in the clear behind the reply to STARTTLS"
    WRONG_REPLY = "a reply that the command cannot have"
    UNPROVEN = "success of an AUTH exchange in which the server has not proved who it is"
    REPLY_TOO_LONG = "a reply over reply_line_octets, reply_lines or reply_octets"
    TOO_MANY_CAPABILITIES = "a reply to EHLO with more than `capabilities` keywords"


@final
@value
class Closed:
    """The last event.

    Args:
        detail: the name of the limit or of the deadline, and what else there is to say.
        violation: of a client's connection that ended by the server's fault.
        reply: the server's last word to a client, such as a 421.
    """

    cause: Cause
    detail: str = ""
    violation: Violation | None = None
    reply: Reply | None = None

    @property
    def limit(self) -> str:
        """The name of the limit that was exceeded, or of the deadline that expired; empty for other causes."""
        return self.detail if self.cause in (Cause.LIMIT, Cause.TIMED_OUT) else ""


Report = BodyChunk | BodyAborted | Reset | Authenticated | AuthFailed | Refused | Deviation | Quit | Closed
ServerEvent = Question | Report
