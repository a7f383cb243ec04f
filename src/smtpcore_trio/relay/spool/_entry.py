"""What the spool knows of a message, and what it says when it cannot keep one."""

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from smtpcore import Envelope

# Crockford's digits: in the order of ASCII, and none that people take for another.
_DIGITS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = [first + second for first in _DIGITS for second in _DIGITS]
_VALUES: Final = {digit: number for number, digit in enumerate(_DIGITS)}
ID_LENGTH: Final = 13
_RANDOM_BITS: Final = 20
MOST_NUMBER: Final = 2**63 - 1
_LAST_MILLISECOND: Final = 2**43 - 2  # of the year 2248


def id_of(number: int) -> str:
    """The identifier of the message *number*: 13 characters, which sort as the numbers do."""
    low, middle = number & 0xFFFFF, number >> 20 & 0xFFFFF
    high, first = number >> 40 & 0xFFFFF, number >> 60
    return (
        f"{_DIGITS[first]}{_PAIRS[high >> 10]}{_PAIRS[high & 1023]}{_PAIRS[middle >> 10]}{_PAIRS[middle & 1023]}"
        f"{_PAIRS[low >> 10]}{_PAIRS[low & 1023]}"
    )


def number_of(identifier: str) -> int:
    """The number of a message.

    Raises:
        ValueError: *identifier* is none.
    """
    if len(identifier) == ID_LENGTH and all(digit in _VALUES for digit in identifier):
        number = 0
        for digit in identifier:
            number = number << 5 | _VALUES[digit]
        if number <= MOST_NUMBER:
            return number
    raise ValueError(f"not the identifier of a message: {identifier!r}")


class Numbers:
    """The numbers of messages: each is above all before it, and tells the millisecond unless the clock went back.

    Args:
        last: the highest that was ever kept.
    """

    def __init__(self, last: int) -> None:
        self._last = last

    def next(self, now: float, random: int) -> int:
        """The number of another message.

        Args:
            now: seconds since 1970.
            random: of which the lowest bits are used.
        """
        timely = min(max(int(now * 1000), 0), _LAST_MILLISECOND) << _RANDOM_BITS | random & ((1 << _RANDOM_BITS) - 1)
        self._last = max(timely, self._last + 1)
        return self._last


class Status(enum.Enum):
    """What has become of a recipient."""

    QUEUED = "queued"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    HELD = "held"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@attrs.frozen(kw_only=True)
class RecipientState:
    """How far a recipient is.

    Args:
        index: which of the envelope's.
        due: when to try again, in seconds since 1970.
        attempts: that were made.
        reply: the text of the last reply.
        remote: who gave it.
    """

    index: int
    status: Status = Status.QUEUED
    due: float = 0.0
    attempts: int = 0
    reply: str = ""
    remote: str = ""


@attrs.frozen(kw_only=True)
class Entry:
    """A message in the spool.

    Args:
        id: names it, in replies, logs and file names; identifiers sort by time.
        received: when, in seconds since 1970, by the caller's clock.
        octets: of the content.
        digest: BLAKE2b-256 of the content.
        prefix: header fields of ours that go before the content.
        facts: what the journal says of it.
    """

    id: str
    envelope: Envelope
    received: float
    octets: int
    digest: bytes
    prefix: bytes = b""
    facts: Mapping[str, str] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True)
class SpoolSettings:
    """How a spool keeps messages.

    Args:
        inline_octets: content up to this is held in memory, then put into the database; beyond it, into a file.
        batch: so many changes, at most, become durable together.
        threads: that write and read files.
        checkpoint_octets: about so much goes into the database's log before it goes into the database.
        page: so many messages are read at a time by a scan.
        reserve_octets, reserve_inodes: what must be left on the disk for a message to be begun; one that was begun is
            refused when half of these octets are left.
    """

    inline_octets: int = 65_536
    batch: int = 64
    threads: int = 8
    checkpoint_octets: int = 4_194_304
    page: int = 256
    reserve_octets: int = 67_108_864
    reserve_inodes: int = 1_000


@attrs.frozen(kw_only=True)
class Free:
    """What is left on the disk; None for inodes that are not counted."""

    octets: int
    inodes: int | None


@attrs.frozen(kw_only=True)
class Alert:
    """What somebody should look at.

    Args:
        id: of the message; None where it is the spool as a whole.
        where: it was put, if it was.
    """

    id: str | None
    reason: str
    where: Path | None = None


class SpoolError(Exception):
    """The spool could not do it, now; nothing is left of a message that was to be kept."""


class SpoolFull(SpoolError):
    """There is no room on the disk."""


class SpoolFailed(SpoolError):
    """The disk has failed, and nothing is taken until the spool is opened anew."""


class SpoolLocked(SpoolError):
    """Another process uses the directory."""


class NoSuchMessage(LookupError):
    """There is no message of this identifier."""


class Corrupt(Exception):
    """A message is not what was kept, and was set aside."""
