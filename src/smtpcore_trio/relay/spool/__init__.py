"""The spool: what was acknowledged is on the disk, until the last recipient is done with.

    async with open_spool(directory) as spool, spool.writer() as writer:
        async for octets in body:
            await writer.write(octets)
        entry = await spool.commit(writer, envelope, received=now)

Content is kept as it was received, with CRLF and without the dots of DATA; header fields of ours are a prefix of it.
"""

from ._codec import Undecodable, Unencodable
from ._entry import (
    Alert,
    Corrupt,
    Entry,
    Free,
    NoSuchMessage,
    RecipientState,
    SpoolError,
    SpoolFailed,
    SpoolFull,
    SpoolLocked,
    SpoolSettings,
    Status,
)
from ._reader import Reader
from ._spool import Spool, open_spool
from ._system import System
from ._writer import Writer

__all__ = [
    "Alert",
    "Corrupt",
    "Entry",
    "Free",
    "NoSuchMessage",
    "Reader",
    "RecipientState",
    "Spool",
    "SpoolError",
    "SpoolFailed",
    "SpoolFull",
    "SpoolLocked",
    "SpoolSettings",
    "Status",
    "System",
    "Undecodable",
    "Unencodable",
    "Writer",
    "open_spool",
]
