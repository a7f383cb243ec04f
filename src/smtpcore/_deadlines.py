"""Deadlines: what each one waits for, as a table, and the clockwork that every connection has.

Time is whatever the caller passes: seconds on a monotonic clock. The engine never reads one.
"""

import enum
import math
from typing import Final

from ._value import value


class Deadline(enum.Enum):
    """The waits that a connection bounds; the value is the field of `Timeouts` or `ClientTimeouts` with its length."""

    __hash__ = object.__hash__  # Enum's is Python code, and deadlines move at every read

    COMMAND = "command"
    BODY = "body"
    WRITE = "write"
    TLS = "tls"
    SESSION = "session"

    GREETING = "greeting"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BLOCK = "block"
    DOT = "dot"
    QUIT = "quit"


@value
class DeadlineRow:
    """When a deadline is armed and moved, and what its expiry does.

    Args:
        reply: the name of the stock reply said before closing; None closes at once, for a peer that
            takes no octets or shakes hands will not take a reply.
        peer_only: counts only while the engine waits for octets, so a slow application does not make
            the peer late.
    """

    deadline: Deadline
    armed: str
    moved: str
    reply: str | None
    peer_only: bool = False


DEADLINES: Final = {
    row.deadline: row
    for row in (
        DeadlineRow(
            Deadline.COMMAND, "a reply leaves", "by a complete line, not by octets of one", "timed_out", peer_only=True
        ),
        DeadlineRow(
            Deadline.BODY,
            "354 leaves, or a BDAT line was read",
            "by octets, while min_body_rate is kept",
            "timed_out",
            peer_only=True,
        ),
        DeadlineRow(Deadline.WRITE, "data_to_send returned octets", "never; data_sent disarms", None),
        DeadlineRow(Deadline.TLS, "the 220 to STARTTLS leaves", "never; the handshake's end disarms", None),
        DeadlineRow(Deadline.SESSION, "the first call that passes a time", "never", "timed_out"),
    )
}
"""The server's."""

_LEAVES: Final = "the command leaves, and the reply before it has come"
_REPLY: Final = "never; its reply, whole, disarms"

CLIENT_DEADLINES: Final = {
    row.deadline: row
    for row in (
        DeadlineRow(Deadline.GREETING, "the first call that passes a time", _REPLY, None),
        DeadlineRow(Deadline.COMMAND, f"{_LEAVES}: all that are not below", _REPLY, None),
        DeadlineRow(Deadline.MAIL, f"{_LEAVES}: MAIL", _REPLY, None),
        DeadlineRow(Deadline.RCPT, f"{_LEAVES}: RCPT", _REPLY, None),
        DeadlineRow(Deadline.DATA, f"{_LEAVES}: DATA", _REPLY, None),
        DeadlineRow(Deadline.BLOCK, "data_to_send returned octets of a message", "never; data_sent disarms", None),
        DeadlineRow(Deadline.DOT, "the end of a message leaves", "by each reply but the last in LMTP", None),
        DeadlineRow(Deadline.QUIT, f"{_LEAVES}: QUIT", _REPLY, None),
        DeadlineRow(Deadline.WRITE, "data_to_send returned other octets", "never; data_sent disarms", None),
        DeadlineRow(Deadline.TLS, "the 220 to STARTTLS was read", "never; the handshake's end disarms", None),
        DeadlineRow(Deadline.SESSION, "the first call that passes a time", "never", None),
    )
}
"""The client's; each ends the connection at once (RFC 5321 section 4.5.3.2)."""


class Clockwork:
    """The armed deadlines of one connection."""

    __slots__ = ("_armed", "_next")

    def __init__(self) -> None:
        self._armed: dict[Deadline, float] = {}
        self._next: float | None = math.inf

    def arm(self, deadline: Deadline, at: float) -> None:
        """Set *deadline* to expire at *at*, whether it was armed or not."""
        self._armed[deadline] = at
        self._next = None

    def disarm(self, *deadlines: Deadline) -> None:
        """Forget *deadlines*, armed or not."""
        for deadline in deadlines:
            self._armed.pop(deadline, None)
        self._next = None

    def armed(self, deadline: Deadline) -> bool:
        """Whether *deadline* is armed."""
        return deadline in self._armed

    def at(self, deadline: Deadline) -> float:
        """When *deadline*, which is armed, expires."""
        return self._armed[deadline]

    def next(self) -> float:
        """The earliest; ``math.inf`` where none is armed."""
        if self._next is None:
            self._next = min(self._armed.values(), default=math.inf)
        return self._next

    def expired(self, now: float) -> list[Deadline]:
        """Those at or before *now*, in the order of the table."""
        return [deadline for deadline in Deadline if self._armed.get(deadline, math.inf) <= now]
