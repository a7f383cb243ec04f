"""How workers are replaced, and how they are not: real processes, some of which cannot be had."""

import os
import signal
from functools import partial
from typing import Any

import pytest
import trio
from test_trio_workers import a_port, pid_of, until, working
from workers_play import Pid

from smtpcore_trio import Workers, serve, workers


async def test_back_off(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Later and later, as long as none lives; each time that is told once."""
    monkeypatch.setattr(workers, "_PAUSE", 0.01)
    monkeypatch.setattr(workers, "_LONGEST_PAUSE", 0.04)
    start = workers._start
    failures = [OSError("no memory")] * 3

    def at_last(process: Any) -> None:
        if failures:
            raise failures.pop()
        start(process)

    port = await a_port()
    async with working([port], workers=1) as server:
        (lost,) = server.pids
        monkeypatch.setattr(workers, "_start", at_last)
        os.kill(lost, signal.SIGTERM)
        await until(partial(other, server, (lost,)))
        assert await pid_of(port) == server.pids[0] != lost
    assert [record.getMessage() for record in caplog.records] == [
        "worker 0 ended with status 0; it is replaced in 0.01 seconds",
        "worker 0 could not be started: no memory; it is replaced in 0.02 seconds",
        "worker 0 could not be started: no memory; it is replaced in 0.04 seconds",
        "worker 0 could not be started: no memory; it is replaced in 0.04 seconds",
    ]


def other(server: Workers, lost: tuple[int, ...]) -> bool:
    return server.pids not in (lost, ())


async def test_one_that_has_lived_is_replaced_soon(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And nobody waits for that with the drain."""
    monkeypatch.setattr(workers, "_PAUSE", 0.01)
    monkeypatch.setattr(workers, "_LIVED", 0.0)
    port = await a_port()
    async with working([port], workers=1) as server:
        for _ in range(2):
            lost = server.pids
            os.kill(lost[0], signal.SIGKILL)
            await until(partial(other, server, lost))
        monkeypatch.setattr(workers, "_PAUSE", 1000.0)
        os.kill(server.pids[0], signal.SIGKILL)
        await until(lambda: len(caplog.records) == 3)
    assert [record.getMessage().rpartition(" in ")[2] for record in caplog.records] == [
        "0.01 seconds",
        "0.01 seconds",
        "1000 seconds",
    ]


async def test_cancelled_while_one_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is drained as soon as it can be told."""
    start = workers._start
    port = await a_port()
    with trio.fail_after(60), trio.CancelScope() as scope:

        def late(process: Any) -> None:
            trio.from_thread.run_sync(scope.cancel)
            start(process)

        monkeypatch.setattr(workers, "_start", late)
        await serve([port], Pid, workers=1)
    assert scope.cancelled_caught
    assert port.listeners[0].socket.fileno() == -1


async def test_none_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> None:
        raise OSError("no memory")

    monkeypatch.setattr(workers, "_start", fail)
    port = await a_port()
    with trio.fail_after(60), pytest.raises(OSError, match="no memory"):
        await serve([port], Pid, workers=2)
    assert port.listeners[0].socket.fileno() == -1
