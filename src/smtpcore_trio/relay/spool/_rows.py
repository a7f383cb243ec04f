"""Rows of the index, and what was kept in them."""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from . import _codec
from ._entry import Entry, RecipientState, Status, id_of
from ._system import Row

COLUMNS: Final = "id, received, octets, digest, prefix, envelope, facts, seal"
STATE_COLUMNS: Final = "message, position, status, due, attempts, reply, remote"


class Unreadable(Exception):
    """A row is not what was kept."""


def content_digest(octets: bytes | bytearray = b"") -> "hashlib.blake2b":
    """The digest of a message's content, as far as it is there."""
    return hashlib.blake2b(octets, digest_size=32)


def seal(
    number: int, received: float, octets: int, digest: bytes, prefix: bytes, envelope: bytes, facts: bytes
) -> bytes:
    """A digest of a row: what has rotted in it shows."""
    sealed = hashlib.blake2b(digest_size=16)
    for part in (str(number).encode(), received.hex().encode(), str(octets).encode(), digest, prefix, envelope, facts):
        sealed.update(b"%d:" % len(part))
        sealed.update(part)
    return sealed.digest()


def entry_of(row: Row) -> Entry:
    """The entry that a row, of `COLUMNS`, was made of.

    Raises:
        Unreadable: it is not what was kept.
    """
    number, received, octets, digest, prefix, envelope, facts, sealed = row[:8]
    try:
        if seal(number, received, octets, digest, prefix, envelope, facts) != sealed:
            raise Unreadable("the row has changed")
        return Entry(
            id=id_of(number),
            envelope=_codec.decode(envelope),
            received=received,
            octets=octets,
            digest=digest,
            prefix=prefix,
            facts=json.loads(facts),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise Unreadable(f"the row cannot be read: {error}") from error


def state_of(row: Row) -> RecipientState:
    """The state that a row, of `STATE_COLUMNS`, was made of.

    Raises:
        Unreadable: it is not what was kept.
    """
    _, index, status, due, attempts, reply, remote = row
    try:
        return RecipientState(
            index=index,
            status=Status(status.decode("ascii")),
            due=float(due),
            attempts=int(attempts),
            reply=reply.decode("utf-8", "surrogatepass"),
            remote=remote.decode("utf-8", "surrogatepass"),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise Unreadable(f"the row of recipient {index} cannot be read: {error}") from error


def states_of(entry: Entry, rows: Iterable[Row]) -> tuple[RecipientState, ...]:
    """The state of each recipient; what has no row is due since the message was received.

    Raises:
        Unreadable: a row is not what was kept.
    """
    kept = {state.index: state for state in map(state_of, rows)}
    count = len(entry.envelope.recipients)
    return tuple(kept.get(index) or RecipientState(index=index, due=entry.received) for index in range(count))


def by_message(rows: Iterable[Row]) -> Iterator[tuple[int, list[Row]]]:
    """Rows of recipients, which are in order, those of each message together."""
    for number, group in itertools.groupby(rows, key=_number):
        yield number, list(group)


def _number(row: Row) -> int:
    number: int = row[0]
    return number


def plain(row: Row, columns: str) -> dict[str, Any]:
    """A row as JSON for people."""
    named = zip(columns.split(", "), row, strict=False)
    return {name: value.decode("latin-1") if isinstance(value, bytes) else value for name, value in named}
