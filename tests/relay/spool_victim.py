"""A process that keeps messages until it is killed, and says which are kept."""

import sys
from pathlib import Path

import trio
from spool_play import DONE, content_of, put

from smtpcore_trio.relay.spool import Spool, SpoolSettings, open_spool


def say(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


async def keep(spool: Spool, which: int) -> None:
    for number in range(which, 1_000_000, 4):
        entry = await put(spool, content_of(number))
        say("kept", entry.id, str(number))
        if number % 3 == 0:
            await spool.record(entry.id, [DONE])
            say("recorded", entry.id)
        if number % 7 == 0:
            say("dropping", entry.id)
            await spool.drop(entry.id)
            say("dropped", entry.id)


async def main(path: Path) -> None:
    say("started")
    settings = SpoolSettings(inline_octets=2_000, checkpoint_octets=100_000)
    async with open_spool(path, settings=settings) as spool, trio.open_nursery() as nursery:
        for which in range(4):
            nursery.start_soon(keep, spool, which)


trio.run(main, Path(sys.argv[1]))
