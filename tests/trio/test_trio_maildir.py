"""Messages into a Maildir: durable before they are acknowledged, or gone."""

import errno
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from smtpcore_trio import Maildir
from smtpcore_trio.maildir import BUFFER_OCTETS, Writer, new_identifier, refusal


@pytest.fixture
def maildir(tmp_path: Path) -> Maildir:
    made = Maildir(tmp_path / "kept" / "Maildir")
    made.create()
    return made


def files(maildir: Maildir) -> list[Path]:
    return sorted(path for path in maildir.path.rglob("*") if path.is_file())


def receive(maildir: Maildir, prefix: bytes = b"") -> Writer:
    return maildir.receive(new_identifier(), prefix)


def test_create(maildir: Maildir) -> None:
    maildir.create()  # once more does no harm
    for directory in (maildir.path, maildir.tmp, maildir.new, maildir.cur):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_path_as_text(tmp_path: Path) -> None:
    assert Maildir(f"{tmp_path}/Maildir").new == tmp_path / "Maildir" / "new"


def test_create_removes_what_was_left(maildir: Maildir) -> None:
    old, fresh = maildir.tmp / "old", maildir.tmp / "fresh"
    for path in (old, fresh):
        path.touch()
    long_ago = time.time() - 37 * 3600
    os.utime(old, (long_ago, long_ago))
    maildir.create()
    assert files(maildir) == [fresh]


