"""What it costs to have a message on the disk, beside the plain ways to do so.

Each subject keeps messages of 10 KiB, from so many committers at a time, on the same disk: the spool; a file for each
message, written, synced and renamed, its directory synced, in threads; SQLite with a transaction for each message,
on one thread. In every round each has its turn; the figures are of its best round: messages a second, and the
processor time of this process for each. A count of transactions shows how many shared one.

    python benchmarks/spool_commit.py [--directory PATH] [--messages N] [--rounds N] [--smoke]
"""

import argparse
import os
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from smtpcore import Envelope
from smtpcore_trio.relay.spool import System, open_spool
from smtpcore_trio.relay.spool._system import Row

CONTENT = (
    b"Subject: a message of ten KiB\r\n\r\n" + b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab\r\n" * 165
)
ENVELOPE = Envelope.parse("sender@example.org", ["recipient@example.net"])
PREFIX = b"Received: from client.example.org by mx.example.net with ESMTPS; Sat, 1 Jan 2028 00:00:00 +0000\r\n"
FACTS = {"peer": "192.0.2.1", "helo": "client.example.org", "protocol": "ESMTPS"}
COMMITTERS = (1, 10, 32)

Keep = Callable[[int], Awaitable[None]]


class Counting(System):
    """Counts transactions."""

    transactions = 0

    def execute(self, connection: sqlite3.Connection, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Run a statement."""
        self.transactions += statement == "COMMIT"
        return super().execute(connection, statement, values)


SYSTEM = Counting()


async def spool(path: Path, stack: AsyncExitStack) -> Keep:
    """Keep messages in the spool."""
    opened = await stack.enter_async_context(open_spool(path, system=SYSTEM))

    async def keep(number: int) -> None:
        async with opened.writer() as writer:
            await writer.write(CONTENT)
            await opened.commit(writer, ENVELOPE, received=1.8e9, prefix=PREFIX, facts=FACTS)

    return keep


async def files(path: Path, stack: AsyncExitStack) -> Keep:
    """Keep each message in a file."""

    def write(number: int) -> None:
        temporary = path / f"{number}.tmp"
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(file, PREFIX + CONTENT)
        os.fsync(file)
        os.close(file)
        temporary.rename(path / str(number))
        directory = os.open(path, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    async def keep(number: int) -> None:
        await trio.to_thread.run_sync(write, number)

    return keep


async def transactions(path: Path, stack: AsyncExitStack) -> Keep:
    """Keep each message in a row, by a transaction of its own."""
    connection = sqlite3.connect(path / "rows.db", isolation_level=None, check_same_thread=False)
    stack.callback(connection.close)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, envelope TEXT, content BLOB)")
    limiter = trio.CapacityLimiter(1)

    def write(number: int) -> None:
        connection.execute("INSERT INTO messages VALUES (?, ?, ?)", (number, repr(ENVELOPE), PREFIX + CONTENT))

    async def keep(number: int) -> None:
        await trio.to_thread.run_sync(write, number, limiter=limiter)

    return keep


SUBJECTS = {"spool": spool, "a file each": files, "a transaction each": transactions}


async def run(subject: str, committers: int, messages: int, directory: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds, and transactions of the spool's."""
    async with AsyncExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=directory)))
        keep = await SUBJECTS[subject](path, stack)
        numbers = iter(range(messages))

        async def commit() -> None:
            for number in numbers:
                await keep(number)

        os.sync()
        SYSTEM.transactions = 0
        began, used = time.perf_counter(), time.process_time()
        async with trio.open_nursery() as nursery:
            for _ in range(committers):
                nursery.start_soon(commit)
        return time.perf_counter() - began, time.process_time() - used, SYSTEM.transactions


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Messages on the disk: how many a second, at what cost.")
    parser.add_argument("--directory", type=Path, help="on the disk to use")
    parser.add_argument("--messages", type=int, default=3_000, help="in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="a few messages, to see that it runs")
    args = parser.parse_args()
    rounds, messages = (1, 64) if args.smoke else (args.rounds, args.messages)
    print(f"{messages} messages of {len(CONTENT)} octets, best of {rounds} rounds")
    print(f"{'committers':>10}  {'subject':20}{'messages/s':>12}{'us CPU each':>13}{'a transaction':>15}")
    for committers in COMMITTERS:
        best = {subject: (float("inf"), float("inf"), 0.0) for subject in SUBJECTS}
        for _ in range(rounds):
            for subject in SUBJECTS:
                seconds, used, count = trio.run(run, subject, committers, messages, args.directory)
                if seconds < best[subject][0]:
                    best[subject] = (seconds, used, count)
        for subject, (seconds, used, count) in best.items():
            shared = f"{messages / count:15.1f}" if subject == "spool" else ""
            print(f"{committers:10}  {subject:20}{messages / seconds:12.0f}{used / messages * 1e6:13.0f}{shared}")


if __name__ == "__main__":
    main()
