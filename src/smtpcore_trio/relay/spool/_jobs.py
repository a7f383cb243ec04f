"""Changes of the index: each is part of a transaction with others, in the one thread that writes."""

import abc
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import trio

from smtpcore import Envelope

from . import _codec
from ._entry import Entry, NoSuchMessage, RecipientState, id_of
from ._rows import content_digest, seal
from ._system import Row

Execute = Callable[[str, Sequence[object]], list[Row]]

_dump: Final = json.JSONEncoder(separators=(",", ":")).encode


class Job(abc.ABC):
    """A change, that the present task is to wait for. Its `error` is what it came to, None if it is durable.

    Args:
        number: of the message.
    """

    adds = False
    weight = 512  # octets of the log, about

    def __init__(self, number: int) -> None:
        self.number = number
        self.task = trio.lowlevel.current_task()
        self.error: Exception | None = None

    @abc.abstractmethod
    def apply(self, execute: Execute) -> None:
        """Do it, again if need be.

        Raises:
            NoSuchMessage, ValueError: it is not to be done; nothing was.
        """


class Insert(Job):
    """A message that was received.

    Args:
        content: None where it is in a file, of *octets*, whose `digest` is to be set.
    """

    adds = True
    entry: Entry

    def __init__(
        self,
        number: int,
        envelope: Envelope,
        *,
        received: float,
        prefix: bytes,
        facts: Mapping[str, str],
        content: bytearray | None,
        octets: int,
    ) -> None:
        if math.isnan(received):
            raise ValueError("a message was received at some time, not at NaN")
        super().__init__(number)
        self._encoded = _codec.encode(envelope)
        self._envelope = envelope
        self._facts = facts
        self._encoded_facts = _dump(dict(facts)).encode("ascii")
        self._content = content
        self.weight += len(self._encoded) + (0 if content is None else octets)
        self._received = float(received) + 0.0  # SQLite keeps no zero that is negative
        self._prefix = bytes(prefix)
        self._octets = octets
        self.digest = b""

    def apply(self, execute: Execute) -> None:
        """Do it, again if need be."""
        if self._content is not None:
            self.digest = content_digest(self._content).digest()
        about = (self._received, self._octets, self.digest, self._prefix, self._encoded, self._encoded_facts)
        count = len(self._envelope.recipients)
        execute(
            "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self.number, count, *about, seal(self.number, *about), self._content),
        )
        self.entry = Entry(
            id=id_of(self.number),
            envelope=self._envelope,
            received=self._received,
            octets=self._octets,
            digest=self.digest,
            prefix=self._prefix,
            facts=self._facts,
        )


class Record(Job):
    """What has become of recipients."""

    def __init__(self, number: int, rows: Sequence[RecipientState]) -> None:
        super().__init__(number)
        self._rows = rows

    def apply(self, execute: Execute) -> None:
        """Do it, again if need be."""
        count = _recipients(execute, self.number)
        if not all(0 <= row.index < count and not math.isnan(row.due) for row in self._rows):
            raise ValueError(f"{id_of(self.number)} has {count} recipients, not those of {self._rows!r}")
        for row in self._rows:
            # As octets: a reply may hold what no database takes for text.
            reply, remote = (text.encode("utf-8", "surrogatepass") for text in (row.reply, row.remote))
            execute(
                "INSERT OR REPLACE INTO recipients VALUES (?, ?, ?, ?, ?, ?, ?)",
                (self.number, row.index, row.status.value, row.due, row.attempts, reply, remote),
            )


class Drop(Job):
    """A message that is not needed any more."""

    def apply(self, execute: Execute) -> None:
        """Do it, again if need be."""
        _recipients(execute, self.number)
        forget(execute, self.number)


def _recipients(execute: Execute, number: int) -> int:
    rows = execute("SELECT recipients FROM messages WHERE id = ?", (number,))
    if not rows:
        raise NoSuchMessage(id_of(number))
    count: int = rows[0][0]
    return count


def forget(execute: Execute, number: int) -> None:
    """Delete what there is of a message in the index."""
    execute("DELETE FROM recipients WHERE message = ?", (number,))
    execute("DELETE FROM messages WHERE id = ?", (number,))
