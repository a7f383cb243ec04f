"""What became of a message: a fate for each recipient, always.

A client that gives up early loses mail or sends it twice, so a transaction knows at every moment what
would have to be said of each recipient if the connection were gone now.
"""

import enum
from collections import Counter
from typing import Final, final

from ._envelope import Envelope, Recipient
from ._outgoing import OutgoingBody
from ._reply import Reply
from ._value import value


class Fate(enum.Enum):
    """What became of a message for one recipient."""

    ACCEPTED = "the server took it, and the responsibility for it"
    REFUSED = "the reply says no; what it says binds"
    UNSENT = "it was certainly not taken, and nobody refused it: it may be tried again at once"
    UNKNOWN = "its end was sent and no reply came: tried again, it may arrive twice (RFC 1047)"


# Members of an enum are looked up by Python code in CPython 3.11: too slow for every recipient.
_UNSENT: Final = Fate.UNSENT
_UNKNOWN: Final = Fate.UNKNOWN


@final
@value
class Outcome:
    """The fate of one recipient.

    Args:
        reply: what decided it; None where nothing was said. Of UNSENT, why, where that is known.
        local: the reply is ours: the server was not asked, since it does not offer what the message needs,
            or a limit that it announced leaves no room.
    """

    recipient: Recipient
    fate: Fate
    reply: Reply | None = None
    local: bool = False


class Transaction:
    """One message on its way: made by `ClientConnection.send`, named by the events about it."""

    __slots__ = (
        "_accepted", "_body", "_decided", "_done", "_end_sent", "_ended", "_envelope", "_outstanding", "_rcpts_left",
        "_refused", "_rest", "_wanted",
    )  # fmt: skip

    def __init__(self, envelope: Envelope, body: OutgoingBody) -> None:
        self._envelope = envelope
        self._body = body
        self._decided: dict[int, Outcome] = {}  # by place in the envelope
        self._rest: tuple[Fate, Reply | None, bool] | None = None  # of all others, once that is known
        self._accepted: dict[int, None] = {}  # by the reply to RCPT, in their order
        self._rcpts_left = 0  # that were sent or are to be, and have no reply
        self._outstanding = 0  # commands and ends of it that are to be sent, or have no reply
        self._refused = False  # there will be no message, or no more of it
        self._wanted = False  # the server has asked for the body
        self._ended = False  # the application has given all of it
        self._end_sent = False  # its end may have been sent
        self._done = False

    @property
    def envelope(self) -> Envelope:
        """As given to `send`."""
        return self._envelope

    @property
    def done(self) -> bool:
        """Whether every outcome is final."""
        return self._done

    @property
    def wants_body(self) -> bool:
        """Whether to give octets now. False before `BodyWanted`, after the end, and for back-pressure."""
        return self._wanted and not (self._ended or self._refused or self._done or self._body.full)

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """One for each recipient, in the envelope's order; until `done`, what they would be if the link broke now."""
        decided, recipients, rest = self._decided, self._envelope.recipients, self._rest
        if rest is not None and not decided:  # as nearly always
            return tuple([Outcome(each, *rest) for each in recipients])
        return tuple(
            decided.get(index) or self._undecided(index, recipient) for index, recipient in enumerate(recipients)
        )

    def _undecided(self, index: int, recipient: Recipient) -> Outcome:
        if self._rest is not None:
            fate, reply, local = self._rest
            return Outcome(recipient, fate, reply, local)
        return Outcome(recipient, _UNKNOWN if self._end_sent and index in self._accepted else _UNSENT)

    def __repr__(self) -> str:
        fates = Counter(each.fate.name for each in self.outcomes)
        counts = ", ".join(f"{count} {fate}" for fate, count in fates.items())
        return f"<Transaction from <{self._envelope.reverse_path}>, {'done' if self._done else 'under way'}: {counts}>"

    # --- for the connection ------------------------------------------------------------------------

    def _decide(self, index: int, fate: Fate, reply: Reply | None, *, local: bool = False) -> None:
        """Say what became of a recipient; the first word counts."""
        if self._rest is None and index not in self._decided:
            self._decided[index] = Outcome(self._envelope.recipients[index], fate, reply, local)
