"""Messages that are kept, read, recorded on and dropped."""

import hashlib
import math
import os
import stat
import threading
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from spool_play import ENVELOPE, LARGE, SMALL, Faulty, files, get, listed, opened, put

from smtpcore import Envelope, MailParams
from smtpcore_trio.relay.spool import (
    NoSuchMessage,
    RecipientState,
    Spool,
    SpoolError,
    SpoolFailed,
    SpoolLocked,
    Status,
    Unencodable,
    open_spool,
)

CONTENTS = [b"", SMALL, LARGE[:65_536], LARGE[:65_537], LARGE]


@pytest.mark.parametrize("content", CONTENTS, ids=len)
@pytest.mark.parametrize("prefix", [b"", b"Received: by us\r\n"], ids=["bare", "prefixed"])
async def test_what_is_kept_is_read(tmp_path: Path, content: bytes, prefix: bytes) -> None:
    async with opened(tmp_path) as spool:
        entry = await put(spool, content, prefix=prefix)
        assert await get(spool, entry.id) == prefix + content
    async with opened(tmp_path) as spool:
        assert await get(spool, entry.id) == prefix + content
        ((found, states),) = (await listed(spool)).values()
        assert found == entry
        assert (found.octets, found.prefix, found.received) == (len(content), prefix, 1e9)
        assert found.digest == hashlib.blake2b(content, digest_size=32).digest()
        assert (found.envelope, found.facts) == (ENVELOPE, {"peer": "192.0.2.1"})
        assert states == (RecipientState(index=0, due=1e9), RecipientState(index=1, due=1e9))
        async with spool.open(entry.id) as message:
            assert message.entry == entry
            assert all([0 < len(piece) <= 65_536 async for piece in message])
    assert len(files(tmp_path)) == (len(content) > 65_536)


async def test_outcomes_are_kept(tmp_path: Path) -> None:
    bounced = RecipientState(index=1, status=Status.BOUNCED, due=5.5, attempts=2, reply="550 \udc80 \0 no", remote="mx")
    later = RecipientState(index=1, status=Status.HELD, due=math.inf, attempts=3)
    async with opened(tmp_path) as spool:
        entry, other = await put(spool), await put(spool)
        await spool.record(entry.id, [bounced])
        assert (await listed(spool))[entry.id][1] == (RecipientState(index=0, due=1e9), bounced)
        await spool.record(entry.id, [later, RecipientState(index=0, status=Status.DELIVERED)])
    async with opened(tmp_path) as spool:
        kept = await listed(spool)
        assert kept[entry.id][1] == (RecipientState(index=0, status=Status.DELIVERED), later)
        assert kept[other.id][1][1] == RecipientState(index=1, due=1e9)
        for wrong in (2, -1):
            with pytest.raises(ValueError, match="has 2 recipients"):
                await spool.record(entry.id, [bounced, RecipientState(index=wrong)])
        with pytest.raises(ValueError, match="has 2 recipients"):
            await spool.record(entry.id, [RecipientState(index=0, due=math.nan)])
        with pytest.raises(SpoolError, match="OverflowError"):
            await spool.record(entry.id, [bounced, RecipientState(index=0, attempts=1 << 64)])
        assert await listed(spool) == kept


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
async def test_what_is_dropped_is_gone(tmp_path: Path, content: bytes) -> None:
    async with opened(tmp_path) as spool:
        entry = await put(spool, content)
        await spool.record(entry.id, [RecipientState(index=0)])
        await spool.drop(entry.id)
        assert await listed(spool) == {}
        for each in (spool.drop(entry.id), spool.record(entry.id, []), get(spool, entry.id)):
            with pytest.raises(NoSuchMessage, match=entry.id):
                await each
    assert files(tmp_path) == []
    async with opened(tmp_path) as spool:
        assert spool._store.read("SELECT * FROM recipients") == []


@pytest.mark.parametrize("identifier", ["", "x", "../../../../x", "0000000000000000", "z" * 13, "000000000000l"])
async def test_what_is_no_identifier_names_no_message(tmp_path: Path, identifier: str) -> None:
    async with opened(tmp_path) as spool:
        for each in (spool.drop(identifier), spool.record(identifier, []), get(spool, identifier)):
            with pytest.raises(NoSuchMessage):
                await each
        with pytest.raises(NoSuchMessage):
            spool.scan(identifier)


async def test_scan_is_in_order_and_by_pages(tmp_path: Path) -> None:
    async with opened(tmp_path, page=4) as spool:
        ids = [(await put(spool)).id for _ in range(12)]
        assert ids == sorted(ids)
        assert [entry.id async for entry, _ in spool.scan()] == ids
        assert [entry.id async for entry, _ in spool.scan(ids[6])] == ids[7:]
        assert [entry.id async for entry, _ in spool.scan(ids[-1])] == []


