"""What every connection has, whichever side it is: octets in, octets out, and deadlines."""

import math
from collections.abc import Mapping
from typing import Final

from ._deadlines import Clockwork, Deadline
from ._framing import Input

# Members of an enum are looked up by Python code in CPython 3.11: too slow for every read.
_BODY: Final = Deadline.BODY
_COMMAND: Final = Deadline.COMMAND
_SESSION: Final = Deadline.SESSION
_WRITE: Final = Deadline.WRITE
# Sums of fractions are not exact.
_ROUNDING: Final = 1e-3


class Link:
    """Input, output and clockwork of one connection. Composed into the doors, not inherited.

    Args:
        received: the input.
        lengths: of each deadline, in seconds.
        min_body_rate: octets a second that a message must keep up.
    """

    __slots__ = (
        "_body_octets", "_body_start", "_lengths", "_rate", "_resumed", "_stopped", "_to_arm",
        "clock", "ended", "input", "out", "out_octets", "pending", "waiting",
    )  # fmt: skip

    def __init__(self, received: Input, lengths: Mapping[Deadline, float], min_body_rate: float) -> None:
        self.input = received
        self.clock = Clockwork()
        self.out_octets = 0
        self.ended = False
        self.waiting = False  # for octets of the peer, and for nothing else
        self.pending = True  # `touch` is wanted by the next call that passes a time
        self._to_arm: Deadline | None = _SESSION
        self.out: list[bytes] = []
        self._lengths = lengths
        self._rate = min_body_rate
        self._body_start = 0.0
        self._body_octets = 0
        self._stopped = 0.0  # when the peer's clock was stopped, as octets of its message came
        self._resumed = False

    def send(self, octets: bytes) -> None:
        """Put *octets* behind what is to be sent."""
        self.out.append(octets)
        self.out_octets += len(octets)

    def take(self) -> list[bytes]:
        """What is to be sent."""
        out, self.out = self.out, []
        self.out_octets = 0
        return out

    def leave(self, now: float, *, answered: bool) -> list[bytes]:
        """What is to be sent, as it leaves; where it is *answered* by a command, the time for that begins."""
        out = self.out
        if out:
            self.out = []
            self.out_octets = 0
            # Spelt out: this is on the path of every command.
            clock, lengths = self.clock, self._lengths
            if _WRITE not in clock.times:  # who takes some octets slowly does not earn more time
                clock.times[_WRITE] = now + lengths[_WRITE]
            if answered:
                clock.times[_COMMAND] = now + lengths[_COMMAND]
            clock.stale = True
            return out
        return []

    def left(self) -> None:
        """What `leave` returned has left."""
        clock = self.clock
        if clock.times.pop(_WRITE, None) is not None:
            clock.stale = True

    def touch(self, now: float) -> None:
        """Start what waited for a time to start from; the session itself before all."""
        self.pending = False
        if self._resumed:
            self._resumed = False
            if self.clock.armed(_BODY):
                pause = now - self._stopped
                self._body_start += pause
                self.clock.arm(_BODY, self.clock.at(_BODY) + pause)
        if self._to_arm is not None and not self.ended:
            if not self.clock.armed(_SESSION):
                self.restart(_SESSION, now)
            self.restart(self._to_arm, now)
        self._to_arm = None

    def end(self) -> None:
        """The session is over: only what is still to be written has a deadline."""
        self.ended = True
        self._to_arm = None
        self.clock.disarm(*(each for each in Deadline if each is not Deadline.WRITE))

    def disarm(self, deadline: Deadline) -> None:
        """Forget *deadline*, armed or about to be."""
        self.clock.disarm(deadline)
        if self._to_arm is deadline:
            self._to_arm = None

    def arm_soon(self, deadline: Deadline) -> None:
        """The wait for the next command ends; *deadline* runs from the next time that is told."""
        self.clock.disarm(_COMMAND)
        self._to_arm = deadline
        self.pending = True

    def restart(self, deadline: Deadline, now: float) -> None:
        """Give *deadline* its whole length from *now*."""
        if deadline is _BODY:
            self._body_start = now
            self._body_octets = 0
            self._stopped = now
        self.clock.arm(deadline, now + self._lengths[deadline])

    def resume(self) -> None:
        """The wait for octets of a message begins; so does, at the next time that is told, the peer's clock."""
        if not self.waiting:
            self._resumed = True
            self.pending = True

    def body_moved(self, octets: int, now: float) -> None:
        """*octets* of a message came: move its deadline, as far as the pace allows."""
        self._stopped = now
        self._body_octets += octets
        paced = self._body_start + self._body_octets / self._rate
        self.clock.arm(_BODY, (min(paced, now)) + self._lengths[_BODY])

    def missed(self, deadline: Deadline) -> str:
        """The field of `Timeouts` by which *deadline* was armed for when it was.

        That of a message is behind its last octets by less than its length where they came too slowly.
        """
        if deadline is _BODY and self.clock.at(_BODY) < self._stopped + self._lengths[_BODY] - _ROUNDING:
            return "min_body_rate"
        return deadline.value

    def next_deadline(self) -> float:
        """When to call ``handle_timeout``; ``math.inf`` for never."""
        # What waits for a time to start from must not be missed by a caller that sleeps.
        return -math.inf if self._to_arm is not None else self.clock.next()
