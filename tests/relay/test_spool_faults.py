"""The n-th call on files and database fails, for every n: what was acknowledged stays, and what was refused is gone."""

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from spool_play import ENVELOPE, LARGE, SMALL, Call, Faulty, fail_calls, files, get, io_error, listed, opened, put

from smtpcore_trio.relay.spool import (
    Alert,
    NoSuchMessage,
    RecipientState,
    Spool,
    SpoolError,
    SpoolFailed,
    SpoolFull,
    SpoolSettings,
    Status,
    System,
    Writer,
    open_spool,
)


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory, where there is one: what is asked here is not what a disk does."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as made:
        yield Path(made)


DONE = RecipientState(index=0, status=Status.DELIVERED, attempts=1)
ROUND = {"inline_octets": 1_000, "checkpoint_octets": 1}


class Ledger:
    """What a caller of a spool was told."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.delivered: set[str] = set()
        self.unknown: set[str] = set()  # whose record or drop failed
        self.errors: list[SpoolError] = []
        self.kept_after_failure = 0

    async def run(self, spool: Spool) -> None:
        """Use all of the spool; whatever fails, go on."""
        for content in (SMALL, LARGE[:300_000], SMALL):
            try:
                entry = await put(spool, content)
            except SpoolError as error:
                self.errors.append(error)
            else:
                self.kept_after_failure += any(type(each) is SpoolFailed for each in self.errors)
                self.kept[entry.id] = content
        for identifier in list(self.kept):
            try:
                assert await get(spool, identifier) == self.kept[identifier]
                self.unknown.add(identifier)
                await spool.record(identifier, [DONE])
                self.delivered.add(identifier)
                self.unknown.discard(identifier)
            except SpoolError as error:
                self.errors.append(error)
        for identifier in list(self.kept)[:2]:
            try:
                await spool.drop(identifier)
                del self.kept[identifier]
                self.unknown.discard(identifier)
            except SpoolError as error:
                self.errors.append(error)
                self.unknown.add(identifier)
        try:
            await listed(spool)
        except SpoolError as error:
            self.errors.append(error)

    async def check(self, path: Path) -> None:
        """Find what it says, and nothing else, with a disk that works."""
        async with opened(path) as spool:
            found = await listed(spool)
            assert set(self.kept) - self.unknown <= set(found) <= set(self.kept)
            for identifier, (_, states) in found.items():
                assert await get(spool, identifier) == self.kept[identifier]
                if identifier not in self.unknown:
                    assert (states[0] == DONE) == (identifier in self.delivered)
            bodies = [f"bodies/{each[-2:]}/{each}" for each in found if len(self.kept[each]) > 1_000]
            assert files(path) == sorted(bodies)
            await put(spool)


async def play(path: Path, system: Faulty) -> Ledger:
    ledger = Ledger()
    alerts: list[Alert] = []
    try:
        async with opened(path, system, alerts, **ROUND) as spool:
            await ledger.run(spool)
            assert (spool.failure is None) == (not any(each.id is None for each in alerts))
    except SpoolError as error:
        ledger.errors.append(error)
    return ledger


def at(n: int, number: int) -> Call:
    def fail(count: int, name: str, what: str) -> None:
        if count == n:
            raise io_error(name, number)

    return fail


async def test_script_uses_every_call(quick: Path) -> None:
    system = Faulty()
    ledger = await play(quick, system)
    assert ledger.errors == []
    assert len(ledger.kept) == 1
    await ledger.check(quick)
    assert {name for name, _ in system.calls} >= {"create", "sync", "rename", "unlink", "read", "execute", "disconnect"}


@pytest.mark.parametrize(
    ("when", "number"),
    [("before", errno.EIO), ("after", errno.EIO), ("before", errno.ENOSPC), ("before", errno.EMFILE)],
    ids=["EIO", "EIO-after", "ENOSPC", "EMFILE"],
)
async def test_nth_call_fails(quick: Path, when: str, number: int) -> None:
    n = 0
    while True:
        n += 1
        path = quick / str(n)
        system = Faulty(**{when: at(n, number)})
        ledger = await play(path, system)
        if len(system.calls) < n:
            break
        assert ledger.kept_after_failure == 0, system.calls[n - 1]
        await ledger.check(path)
    assert n > 80


async def only(path: Path, name: str, what: str, number: int = errno.EIO) -> tuple[list[SpoolError], int]:
    """Fail one call, after a first message; the errors, and how many messages there are."""

    def fail(count: int, called: str, on: str) -> None:
        if called == name and what in on and not failed:
            failed.append(on)
            raise io_error(name, number)

    failed: list[str] = []
    errors = []
    system = Faulty()
    async with opened(path, system, [], **ROUND) as spool:
        await put(spool)
        system.before = fail
        for content in (LARGE, SMALL, SMALL):
            try:
                await put(spool, content)
            except SpoolError as error:
                errors.append(error)
        system.before = None
        assert failed
        room = spool.has_room(0)
        assert room == (spool.failure is None)
        assert len(await listed(spool)) == 4 - len(errors)
        if spool.failure is None:
            assert files(path) == []  # the one that was refused would have been in a file
    async with opened(path) as spool:
        return errors, len(await listed(spool))


@pytest.mark.parametrize(
    ("name", "what"),
    [("sync", ""), ("write", ""), ("rename", "incoming"), ("create", "incoming"), ("execute", "COMMIT")],
)
async def test_disk_that_fails_stops_acceptance(tmp_path: Path, name: str, what: str) -> None:
    """A second sync would succeed, and is not asked."""
    errors, there = await only(tmp_path, name, what)
    assert [type(error) for error in errors] == [SpoolFailed] * 3
    assert there == 1


@pytest.mark.parametrize(
    ("name", "what"),
    [("sync", ""), ("write", ""), ("rename", "incoming"), ("create", "incoming"), ("execute", "INSERT")],
)
async def test_full_disk_refuses_one_message(tmp_path: Path, name: str, what: str) -> None:
    errors, there = await only(tmp_path, name, what, errno.ENOSPC)
    # A statement that found no room is tried again only where it was one of several.
    assert [type(error) for error in errors] == [SpoolFull]
    assert there == 3


async def test_message_refused_though_its_row_is_durable_is_forgotten(tmp_path: Path) -> None:
    """The transaction is on the disk, and its sync says that it is not."""

    def fail(count: int, name: str, what: str) -> None:
        if what == "COMMIT":
            raise io_error(name, errno.EIO)

    system = Faulty()
    async with opened(tmp_path, system, []) as spool:
        await put(spool)
        system.after = fail
        with pytest.raises(SpoolFailed):
            await put(spool, LARGE)
        system.after = None
        assert len(await listed(spool)) == 2
        assert len((tmp_path / "refused").read_text()) == 14
    (tmp_path / "refused").write_text((tmp_path / "refused").read_text() + "torn")
    async with opened(tmp_path) as spool:
        assert len(await listed(spool)) == 1
        assert not (tmp_path / "refused").exists()
    assert files(tmp_path) == []


async def test_log_of_a_spool_that_failed_is_left(tmp_path: Path) -> None:
    """Nobody knows what of it is on the disk: it is not moved into the database."""
    system = Faulty()
    alerts: list[Alert] = []
    told = trio.Event()

    def tell(alert: Alert) -> None:
        alerts.append(alert)
        told.set()

    settings = SpoolSettings(checkpoint_octets=30_000, reserve_octets=0)
    async with open_spool(tmp_path, system=system, alert=tell, settings=settings) as spool:
        entry = await put(spool)
        system.before = lambda count, name, what: fail_on(name, what, "PRAGMA wal_checkpoint")
        await put(spool, SMALL * 1_500)
        with trio.fail_after(20):
            await told.wait()
        with pytest.raises(SpoolFailed):
            await put(spool)
        assert "injected" in (spool.failure or "")
        assert [alert.id for alert in alerts] == [None]
    assert (tmp_path / "index.db-wal").stat().st_size > 0
    async with opened(tmp_path) as spool:
        assert entry.id in await listed(spool)


def fail_on(name: str, what: str, prefix: str) -> None:
    if what.startswith(prefix):
        raise io_error(name, errno.EIO)


async def test_room_is_not_there_when_the_disk_does_not_say(tmp_path: Path) -> None:
    system = Faulty()
    async with opened(tmp_path, system) as spool:
        system.before = at(len(system.calls) + 1, errno.EIO)
        assert not spool.has_room(0)
        assert spool.has_room(0)
        with pytest.raises(NoSuchMessage):
            await spool.drop("0" * 13)


async def test_rollback_that_fails_is_a_failure(tmp_path: Path) -> None:
    def fail(count: int, name: str, what: str) -> None:
        if what.startswith("INSERT"):
            raise io_error(name, errno.ENOSPC)
        if what.startswith("ROLLBACK"):
            raise io_error(name, errno.EIO)

    system = Faulty()
    async with opened(tmp_path, system, []) as spool:
        system.before = fail
        for _ in range(2):
            with pytest.raises(SpoolFailed, match="after injected"):
                await put(spool)
    async with opened(tmp_path) as spool:
        assert await listed(spool) == {}


async def test_checkpoint_without_room_is_tried_again(tmp_path: Path) -> None:
    def fail(count: int, name: str, what: str) -> None:
        if what.startswith("PRAGMA wal_checkpoint") and count < 60:
            raise io_error(name, errno.ENOSPC)

    system = Faulty(fail)
    async with opened(tmp_path, system, checkpoint_octets=1) as spool:
        entries = [await put(spool) for _ in range(30)]
        assert list(await listed(spool)) == [entry.id for entry in entries]
        assert spool.failure is None
    assert system.count("PRAGMA wal_checkpoint") > 20


async def test_first_failure_is_the_one_that_is_told(tmp_path: Path) -> None:
    system = Faulty()
    alerts: list[Alert] = []
    async with opened(tmp_path, system, alerts, inline_octets=1) as spool, spool.writer() as one, spool.writer() as two:
        for writer in (one, two):
            await writer.write(SMALL)
        system.before = fail_calls("sync")
        errors = []
        async with trio.open_nursery() as nursery:

            async def commit(writer: Writer) -> None:
                try:
                    await spool.commit(writer, ENVELOPE, received=0.0)
                except SpoolFailed as error:
                    errors.append(error)

            nursery.start_soon(commit, one)
            nursery.start_soon(commit, two)
        assert len(errors) == 2
        assert len(alerts) == 1
        system.before = None
    async with opened(tmp_path) as spool:
        assert await listed(spool) == {}


async def test_index_that_may_not_grow_takes_what_there_is_room_for(tmp_path: Path) -> None:
    """SQLite's own word for a full disk, for several messages at once; room that is made is used."""
    kept: list[str] = []
    errors: list[SpoolError] = []

    async def keep(spool: Spool, octets: int) -> None:
        try:
            kept.append((await put(spool, LARGE[:octets])).id)
        except SpoolError as error:
            errors.append(error)

    async with opened(tmp_path) as spool:
        spool._store.execute("PRAGMA max_page_count = 50")
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(keep, spool, 60_000)
                nursery.start_soon(keep, spool, 1)
        assert len(kept) >= 3
        assert len(errors) >= 5
        assert {type(error) for error in errors} == {SpoolFull}
        assert list(await listed(spool)) == sorted(kept)
        for identifier in kept:
            await spool.drop(identifier)
        await put(spool, LARGE[:60_000])
        assert spool.failure is None
    async with opened(tmp_path) as spool:
        assert len(await listed(spool)) == 1


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
async def test_half_of_the_reserve_is_left_for_dropping(tmp_path: Path, content: bytes) -> None:
    class Small(System):
        def space(self, path: Path) -> os.statvfs_result:
            return os.statvfs_result((1, 1, 100, left, left, 100, 100, 100, 0, 255))

    left = 2_000_000
    async with opened(tmp_path, Small(), reserve_octets=2_000_000) as spool:
        entry = await put(spool, content)
        left = 1_000_000 + 300
        assert not spool.has_room(0)
        with pytest.raises(SpoolFull, match="reserve"):
            await put(spool, content)
        assert len(files(tmp_path)) == (content is LARGE)
        await spool.record(entry.id, [DONE])
        await spool.drop(entry.id)
        assert spool.failure is None


@pytest.mark.parametrize("when", ["before", "after"])
async def test_all_who_share_a_transaction_that_fails_are_told(tmp_path: Path, when: str) -> None:
    system = Faulty()
    kept: list[str] = []
    errors: list[SpoolError] = []

    async def keep(spool: Spool, content: bytes) -> None:
        try:
            kept.append((await put(spool, content)).id)
        except SpoolError as error:
            errors.append(error)

    def fail(count: int, name: str, what: str) -> None:
        if what == "COMMIT" and system.count("COMMIT") == commits + 2:
            raise io_error(name, errno.EIO)

    async with opened(tmp_path, system, [], batch=5) as spool:
        commits = system.count("COMMIT")
        setattr(system, when, fail)
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(keep, spool, SMALL)
        assert {type(error) for error in errors} == {SpoolFailed}
        assert len({id(error) for error in errors}) == len(errors)
        assert len(kept) + len(errors) == 12
        setattr(system, when, None)
    assert errors
    assert kept
    async with opened(tmp_path) as spool:
        assert list(await listed(spool)) == sorted(kept)
