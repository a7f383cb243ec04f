"""Messages into a Maildir, so that those which are acknowledged survive a power cut.

A message is written to a file in ``tmp/``, synced, renamed into ``new/``, and both directories are synced;
only then has `Writer.commit` done its work. Of a message that ends before that, nothing is left.

All that blocks is done in threads. A message of up to `BUFFER_OCTETS` octets costs one hop into a thread.
"""

import contextlib
import os
import secrets
import socket
import time
from errno import EDQUOT, ENOSPC
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import trio

from smtpcore import Reply

BUFFER_OCTETS: Final = 262_144
"""Of a message that are held before they are written."""

# Nobody may write to one file for longer.
_STALE_SECONDS: Final = 36 * 3600

STORAGE_FULL: Final = Reply(452, "Insufficient system storage", "4.3.1")
STORAGE_FAILED: Final = Reply(451, "Local error in processing", "4.3.0")


def refusal(error: OSError) -> Reply:
    """What to say of a message that could not be stored."""
    return STORAGE_FULL if error.errno in (ENOSPC, EDQUOT) else STORAGE_FAILED


class Maildir:
    """A Maildir: ``tmp``, ``new`` and ``cur`` below *path*."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.tmp = self.path / "tmp"
        self.new = self.path / "new"
        self.cur = self.path / "cur"
        self._host = socket.gethostname().replace("/", "\\057").replace(":", "\\072")

    def create(self) -> None:
        """Make what is missing, for the owner alone, and remove what was left in ``tmp`` long ago. Blocks.

        Raises:
            OSError: it cannot be made.
        """
        for directory in (self.path, self.tmp, self.new, self.cur):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_directory(self.path)
        sync_directory(self.path.parent)
        for left in self.tmp.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                    left.unlink()

    def file_name(self, identifier: str) -> str:
        """The name of the file of the message *identifier*."""
        return f"{int(time.time())}.{identifier}.{self._host}"

    def receive(self, identifier: str, prefix: bytes = b"") -> "Writer":
        """Begin a message, for use by ``async with``.

        Args:
            identifier: from `new_identifier`.
            prefix: header fields to put before it.
        """
        return Writer(self, self.file_name(identifier), prefix)


def new_identifier() -> str:
    """A name for a message that no other has, in hexadecimal."""
    return secrets.token_hex(10)


class Writer:
    """A message on its way into a Maildir. What is not committed is gone when the block ends."""

    def __init__(self, maildir: Maildir, name: str, prefix: bytes) -> None:
        self._maildir = maildir
        self._temporary = maildir.tmp / name
        self._final = maildir.new / name
        self._buffer = bytearray(prefix)
        self._file = -1
        self._made: list[Path] = []  # what is there of it, under which names

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._made:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._remove)

    async def write(self, octets: bytes) -> None:
        """Put *octets* behind what there is.

        Raises:
            OSError: they cannot be stored.
        """
        self._buffer += octets
        if len(self._buffer) >= BUFFER_OCTETS:
            await trio.to_thread.run_sync(self._write)

    async def commit(self) -> Path:
        """Make the message durable, and let it be seen. It is not cancelled once it has begun.

        Returns:
            The file that it is in.

        Raises:
            OSError: it cannot be stored; nothing is left of it.
        """
        await trio.to_thread.run_sync(self._commit)
        return self._final

    # --- in a thread ---------------------------------------------------------------------------------

    def _write(self) -> None:
        if self._file < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(self._temporary, flags, 0o600)
            self._made = [self._temporary]
        with memoryview(self._buffer) as octets:
            written = 0
            while written < len(octets):
                written += os.write(self._file, octets[written:])
        self._buffer.clear()

    def _commit(self) -> None:
        try:
            self._write()
            # An error here means that the kernel has given up on the octets: to sync again would find nothing
            # to do, and report success.
            os.fsync(self._file)
            os.rename(self._temporary, self._final)
            self._made = [self._final]
            sync_directory(self._maildir.new)
            sync_directory(self._maildir.tmp)
        except BaseException:
            self._remove()  # nobody may find a message that was not acknowledged
            raise
        self._made = []
        self._close()

    def _remove(self) -> None:
        self._close()
        while self._made:
            with contextlib.suppress(OSError):  # the error before it is the one to tell
                self._made.pop().unlink()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


def sync_directory(path: Path) -> None:
    """Make the names in *path* durable.

    Raises:
        OSError: they may not be.
    """
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
