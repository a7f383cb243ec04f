"""Every call that the spool makes on files and on its database, so that a test can fail each of them."""

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

Row = tuple[Any, ...]

_SAFE: Final = os.O_NOFOLLOW | os.O_CLOEXEC


class System:
    """The calls. All of them block, and raise `OSError` or `sqlite3.Error`."""

    def create(self, path: Path) -> int:
        """A new file of the owner's, to write to."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, 0o600)

    def open(self, path: Path) -> int:
        """A file or a directory, to read."""
        return os.open(path, os.O_RDONLY | _SAFE)

    def lock(self, path: Path) -> int:
        """A file that nobody else has locked.

        Raises:
            BlockingIOError: somebody has.
        """
        file = os.open(path, os.O_RDWR | os.O_CREAT | _SAFE, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(file)
            raise
        return file

    def write(self, file: int, octets: bytes | bytearray | memoryview) -> int:
        """Write some of *octets*; how many."""
        return os.write(file, octets)

    def read(self, file: int, most: int) -> bytes:
        """At most so many octets; none at the end."""
        return os.read(file, most)

    def sync(self, file: int) -> None:
        """Make a file, or the names in a directory, durable."""
        os.fsync(file)

    def close(self, file: int) -> None:
        """Close a file."""
        os.close(file)

    def rename(self, path: Path, new: Path) -> None:
        """Rename a file."""
        os.rename(path, new)

    def unlink(self, path: Path) -> None:
        """Remove a file; that it is not there is no error."""
        path.unlink(missing_ok=True)

    def make_directory(self, path: Path) -> None:
        """A directory for the owner alone; it may be there."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_mode & 0o077:
            path.chmod(0o700)

    def names(self, path: Path) -> list[str]:
        """What is in a directory; nothing is in what is none."""
        return sorted(os.listdir(path)) if path.is_dir() else []

    def size(self, path: Path) -> int | None:
        """The octets in a file; None where there is none."""
        try:
            return path.lstat().st_size
        except FileNotFoundError:
            return None

    def space(self, path: Path) -> os.statvfs_result:
        """What is left on the disk."""
        return os.statvfs(path)

    def connect(self, path: Path, *, read_only: bool) -> sqlite3.Connection:
        """A connection to a database that is there, for one thread at a time. Text comes as octets."""
        mode = "ro" if read_only else "rw"
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=5, isolation_level=None, check_same_thread=False)
        connection.text_factory = bytes  # so that no octet that has rotted makes a row unreadable
        return connection

    def execute(self, connection: sqlite3.Connection, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Run a statement; its rows."""
        return connection.execute(statement, values).fetchall()

    def disconnect(self, connection: sqlite3.Connection) -> None:
        """Close a connection."""
        connection.close()


def write_all(system: System, file: int, octets: bytes | bytearray) -> None:
    """Write *octets* to a file, however many calls that takes."""
    with memoryview(octets) as view:
        written = 0
        while written < len(view):
            written += system.write(file, view[written:])


def sync_directory(system: System, path: Path) -> None:
    """Make the names in a directory durable."""
    directory = system.open(path)
    try:
        system.sync(directory)
    finally:
        system.close(directory)


def make_file(system: System, path: Path, octets: bytes | bytearray) -> None:
    """Make a file of *octets*, durable but for its name, in the place of any that is there."""
    system.unlink(path)
    file = system.create(path)
    try:
        write_all(system, file, octets)
        system.sync(file)
    finally:
        system.close(file)
