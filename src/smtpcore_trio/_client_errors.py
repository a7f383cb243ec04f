"""Why a client could not do what it was asked for."""

from typing import Final

from smtpcore import Cause, Closed, Reply, safe


class ClientError(Exception):
    """Why a client could not do what it was asked for."""


class Disconnected(ClientError):
    """The connection is gone. *closed* says why.

    Args:
        closed: the engine's last event.
        failure: of a handshake: a `NotPinned`, an `ssl.SSLError` or what the transport raised, and `__cause__`, too.
    """

    def __init__(self, closed: Closed, failure: BaseException | None = None) -> None:
        word = f": {closed.reply}" if closed.reply is not None else ""
        detail = f" ({closed.detail})" if closed.detail else ""
        why = "" if failure is None else f": {safe(getattr(failure, 'verify_message', None) or str(failure), 2048)}"
        super().__init__((closed.violation or closed.cause).value + detail + word + why)
        self.closed = closed
        self.reason = _REASONS.get(closed.cause, "lost")


class Rejected(ClientError):
    """The server has said no to *what*."""

    reason = "rejected"

    def __init__(self, what: str, reply: Reply) -> None:
        super().__init__(f"{what}: {reply}")
        self.reply = reply


class NotOffered(ClientError):
    """The server does not offer what is needed: STARTTLS, or a mechanism that may be used now."""

    reason = "not_offered"


# Of those that an observer tells apart, by the cause; the connection was lost for any other.
_REASONS: Final = {Cause.TLS_FAILED: "tls_failed", Cause.TIMED_OUT: "timed_out", Cause.REJECTED: "rejected"}
