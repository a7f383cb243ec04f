"""A process is killed at any instant: all that it said is kept is there, whole."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from spool_play import DONE, content_of, files, get, listed, opened

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("SPOOL_KILLS", "20"))


def run_and_kill(path: Path, seconds: float) -> list[list[str]]:
    """What a process said until it was killed; *seconds* count from its first word."""
    victim = subprocess.Popen([sys.executable, HERE / "spool_victim.py", path], stdout=subprocess.PIPE)
    assert victim.stdout is not None
    with victim.stdout:
        said = victim.stdout.readline()
        time.sleep(seconds)
        victim.kill()
        said += victim.stdout.read()
    victim.wait()
    return [line.split() for line in said.decode().split("\n")[:-1]]


async def test_what_was_promised_survives(tmp_path: Path) -> None:
    chance = random.Random(1)
    kept: dict[str, int] = {}
    recorded: set[str] = set()
    dropping: set[str] = set()
    dropped: set[str] = set()
    for _ in range(ROUNDS):
        for word, *rest in run_and_kill(tmp_path, chance.uniform(0.0, 0.4)):
            match word:
                case "kept":
                    kept[rest[0]] = int(rest[1])
                case "recorded":
                    recorded.add(rest[0])
                case "dropping":
                    dropping.add(rest[0])
                case "dropped":
                    dropped.add(rest[0])
        async with opened(tmp_path) as spool:
            found = await listed(spool)
            assert set(kept) - dropping <= set(found)
            assert not dropped & set(found)
            for identifier, (entry, states) in found.items():
                octets = await get(spool, identifier)
                # One whose promise was not heard is whole, too.
                number = kept.get(identifier, int(octets.split(b"\r\n")[0]))
                assert octets == content_of(number)
                assert identifier not in recorded or states[0] == DONE
                assert len(entry.envelope.recipients) == 2
                if identifier in kept and chance.random() < 0.7:  # or each round is longer than the last
                    await spool.drop(identifier)
                    dropped.add(identifier)
                    dropping.add(identifier)
            left = await listed(spool)
            assert {Path(each).name for each in files(tmp_path)} == {
                identifier for identifier, (entry, _) in left.items() if entry.octets > 2_000
            }
    assert len(kept) > 5 * ROUNDS
