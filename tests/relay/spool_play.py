"""What the tests of the spool share: faults on its calls, and messages in it."""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from smtpcore import Envelope
from smtpcore_trio.relay.spool import Alert, Entry, RecipientState, Spool, SpoolSettings, Status, System, open_spool

ENVELOPE = Envelope.parse("sender@example.org", ["one@example.net", "two@example.net"])
SMALL = b"Subject: small\r\n\r\nbody\r\n"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 40_000
NAMES = [name for name, value in vars(System).items() if callable(value)]


class Faulty(System):
    """A system that is asked before each call, and after it.

    Args:
        before, after: called with the count of the call, its name and its statement or path; may raise.
    """

    def __init__(self, before: "Call | None" = None, after: "Call | None" = None) -> None:
        self.calls: list[tuple[str, str]] = []
        self.before = before
        self.after = after

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        what = str(args[1]) if name == "execute" else str(args[0])
        if name == "sync":
            what = os.readlink(f"/proc/self/fd/{what}")
        self.calls.append((name, what))
        count = len(self.calls)
        if self.before is not None and name not in {"close", "disconnect"}:  # these do it even if they fail
            self.before(count, name, what)
        done = getattr(System, name)(self, *args, **kwargs)
        try:
            if self.before is not None and name in {"close", "disconnect"}:
                self.before(count, name, what)
            if self.after is not None:
                self.after(count, name, what)
        except BaseException:
            if name in {"create", "open", "lock"}:
                os.close(done)
            elif name == "connect":
                done.close()
            raise
        return done

    def count(self, statement: str) -> int:
        return sum(what.startswith(statement) for name, what in self.calls if name == "execute")


Call = Callable[[int, str, str], None]


def _through(name: str) -> Any:
    def call(self: Faulty, *args: Any, **kwargs: Any) -> Any:
        return self._call(name, *args, **kwargs)

    return call


for _name in NAMES:
    setattr(Faulty, _name, _through(_name))


def io_error(name: str, number: int) -> Exception:
    """An error as the call *name* raises it."""
    if name not in {"execute", "connect", "disconnect"}:
        return OSError(number, "injected")
    error = sqlite3.OperationalError("injected")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL if number == 28 else sqlite3.SQLITE_IOERR_FSYNC
    return error


@asynccontextmanager
async def opened(
    path: Path, system: System | None = None, alerts: list[Alert] | None = None, **settings: Any
) -> AsyncIterator[Spool]:
    settings.setdefault("reserve_octets", 0)
    heard: list[Alert] = [] if alerts is None else alerts
    async with open_spool(path, settings=SpoolSettings(**settings), alert=heard.append, system=system) as spool:
        yield spool
    if alerts is None:
        assert heard == []


async def put(spool: Spool, content: bytes = SMALL, envelope: Envelope = ENVELOPE, prefix: bytes = b"") -> Entry:
    async with spool.writer() as writer:
        for start in range(0, len(content), 50_000):
            await writer.write(content[start : start + 50_000])
        return await spool.commit(writer, envelope, received=1e9, prefix=prefix, facts={"peer": "192.0.2.1"})


async def get(spool: Spool, identifier: str) -> bytes:
    async with spool.open(identifier) as message:
        return b"".join([octets async for octets in message])


async def listed(spool: Spool) -> dict[str, tuple[Entry, tuple[RecipientState, ...]]]:
    return {entry.id: (entry, states) async for entry, states in spool.scan()}


def files(path: Path) -> list[str]:
    """What there is of bodies, whole or not, and of what was set aside."""
    return sorted(
        each.relative_to(path).as_posix()
        for where in ("incoming", "bodies", "corrupt")
        for each in (path / where).rglob("*")
        if each.is_file()
    )


DONE = RecipientState(index=0, status=Status.DELIVERED, attempts=1)


def content_of(number: int) -> bytes:
    """Content of message *number*, of 5 octets to 300 KiB."""
    return b"%d\r\n" % number * (1 + number * number * 7919 % (60_000 if number % 10 == 0 else 600))


def fail_calls(name: str, prefix: str = "") -> Call:
    """Every such call fails with EIO."""

    def fail(count: int, called: str, what: str) -> None:
        if called == name and what.startswith(prefix):
            raise io_error(name, 5)

    return fail