@pytest.mark.parametrize("size", [0, 1, 100, BUFFER_OCTETS - 1, BUFFER_OCTETS, BUFFER_OCTETS + 1, 3_000_000])
@pytest.mark.parametrize("piece", [1000, 65536])
async def test_stored(maildir: Maildir, size: int, piece: int) -> None:
    content = os.urandom(size)
    async with receive(maildir, b"Prefix: x\r\n") as writer:
        for start in range(0, size, piece):
            await writer.write(content[start : start + piece])
            assert not list(maildir.new.iterdir())
        path = await writer.commit()
    assert files(maildir) == [path]
    assert path.parent == maildir.new
    assert path.read_bytes() == b"Prefix: x\r\n" + content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_one_hop_for_a_small_message(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    hops: list[object] = []
    run_sync = trio.to_thread.run_sync

    async def spy(function: Callable[..., Any], *arguments: Any) -> Any:
        hops.append(function)
        return await run_sync(function, *arguments)

    monkeypatch.setattr("smtpcore_trio.maildir.trio.to_thread.run_sync", spy)
    async with receive(maildir) as writer:
        for _ in range(100):
            await writer.write(b"x" * 1000)
        await writer.commit()
    assert len(hops) == 1


async def store(maildir: Maildir, *pieces: bytes) -> Path:
    async with receive(maildir) as writer:
        for piece in pieces:
            await writer.write(piece)
        return await writer.commit()


class Calls:
    """Spies on the calls of `os` that matter, and lets the n-th of one of them fail."""

    NAMES = ("open", "write", "fsync", "rename")

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, str]] = []
        self.fail: tuple[str, int, int] | None = None  # name, which one, errno
        self._paths: dict[int, str] = {}
        for name in self.NAMES:
            monkeypatch.setattr(f"smtpcore_trio.maildir.os.{name}", self._spy(name, getattr(os, name)))

    def _spy(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(first: Any, *rest: Any) -> Any:
            path = self._paths.get(first, "") if isinstance(first, int) else str(first)
            self.made.append((name, path))
            if self.fail is not None and self.fail[:2] == (name, self.count(name)):
                raise OSError(self.fail[2], os.strerror(self.fail[2]))
            result = real(first, *rest)
            if name == "open":
                self._paths[result] = path
            return result

        return call

    def count(self, name: str) -> int:
        return sum(made == name for made, _ in self.made)


@pytest.mark.catalogue("H1", "H2")
async def test_order(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is safe before it has its name, and its name is before it counts."""
    calls = Calls(monkeypatch)
    path = await store(maildir, b"x")
    temporary, new, tmp = str(maildir.tmp / path.name), str(maildir.new), str(maildir.tmp)
    assert calls.made == [
        ("open", temporary),
        ("write", temporary),
        ("fsync", temporary),
        ("rename", temporary),
        ("open", new),
        ("fsync", new),
        ("open", tmp),
        ("fsync", tmp),
    ]


@pytest.mark.catalogue("H1", "H3")
@pytest.mark.parametrize(
    ("number", "code"), [(errno.EIO, 451), (errno.ENOSPC, 452), (errno.EDQUOT, 452), (errno.EMFILE, 451)]
)
@pytest.mark.parametrize(
    ("name", "which"),
    [("open", 1), ("write", 1), ("fsync", 1), ("rename", 1), ("open", 2), ("fsync", 2), ("open", 3), ("fsync", 3)],
)
async def test_failure(
    maildir: Maildir, monkeypatch: pytest.MonkeyPatch, name: str, which: int, number: int, code: int
) -> None:
    """Whatever fails: nothing is left, no descriptor either, and it is no success."""
    descriptors = len(os.listdir("/proc/self/fd"))
    calls = Calls(monkeypatch)
    calls.fail = (name, which, number)
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        await store(maildir, b"x")
    assert refusal(caught.value).code == code
    assert files(maildir) == []
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert calls.count("fsync") <= 3  # a sync that failed is not tried again


@pytest.mark.parametrize("which", [1, 2])
async def test_failure_on_the_way(maildir: Maildir, monkeypatch: pytest.MonkeyPatch, which: int) -> None:
    calls = Calls(monkeypatch)
    calls.fail = ("write", which, errno.ENOSPC)
    with pytest.raises(OSError, match="No space"):
        await store(maildir, *[b"x" * BUFFER_OCTETS] * which)
    assert calls.count("fsync") == 0
    assert files(maildir) == []


async def test_short_writes(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr("smtpcore_trio.maildir.os.write", lambda file, octets: write(file, octets[:7]))
    path = await store(maildir, bytes(range(256)))
    assert path.read_bytes() == bytes(range(256))


@pytest.mark.parametrize("size", [10, BUFFER_OCTETS])
async def test_abandoned(maildir: Maildir, size: int) -> None:
    async with receive(maildir) as writer:
        await writer.write(b"x" * size)
        assert len(files(maildir)) == (size >= BUFFER_OCTETS)
    assert files(maildir) == []


async def test_cancelled(maildir: Maildir) -> None:
    with trio.CancelScope() as scope:
        async with receive(maildir) as writer:
            await writer.write(b"x" * BUFFER_OCTETS)
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert files(maildir) == []


async def test_removal_that_fails_hides_nothing(maildir: Maildir) -> None:
    async def lose() -> None:
        async with receive(maildir) as writer:
            await writer.write(b"x" * BUFFER_OCTETS)
            files(maildir)[0].unlink()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await lose()


async def test_directory_is_gone(maildir: Maildir) -> None:
    maildir.new.rmdir()
    with pytest.raises(FileNotFoundError):
        await store(maildir, b"x")
    assert files(maildir) == []


@pytest.mark.catalogue("E15", "H18")
def test_names_are_ours(maildir: Maildir) -> None:
    names = [maildir.file_name(new_identifier()) for _ in range(1000)]
    assert len(set(names)) == 1000
    assert not any("/" in name or ":" in name for name in names)


@pytest.mark.catalogue("H18")
async def test_no_file_is_overwritten(maildir: Maildir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smtpcore_trio.maildir.time.time", lambda: 1.0)
    async with maildir.receive("same") as one:
        await one.write(b"x" * BUFFER_OCTETS)
        async with maildir.receive("same") as two:
            await two.write(b"y")
            with pytest.raises(FileExistsError):
                await two.commit()
        path = await one.commit()
    assert path.read_bytes() == b"x" * BUFFER_OCTETS