async def test_identifiers_are_not_used_again(tmp_path: Path) -> None:
    """Though the clock goes back, and the last message has gone."""
    ids = []
    for clock in (2e9, 1e9, -5.0, 1e300, 2e9):
        async with open_spool(tmp_path, now=partial(float, clock)) as spool:
            for _ in range(3):
                entry = await put(spool)
                await spool.drop(entry.id)
                ids.append(entry.id)
    assert ids == sorted(set(ids))
    assert {len(each) for each in ids} == {13}


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
async def test_nothing_is_left_of_what_is_not_committed(tmp_path: Path, content: bytes) -> None:
    async with opened(tmp_path) as spool:
        async with spool.writer() as writer:
            await writer.write(content)
            assert len(files(tmp_path)) == (content is LARGE)
        assert files(tmp_path) == []
        with pytest.raises(RuntimeError):
            await writer.write(b"")
        with pytest.raises(RuntimeError):
            await spool.commit(writer, ENVELOPE, received=0.0)
        async with spool.writer() as writer:
            await writer.write(content)
            with trio.CancelScope() as scope:
                scope.cancel()
                await spool.commit(writer, ENVELOPE, received=0.0)
            assert scope.cancelled_caught
        assert await listed(spool) == {}


async def test_memory_of_a_writer_is_bounded(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool, spool.writer() as writer:
        most = 0
        for _ in range(200):
            await writer.write(LARGE[:30_000])
            most = max(most, len(writer.content))
        assert writer.octets == 6_000_000
        assert most <= 262_144


async def test_commit_that_has_begun_is_not_cancelled(tmp_path: Path) -> None:
    def cancel(count: int, name: str, what: str) -> None:
        if what == "COMMIT":
            trio.from_thread.run_sync(scope.cancel)

    system = Faulty()
    async with opened(tmp_path, system) as spool:
        with trio.CancelScope() as scope:
            system.before = cancel
            entry = await put(spool)
            system.before = None
        assert scope.cancel_called
        assert await get(spool, entry.id) == SMALL


@pytest.mark.parametrize(("batch", "transactions"), [(64, 2), (10, 5), (1, 41)])
async def test_those_who_wait_share_a_transaction(tmp_path: Path, batch: int, transactions: int) -> None:
    let_go = threading.Event()
    started = trio.Event()

    def hold(count: int, name: str, what: str) -> None:
        if what == "COMMIT":
            trio.from_thread.run_sync(started.set)
            let_go.wait(20)

    system = Faulty()
    async with opened(tmp_path, system, batch=batch) as spool, trio.open_nursery() as nursery:
        system.calls.clear()
        system.before = hold
        nursery.start_soon(put, spool)
        await started.wait()
        for _ in range(40):
            nursery.start_soon(put, spool)
        await trio.testing.wait_all_tasks_blocked()
        let_go.set()
    assert system.count("COMMIT") == transactions
    async with opened(tmp_path) as spool:
        assert len(await listed(spool)) == 41


async def test_one_that_cannot_be_kept_fails_alone(tmp_path: Path) -> None:
    let_go = threading.Event()

    def hold(count: int, name: str, what: str) -> None:
        if what == "COMMIT":
            let_go.wait(20)

    system = Faulty()
    errors: list[Exception] = []

    async def record(spool: Spool, identifier: str, attempts: int) -> None:
        try:
            await spool.record(identifier, [RecipientState(index=0, attempts=attempts)])
        except SpoolError as error:
            errors.append(error)

    async with opened(tmp_path, system) as spool:
        entry = await put(spool)
        system.before = hold
        async with trio.open_nursery() as nursery:
            nursery.start_soon(put, spool)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(put, spool)
            nursery.start_soon(record, spool, entry.id, 1 << 70)
            nursery.start_soon(put, spool, LARGE)
            await trio.testing.wait_all_tasks_blocked()
            let_go.set()
        assert len(errors) == 1
        assert len(await listed(spool)) == 4
        assert spool.failure is None


async def test_log_is_moved_into_the_database(tmp_path: Path) -> None:
    system = Faulty()
    async with opened(tmp_path, system, checkpoint_octets=100_000) as spool:
        for _ in range(50):
            await put(spool, LARGE[:10_000])
        assert 4 <= system.count("PRAGMA wal_checkpoint") <= 6
        assert (tmp_path / "index.db-wal").stat().st_size < 300_000
    assert not (tmp_path / "index.db-wal").exists()


async def test_directory_is_for_one_process_and_one_user(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "spool"
    path.mkdir(parents=True)
    path.chmod(0o755)
    async with opened(path) as spool:
        await put(spool, LARGE)
        await put(spool, SMALL)
        with pytest.raises(SpoolLocked):
            async with opened(path):
                pass
        for each in (path, *path.rglob("*")):
            assert stat.S_IMODE(each.stat().st_mode) == (0o700 if each.is_dir() else 0o600), each
    async with opened(path) as spool:
        assert len(await listed(spool)) == 2


async def test_room_is_told(tmp_path: Path) -> None:
    space = os.statvfs(tmp_path)
    system = Faulty()
    async with opened(tmp_path, system, reserve_octets=1_000, reserve_inodes=10) as spool:

        def left(blocks: int, inodes: int, counted: int) -> None:
            made = list(space)
            made[1], made[4], made[5], made[7] = 100, blocks, counted, inodes
            spool._store.system.space = lambda path: os.statvfs_result(made)  # type: ignore[method-assign]

        assert spool.has_room(0)
        left(20, 11, 100)
        assert (spool.free().octets, spool.free().inodes) == (2_000, 11)
        assert spool.has_room(1_000)
        assert not spool.has_room(1_001)
        left(20, 10, 100)
        assert not spool.has_room(0)
        left(20, 0, 0)
        assert spool.free().inodes is None
        assert spool.has_room(0)
    assert not spool.has_room(0)


async def test_closed_spool_takes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        entry = await put(spool)
        writer = spool.writer()
    for each in (spool.drop(entry.id), writer.write(b""), get(spool, entry.id), put(spool)):
        with pytest.raises(SpoolFailed, match="closed"):
            await each


async def test_error_of_the_block_is_not_in_a_group(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        async with opened(tmp_path):
            raise KeyError
    with trio.CancelScope() as scope:
        async with opened(tmp_path) as spool:
            entry = await put(spool)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    async with opened(tmp_path) as spool:
        assert list(await listed(spool)) == [entry.id]


async def test_extra_that_is_not_json_is_refused(tmp_path: Path) -> None:
    envelope = Envelope(ENVELOPE.reverse_path, ENVELOPE.recipients, MailParams(extra={"x": (1,)}))
    async with opened(tmp_path) as spool, spool.writer() as writer:
        with pytest.raises(Unencodable, match="x"):
            await spool.commit(writer, envelope, received=0.0)
        assert (await spool.commit(writer, ENVELOPE, received=0.0)).id == writer.id


async def test_committer_that_ends_by_mistake_leaves_nobody_waiting(tmp_path: Path) -> None:
    waited = []

    async def wait(spool: Spool) -> None:
        with pytest.raises(SpoolFailed, match="not at work"):
            await put(spool)
        waited.append(spool)

    async def play() -> None:
        async with opened(tmp_path, batch=2) as spool, trio.open_nursery() as nursery:
            spool._store.change = None  # type: ignore[assignment, method-assign]
            for _ in range(5):
                nursery.start_soon(wait, spool)

    with pytest.raises(ExceptionGroup) as raised:
        await play()
    assert raised.group_contains(TypeError)
    assert len(waited) == 5


async def test_order_of_what_becomes_durable(tmp_path: Path) -> None:
    """A file before its name, its name before its row, and its row before anybody is told."""
    system = Faulty()
    async with opened(tmp_path, system, inline_octets=1) as spool, spool.writer() as writer:
        await writer.write(SMALL)
        system.calls.clear()
        entry = await spool.commit(writer, ENVELOPE, received=0.0)
        made = list(system.calls)
        incoming, shard = str(tmp_path / "incoming" / entry.id), str(tmp_path / "bodies" / entry.id[-2:])
        bodies = str(tmp_path / "bodies")
        assert [call for call in made if call[0] not in {"open", "close", "write", "space"}] == [
            ("sync", incoming),
            ("make_directory", shard),
            ("sync", bodies),
            ("rename", incoming),
            ("sync", shard),
            ("execute", "BEGIN IMMEDIATE"),
            ("execute", "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
            ("execute", "COMMIT"),
        ]
        system.calls.clear()
        await spool.drop(entry.id)
        assert system.calls[-2:] == [("execute", "COMMIT"), ("unlink", f"{shard}/{entry.id}")]
        assert spool._store.execute("PRAGMA synchronous") == [(2,)]
        assert spool._store.execute("PRAGMA journal_mode") == [(b"wal",)]
        system.calls.clear()
        spool._store.shard(tmp_path / "bodies" / entry.id[-2:] / "another")
        assert system.calls == []


async def test_scan_sees_a_message_and_its_recipients_at_one_time(tmp_path: Path) -> None:
    """One that is dropped meanwhile has its outcomes, or is not there."""
    system = Faulty()
    async with opened(tmp_path, system) as spool:
        entry = await put(spool)
        done = RecipientState(index=0, status=Status.DELIVERED)
        await spool.record(entry.id, [done])

        def drop(count: int, name: str, what: str) -> None:
            if "FROM recipients WHERE message BETWEEN" in what:
                system.before = None
                trio.from_thread.run(spool.drop, entry.id)

        system.before = drop
        ((_, states),) = (await listed(spool)).values()
        assert states[0] == done
        assert await listed(spool) == {}


async def test_every_time_is_kept(tmp_path: Path) -> None:
    times = [0.0, -0.0, 1, -5, 1e300, -1e-300, 5e-324, math.inf, 2.0**53 + 2, 1e18, 1.8e9 + 0.123456]
    ids = []
    async with opened(tmp_path) as spool:
        for received in times:
            async with spool.writer() as writer:
                ids.append((await spool.commit(writer, ENVELOPE, received=received)).id)
        async with spool.writer() as writer:
            with pytest.raises(ValueError, match="NaN"):
                await spool.commit(writer, ENVELOPE, received=math.nan)
    async with opened(tmp_path) as spool:
        kept = await listed(spool)
        assert [kept[each][0].received for each in ids] == times
