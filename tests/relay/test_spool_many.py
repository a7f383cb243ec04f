"""Many messages: starting and scanning take a page of memory, not the queue."""

import os
import tracemalloc
from pathlib import Path

from spool_play import ENVELOPE, SMALL, opened

from smtpcore_trio.relay.spool import Spool
from smtpcore_trio.relay.spool._jobs import Insert

COUNT = int(os.environ.get("SPOOL_MESSAGES", "20000"))


def fill(spool: Spool, count: int) -> None:
    """Put messages into the index, by one transaction for thousands."""
    first = spool._store.last + 1
    for start in range(first, first + count, 5_000):
        jobs = []
        for number in range(start, min(start + 5_000, first + count)):
            job = Insert(
                number,
                ENVELOPE,
                received=1e9,
                prefix=b"Received: by us\r\n",
                facts={"peer": "192.0.2.1"},
                content=bytearray(SMALL),
                octets=len(SMALL),
            )
            jobs.append(job)
        spool._store.change(jobs)
        assert jobs[-1].error is None


async def peak(path: Path) -> tuple[int, int]:
    """Octets that starting and scanning needed at most, and the messages found."""
    tracemalloc.start()
    try:
        async with opened(path) as spool:
            found = 0
            async for _ in spool.scan():
                found += 1
        return tracemalloc.get_traced_memory()[1], found
    finally:
        tracemalloc.stop()


async def test_scan_takes_memory_for_a_page(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        fill(spool, 1_000)
    few, found = await peak(tmp_path)
    assert found == 1_000
    async with opened(tmp_path) as spool:
        fill(spool, COUNT - 1_000)
    many, found = await peak(tmp_path)
    assert found == COUNT
    assert many < 1.5 * few + 200_000
