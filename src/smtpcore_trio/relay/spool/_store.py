"""The index and the files, by calls that block.

    lock               held while the spool is open
    index.db           a row for each message, with its content if it is short; what has become of recipients
    incoming/ID        content that is being received
    bodies/YZ/ID       content that was received, by the last two characters of the identifier
    corrupt/ID.*       messages that are not what was kept
    refused            messages whose row may be found though it was said that they were not kept

A message is there when its row is. A file is made durable under its final name before its row is, and is removed
after its row, so what a crash leaves is a file without a row, which nobody was promised.

The database has a log (WAL) that each transaction is synced to. If that fails, nobody knows what is on the disk, nor
will another sync say: the spool has failed. Moving the log into the database is left to `Store.checkpoint`, since
SQLite, on its own, would go on after a failure there.
"""

import contextlib
import errno
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from ._entry import Alert, SpoolError, SpoolFailed, SpoolFull, SpoolLocked, SpoolSettings, id_of
from ._jobs import Job
from ._rows import COLUMNS, STATE_COLUMNS
from ._system import Row, System, make_file, sync_directory

VERSION: Final = 1

_SCHEMA: Final = (
    # The column that may be long is the last one, so that nothing is read past it.
    """CREATE TABLE IF NOT EXISTS messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, recipients INTEGER, received REAL, octets INTEGER,
        digest BLOB, prefix BLOB, envelope BLOB, facts BLOB, seal BLOB, content BLOB)""",
    "CREATE INDEX IF NOT EXISTS filed ON messages (id) WHERE content IS NULL",
    """CREATE TABLE IF NOT EXISTS recipients (
        message INTEGER, position INTEGER, status TEXT, due REAL, attempts INTEGER, reply BLOB, remote BLOB,
        PRIMARY KEY (message, position)) WITHOUT ROWID""",
    f"PRAGMA user_version = {VERSION}",
)

_NO_ROOM: Final = "no more than the reserve is left"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_BUSY: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

# What concerns one message, or may pass; all else that SQLite says is a failure of the disk, or as grave.
_OWN: Final = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_NOMEM,
)


class SpoolBusy(SpoolError):
    """Somebody else writes to the index."""


def refusal(error: Exception) -> SpoolError:
    """What an error of the system comes to."""
    kind: type[SpoolError]
    if isinstance(error, OSError):
        kind = SpoolFull if error.errno in _FULL else SpoolError if error.errno in _BUSY else SpoolFailed
    elif isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_BUSY:
            kind = SpoolBusy
        elif code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
            kind = SpoolFull
        else:
            # An error without a code is of the values of a statement.
            kind = SpoolError if code is None or code & 0xFF in _OWN else SpoolFailed
    else:
        kind = SpoolError
    return kind(f"{type(error).__name__}: {error}")


