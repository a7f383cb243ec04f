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
    """The armed deadlines of one connection.

    What is on the path of every command writes to `times` itself, and says so by `stale`.
    """

    __slots__ = ("_next", "stale", "times")

    def __init__(self) -> None:
        self.times: dict[Deadline, float] = {}
        self.stale = False  # `times` has changed since the earliest was looked for
        self._next = math.inf

    def arm(self, deadline: Deadline, at: float) -> None:
        """Set *deadline* to expire at *at*, whether it was armed or not."""
        self.times[deadline] = at
        self.stale = True

    def disarm(self, *deadlines: Deadline) -> None:
        """Forget *deadlines*, armed or not."""
        for deadline in deadlines:
            self.times.pop(deadline, None)
        self.stale = True

    def armed(self, deadline: Deadline) -> bool:
        """Whether *deadline* is armed."""
        return deadline in self.times

    def at(self, deadline: Deadline) -> float:
        """When *deadline*, which is armed, expires."""
        return self.times[deadline]

    def next(self) -> float:
        """The earliest; ``math.inf`` where none is armed."""
        if self.stale:
            self.stale = False
            self._next = min(self.times.values(), default=math.inf)
        return self._next

    def expired(self, now: float) -> list[Deadline]:
        """Those at or before *now*, in the order of the table."""
        return [deadline for deadline in Deadline if self.times.get(deadline, math.inf) <= now]
