"""What a start finds: what a crash, a hand or a bad disk has left."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from spool_play import LARGE, SMALL, Faulty, fail_calls, files, get, io_error, listed, opened, put

from smtpcore_trio.relay.spool import Alert, Corrupt, RecipientState, SpoolError, SpoolFailed, Status, open_spool

Harm = Callable[[Path, str], None]


def execute(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path / "index.db")
    with connection:
        connection.execute(statement)
    connection.close()


def body(path: Path, identifier: str) -> Path:
    return path / "bodies" / identifier[-2:] / identifier


def flip(path: Path, identifier: str) -> None:
    octets = bytearray(body(path, identifier).read_bytes())
    octets[1000] ^= 1
    body(path, identifier).write_bytes(octets)


def changed(statement: str) -> Harm:
    return lambda path, identifier: execute(path, statement)


async def test_what_has_no_row_is_removed(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        entry = await put(spool, LARGE)
    (tmp_path / "incoming" / "0123456789abc").write_bytes(b"half")
    (tmp_path / "bodies" / "zz").mkdir()
    (tmp_path / "bodies" / "note").write_bytes(b"of somebody's")
    (tmp_path / "bodies" / "zz" / "00000000000zz").write_bytes(LARGE)
    (tmp_path / "bodies" / "zz" / "what is this").write_bytes(LARGE)
    async with opened(tmp_path) as spool:
        assert await get(spool, entry.id) == LARGE
    assert set(files(tmp_path)) == {f"bodies/{entry.id[-2:]}/{entry.id}", "bodies/note"}


async def test_files_without_an_index_are_set_aside(tmp_path: Path) -> None:
    """They may have been promised."""
    async with opened(tmp_path) as spool:
        entry = await put(spool, LARGE)
    (tmp_path / "index.db").unlink()
    alerts: list[Alert] = []
    async with opened(tmp_path, alerts=alerts) as spool:
        assert await listed(spool) == {}
    (alert,) = alerts
    assert (alert.id, alert.reason) == (entry.id, "there is no index")
    assert alert.where is not None
    assert alert.where.read_bytes() == LARGE


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda path, identifier: body(path, identifier).unlink(), "its file is missing"),
        (lambda path, identifier: body(path, identifier).write_bytes(LARGE[:-1]), "its file has"),
    ],
    ids=["missing", "short"],
)
async def test_message_without_its_file_is_set_aside_at_start(tmp_path: Path, harm: Harm, reason: str) -> None:
    async with opened(tmp_path, page=1) as spool:
        bad, good = await put(spool, LARGE), await put(spool, LARGE)
    harm(tmp_path, bad.id)
    alerts: list[Alert] = []
    async with opened(tmp_path, alerts=alerts, page=1) as spool:
        assert list(await listed(spool)) == [good.id]
    (alert,) = alerts
    assert alert.id == bad.id
    assert alert.reason.startswith(reason)
    assert alert.where is not None
    assert json.loads(alert.where.read_text())["octets"] == len(LARGE)
    async with opened(tmp_path) as spool:
        assert list(await listed(spool)) == [good.id]


ROTTEN: list[tuple[Harm, bytes, str]] = [
    (flip, LARGE, "its content has changed"),
    (changed("UPDATE messages SET content = 'changed:' || substr(content, 9)"), SMALL, "its content has changed"),
    (changed("UPDATE messages SET content = content || 'x'"), SMALL, "its content has 25 octets, not 24"),
    (changed("UPDATE messages SET envelope = replace(envelope, 'one', 'two')"), SMALL, "the row has changed"),
    (changed("UPDATE messages SET envelope = NULL"), SMALL, "the row cannot be read"),
    (changed("UPDATE messages SET envelope = X'ff'"), SMALL, "the row has changed"),
    (changed("UPDATE messages SET received = 'now'"), SMALL, "the row has changed"),
    (changed("UPDATE messages SET digest = 7"), SMALL, "the row cannot be read"),
]


@pytest.mark.parametrize(("harm", "content", "reason"), ROTTEN)
async def test_message_that_is_not_what_was_kept_is_set_aside(
    tmp_path: Path, harm: Harm, content: bytes, reason: str
) -> None:
    async with opened(tmp_path) as spool:
        entry = await put(spool, content)
        await spool.record(entry.id, [RecipientState(index=0, status=Status.DELIVERED)])
    harm(tmp_path, entry.id)
    async with opened(tmp_path) as spool:
        good = await put(spool)
    alerts: list[Alert] = []
    async with opened(tmp_path, alerts=alerts) as spool:
        with pytest.raises(Corrupt, match=reason):
            await get(spool, entry.id)
        assert list(await listed(spool)) == [good.id]
    (alert,) = alerts
    assert alert.id == entry.id
    assert alert.where is not None
    about = json.loads(alert.where.read_text())
    assert (about["reason"], about["recipients"][0]["status"]) == (alert.reason, "delivered")
    assert len(alert.where.with_suffix(".body").read_bytes()) in (len(content), len(content) + 1)
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE messages SET seal = X'00'",
        "UPDATE recipients SET status = 'lost'",
        "UPDATE recipients SET reply = NULL",
        "UPDATE recipients SET due = 'x'",
    ],
)
async def test_scan_goes_on_after_what_it_cannot_read(tmp_path: Path, harm: str) -> None:
    async with opened(tmp_path) as spool:
        bad = await put(spool)
        await spool.record(bad.id, [RecipientState(index=0)])
    execute(tmp_path, harm)
    alerts: list[Alert] = []
    async with opened(tmp_path, alerts=alerts) as spool:
        good = await put(spool)
        assert list(await listed(spool)) == [good.id]
        assert list(await listed(spool)) == [good.id]
    assert [alert.id for alert in alerts] == [bad.id]


async def test_file_that_vanishes_is_told_by_who_reads_it(tmp_path: Path) -> None:
    alerts: list[Alert] = []
    async with opened(tmp_path, alerts=alerts) as spool:
        entry = await put(spool, LARGE)
        body(tmp_path, entry.id).unlink()
        with pytest.raises(Corrupt, match="its file is missing"):
            await get(spool, entry.id)
        assert await listed(spool) == {}
    assert [alert.reason for alert in alerts] == ["its file is missing"]


async def test_what_cannot_be_set_aside_stays(tmp_path: Path) -> None:
    system = Faulty()
    alerts: list[Alert] = []
    async with opened(tmp_path, system, alerts) as spool:
        entry = await put(spool, LARGE)
        flip(tmp_path, entry.id)
        system.before = fail_calls("create")
        with pytest.raises(Corrupt):
            await get(spool, entry.id)
        assert "cannot be set aside: [Errno 5] injected" in alerts[0].reason
        assert list(await listed(spool)) == [entry.id]
        system.before = fail_calls("execute", "BEGIN IMMEDIATE")
        with pytest.raises(Corrupt):
            await get(spool, entry.id)
        system.before = None
        assert spool.failure is not None
    async with opened(tmp_path, alerts=alerts) as spool:
        assert await listed(spool) == {}


async def test_two_who_read_what_is_corrupt_are_both_told(tmp_path: Path) -> None:
    alerts: list[Alert] = []
    async with opened(tmp_path, alerts=alerts) as spool:
        entry = await put(spool, LARGE)
        flip(tmp_path, entry.id)
        async with spool.open(entry.id) as message:
            with pytest.raises(Corrupt):
                await get(spool, entry.id)
            with pytest.raises(Corrupt):
                async for _ in message:
                    pass
    assert len(alerts) == 1


async def test_octets_that_cannot_be_read_now_stay(tmp_path: Path) -> None:
    system = Faulty()
    async with opened(tmp_path, system) as spool:
        entry = await put(spool, LARGE)
        for name in ("open", "read"):
            system.before = fail_calls(name)
            with pytest.raises(SpoolError, match="cannot be read"):
                await get(spool, entry.id)
        system.before = None
        assert await get(spool, entry.id) == LARGE


async def test_file_that_changes_its_length_while_it_is_read(tmp_path: Path) -> None:
    async with opened(tmp_path, alerts=[]) as spool:
        entry = await put(spool, LARGE)
        async with spool.open(entry.id) as message:
            await anext(message)
            body(tmp_path, entry.id).write_bytes(LARGE[:100_000])
            with pytest.raises(Corrupt, match="octets, not"):
                async for _ in message:
                    pass


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (
            lambda path: (path / "index.db").write_bytes(b"not a database, but longer than its head" * 100),
            "not a database",
        ),
        (lambda path: execute(path, "PRAGMA user_version = 9"), "version 9, and this program knows 1"),
        (lambda path: ((path / "index.db").unlink(), (path / "index.db").mkdir()), "cannot be opened"),
    ],
    ids=["rubbish", "later", "directory"],
)
async def test_index_that_cannot_be_used_is_told(tmp_path: Path, harm: Callable[[Path], None], reason: str) -> None:
    async with opened(tmp_path) as spool:
        await put(spool)
    harm(tmp_path)
    with pytest.raises(SpoolFailed, match=reason):
        async with opened(tmp_path):
            pass


async def test_index_that_another_changes_is_tried_again_later(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        other = sqlite3.connect(tmp_path / "index.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        spool._store.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(SpoolError, match="locked"):
            await put(spool)
        other.execute("COMMIT")
        other.close()
        await put(spool)


async def test_what_cannot_be_set_aside_at_start_does_not_hinder_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as spool:
        entry, good = await put(spool, LARGE), await put(spool)
    body(tmp_path, entry.id).unlink()

    def fail(count: int, name: str, what: str) -> None:
        if name == "create" and "corrupt" in what:
            raise io_error(name, 28)

    alerts: list[Alert] = []
    async with opened(tmp_path, Faulty(fail), alerts) as spool:
        assert await get(spool, good.id) == SMALL
        assert list(await listed(spool)) == [entry.id, good.id]
    assert "cannot be set aside" in alerts[0].reason


async def test_nobody_needs_to_hear_of_alerts(tmp_path: Path) -> None:
    async with open_spool(tmp_path) as spool:
        entry = await put(spool, LARGE)
        flip(tmp_path, entry.id)
        with pytest.raises(Corrupt):
            await get(spool, entry.id)