class Store:
    """The index and the files in *path*. `change` and `checkpoint` are for one thread at a time, `read` for one, too.

    Attributes:
        failure: why nothing is taken any more.
        alerts: that nobody was told of.
        last: the highest number that any message ever had.
        fresh: whether there was no index before.
    """

    def __init__(self, path: Path, settings: SpoolSettings, system: System) -> None:
        self.path = path
        self.settings = settings
        self.system = system
        self.incoming = path / "incoming"
        self.bodies = path / "bodies"
        self.corrupt = path / "corrupt"
        self.refused = path / "refused"
        self.failure: SpoolFailed | None = None
        self.alerts: list[Alert] = []
        self.last = 0
        self.fresh = False
        self._logged = 0
        self._shards: set[Path] = set()
        self._lock = -1
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None

    def open(self) -> None:
        """Lock the directory and open the index; make both where they are not.

        Raises:
            SpoolLocked: another process has it.
            SpoolError: it cannot be opened.
        """
        try:
            self._open()
        except BlockingIOError as error:
            self.close()
            raise SpoolLocked(f"{self.path} is in use") from error
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise SpoolFailed(f"{self.path} cannot be opened: {error}") from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        system = self.system
        for directory in (self.path, self.incoming, self.bodies, self.corrupt):
            system.make_directory(directory)
        self._lock = system.lock(self.path / "lock")
        index = self.path / "index.db"
        there = system.size(index)
        self.fresh = not there
        if there is None:
            system.close(system.create(index))  # by SQLite, it would be open to others
        self._writer = system.connect(index, read_only=False)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 0"):
            self.execute(f"PRAGMA {pragma}")
        version = self.execute("PRAGMA user_version")[0][0]
        if version > VERSION:
            raise SpoolFailed(f"{index} is of version {version}, and this program knows {VERSION}")
        self.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            self.execute(statement)
        self.execute("COMMIT")
        self._reader = system.connect(index, read_only=True)
        sync_directory(system, self.path)
        sync_directory(system, self.path.parent)
        for row in self.execute("SELECT seq FROM sqlite_sequence WHERE name = 'messages'"):
            self.last = row[0]

    def close(self) -> None:
        """Close all. Of a spool that has failed, the log stays as it is."""
        with contextlib.suppress(OSError, sqlite3.Error):
            if self.failure is None and self._reader is not None:
                self.checkpoint()
        # Who closes last moves the log into the database; one who may only read does not.
        connections = [self._reader, self._writer]
        if self.failure is not None:
            connections.reverse()
        for connection in connections:
            with contextlib.suppress(sqlite3.Error):
                if connection is not None:
                    self.system.disconnect(connection)
        with contextlib.suppress(OSError):
            if self._lock >= 0:
                self.system.close(self._lock)
        self.failure = self.failure or SpoolFailed(f"{self.path} is closed")
        self._writer = self._reader = None
        self._lock = -1

    # --- writing -------------------------------------------------------------------------------------

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Run a statement where all is written."""
        assert self._writer is not None
        return self.system.execute(self._writer, statement, values)

    def change(self, batch: Sequence[Job]) -> None:
        """Make a batch durable, in one transaction if it can be."""
        for job in batch:
            job.error = self.failure
        if self.failure is not None:
            return
        try:
            room = self.room() if any(job.adds for job in batch) else 0
            self.execute("BEGIN IMMEDIATE")
            for job in batch:
                if job.adds:
                    room -= job.weight
                    if room < 0:
                        job.error = SpoolFull(_NO_ROOM)
                        continue
                try:
                    job.apply(self.execute)
                except (LookupError, ValueError) as error:
                    job.error = error
            self.execute("COMMIT")
        except Exception as error:
            self._undo(batch, error)
        self._logged += sum(job.weight for job in batch)

    def _undo(self, batch: Sequence[Job], error: Exception) -> None:
        refused = refusal(error)
        try:
            assert self._writer is not None
            if self._writer.in_transaction:
                self.execute("ROLLBACK")
        except sqlite3.Error as another:
            refused = SpoolFailed(f"{another} after {error}")
        if isinstance(refused, SpoolFailed):
            self.fail(refused)
            self._refuse(job.number for job in batch if job.adds)
        elif len(batch) > 1 and type(refused) is not SpoolBusy:  # one of them may spoil it for all
            for job in batch:
                self.change([job])
            return
        for job in batch:
            job.error = refused

    def room(self) -> int:
        """Octets that new messages may take. Half of the reserve is left: to drop a message takes room, too.

        Raises:
            OSError: the disk does not say.
        """
        space = self.system.space(self.path)
        return space.f_bavail * space.f_frsize - self.settings.reserve_octets // 2

    def require(self, octets: int) -> None:
        """Find room for so many octets.

        Raises:
            OSError: there is none.
        """
        if self.room() < octets:
            raise OSError(errno.ENOSPC, _NO_ROOM)

    def fail(self, failure: SpoolFailed) -> None:
        """Take nothing any more."""
        if self.failure is None:
            self.failure = failure
            self.alerts.append(Alert(id=None, reason=str(failure)))

    def _refuse(self, numbers: Iterable[int]) -> None:
        """Let the next start forget messages whose rows may be found, though nobody was promised that they are kept."""
        with contextlib.suppress(OSError):
            make_file(self.system, self.refused, "".join(f"{id_of(number)}\n" for number in numbers).encode("ascii"))
            sync_directory(self.system, self.path)

    @property
    def is_checkpoint_due(self) -> bool:
        """Whether the log is long."""
        return self._logged >= self.settings.checkpoint_octets and self.failure is None

    def checkpoint(self) -> None:
        """Move the log into the database."""
        self._logged = 0
        try:
            self.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            refused = refusal(error)
            if isinstance(refused, SpoolFailed):
                self.fail(refused)

    # --- reading -------------------------------------------------------------------------------------

    def read(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Run a statement where nothing is written.

        Raises:
            SpoolError: it cannot be run.
        """
        if self._reader is None:
            raise SpoolFailed(f"{self.path} is closed")
        try:
            return self.system.execute(self._reader, statement, values)
        except sqlite3.Error as error:
            refused = refusal(error)
            if isinstance(refused, SpoolFailed):
                self.fail(refused)
            raise refused from error

    def page(self, after: int) -> tuple[list[Row], list[Row]]:
        """The rows of the next messages, without their content, and those of their recipients."""
        most = self.settings.page
        self.read("BEGIN")  # or a message that goes would be seen to have no outcome
        try:
            rows = self.read(f"SELECT {COLUMNS} FROM messages WHERE id > ? ORDER BY id LIMIT ?", (after, most))
            return rows, self.states(rows[0][0], rows[-1][0]) if rows else []
        finally:
            self.read("COMMIT")

    def states(self, first: int, last: int) -> list[Row]:
        """The rows of the recipients of some messages."""
        between = "WHERE message BETWEEN ? AND ? ORDER BY message, position"
        return self.read(f"SELECT {STATE_COLUMNS} FROM recipients {between}", (first, last))

    def row(self, number: int) -> Row | None:
        """The row of a message and, at its end, its content."""
        for row in self.read(f"SELECT {COLUMNS}, content FROM messages WHERE id = ?", (number,)):
            return row
        return None

    # --- files ---------------------------------------------------------------------------------------

    def body(self, number: int) -> Path:
        """The file of a message's content."""
        name = id_of(number)
        return self.bodies / name[-2:] / name

    def shard(self, path: Path) -> None:
        """Make the directory of the file *path*, durably."""
        if path.parent not in self._shards:
            # One that is there already may not be durable: it is another thread's, or a crash has come between.
            self.system.make_directory(path.parent)
            sync_directory(self.system, self.bodies)
            self._shards.add(path.parent)

    def blame(self, error: OSError) -> SpoolError:
        """What to raise for an error of a file that was written."""
        refused = refusal(error)
        if isinstance(refused, SpoolFailed):
            self.fail(refused)
        return refused
