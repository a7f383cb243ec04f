"""The sockets of clients: deadlines that change while something is waited for, and the hub that they share."""

import contextlib
import math
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from smtpcore_trio import _timed, tls
from smtpcore_trio._timed import LoneTransport, SharingTransport, TimedTransport, client_hub, client_transport
from smtpcore_trio.tls import stock_context


class Clock:
    """What says when it is too late, and notes when it was told."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.told: list[float] = []

    def next_deadline(self) -> float:
        return self.deadline

    def handle_timeout(self, now: float) -> None:
        self.told.append(now)


@pytest.fixture(params=["alone", "shared"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[type[TimedTransport], socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        yield (LoneTransport if request.param == "alone" else SharingTransport), here, there


def made(kind: type[TimedTransport], here: socket.socket) -> TimedTransport:
    if kind is LoneTransport:
        return LoneTransport(here)
    hub = client_hub()
    if hub is None:
        pytest.skip("there is no epoll here")
    return SharingTransport(here, hub)


Pair = tuple[type[TimedTransport], socket.socket, socket.socket]


@pytest.mark.parametrize("later", [5.0, 500.0])
async def test_a_deadline_that_changes_as_octets_come(
    pair: Pair, later: float, autojump_clock: trio.testing.MockClock
) -> None:
    kind, here, there = pair
    transport = made(kind, here)
    clock = transport.timed = Clock(trio.current_time() + 100)
    came: list[bytes | None] = []
    start = trio.current_time()

    def advance() -> bool:
        came.append(transport.receive_now())
        clock.deadline = start + later
        return False

    there.send(b"x")
    with pytest.raises(trio.ClosedResourceError):
        await transport.until(advance)
    assert came == [b"x"]
    assert [told - start for told in clock.told] == [pytest.approx(later)]
    transport.close()


async def test_without_deadlines(pair: Pair) -> None:
    kind, here, there = pair
    transport = made(kind, here)
    there.send(b"x")
    assert await transport.receive() == b"x"
    transport.timed = Clock(math.inf)
    there.send(b"y")
    assert await transport.receive() == b"y"
    transport.close()


async def test_what_is_not_taken_in_time(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    kind, here, _there = pair
    transport = made(kind, here)
    clock = transport.timed = Clock(trio.current_time() + 7)
    with pytest.raises(trio.ClosedResourceError):
        await transport.send_all(b"x" * 10_000_000)
    assert len(clock.told) == 1
    transport.close()


async def test_clients_share_a_hub() -> None:
    here, there = socket.socketpair()
    with there:
        transport = client_transport(here)
        hub = client_hub()
        assert isinstance(transport, LoneTransport if hub is None else SharingTransport)
        assert client_hub() is hub
        transport.close()


async def test_where_there_is_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_timed, "new_hub", lambda: None)
    here, there = socket.socketpair()
    with there:
        transport = client_transport(here)
        assert type(transport) is LoneTransport
        assert client_hub() is None
        there.send(b"x")
        assert await transport.receive() == b"x"
        transport.close()


# --- the contexts that they share ----------------------------------------------------------------------


def test_contexts_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    tls._kept_context.cache_clear()
    strict, loose = stock_context(verify=True), stock_context(verify=False)
    assert strict is stock_context(verify=True)
    assert loose is stock_context(verify=False)
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (loose.verify_mode, loose.check_hostname) == (ssl.CERT_NONE, False)
    assert loose.minimum_version == strict.minimum_version == ssl.TLSVersion.TLSv1_2
    assert loose.cert_store_stats()["x509"] == 0
    assert (loose.options, loose.verify_flags) == (strict.options, strict.verify_flags)


def test_other_authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authorities = tmp_path / "ca.pem"
    authorities.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    first = stock_context(verify=True)
    assert first.cert_store_stats()["x509"] == 0
    assert stock_context(verify=True) is first
    (tmp_path / "new.pem").write_text("")
    (tmp_path / "new.pem").replace(authorities)
    second = stock_context(verify=True)
    assert second is not first
    monkeypatch.delenv("SSL_CERT_FILE")
    assert stock_context(verify=True) is not second


@pytest.mark.parametrize("verify", [False, True])
def test_keys_are_logged_where_that_is_wanted(verify: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert stock_context(verify=verify).keylog_filename == str(tmp_path / "keys")
    monkeypatch.delenv("SSLKEYLOGFILE")
    assert stock_context(verify=verify).keylog_filename is None


# --- each wait ends by itself ---


@contextlib.contextmanager
def timed(deadline: float) -> Iterator[tuple[TimedTransport, Clock, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        transport = LoneTransport(here)
        transport.timed = clock = Clock(deadline)
        yield transport, clock, there


async def waiting(transport: TimedTransport, sends: bool) -> float:
    """When the wait ended."""
    with pytest.raises(trio.ClosedResourceError):
        await (transport.send_all(bytes(10_000_000)) if sends else transport.receive())
    return trio.current_time()


@pytest.mark.parametrize("sends", [False, True])
async def test_wait_ends_in_time(sends: bool, autojump_clock: trio.testing.MockClock) -> None:
    with timed(7) as (transport, clock, _):
        assert await waiting(transport, sends) == 7
        assert clock.told == [7]
        # And again, as nobody else waits.
        clock.deadline = 9
        assert await waiting(transport, sends) == 9
        clock.deadline = 3
        assert await waiting(transport, sends) == 9


@pytest.mark.parametrize("sends", [False, True])
async def test_each_wait_ends_in_its_own_time(sends: bool, autojump_clock: trio.testing.MockClock) -> None:
    """In whatever order they begin."""
    deadlines = [50, 20, 90, 10, 70, 10]
    ended: list[tuple[float, float]] = []

    async def wait(deadline: float) -> None:
        with timed(deadline) as (transport, _, _there):
            ended.append((deadline, await waiting(transport, sends)))

    async with trio.open_nursery() as nursery:
        for deadline in deadlines:
            nursery.start_soon(wait, deadline)
            await trio.testing.wait_all_tasks_blocked()
    assert ended == [(deadline, deadline) for deadline in sorted(deadlines)]


async def test_wait_that_is_over_has_no_deadline(autojump_clock: trio.testing.MockClock) -> None:
    with timed(7) as (transport, clock, there):
        there.sendall(b"hello")
        assert await transport.receive() == b"hello"
        await transport.send_all(b"hello")
        await trio.sleep(100)
        assert clock.told == []
        clock.deadline = 107
        there.sendall(b"hi")
        assert await transport.receive() == b"hi"
        clock.deadline = 200
        assert await waiting(transport, sends=False) == 200


async def test_no_deadline(autojump_clock: trio.testing.MockClock) -> None:
    with timed(math.inf) as (transport, clock, _), trio.move_on_after(1000) as scope:
        await transport.send_all(b"hello")
        await transport.receive()
    assert scope.cancelled_caught
    with timed(7) as (other, another, _), trio.move_on_after(1000) as scope:
        other.timed = None
        await other.receive()
    assert scope.cancelled_caught
    assert another.told == []
    assert clock.told == []


async def test_send_without_a_deadline(autojump_clock: trio.testing.MockClock) -> None:
    with timed(math.inf) as (transport, clock, _), trio.move_on_after(1000) as scope:
        await transport.send_all(bytes(10_000_000))
    assert scope.cancelled_caught
    assert clock.told == []


async def test_timed_send_is_broken() -> None:
    with timed(math.inf) as (transport, _, there):
        there.close()
        with pytest.raises(trio.BrokenResourceError):
            await transport.send_all(b"hello")


async def test_wait_that_was_closed_meanwhile() -> None:
    with timed(7) as (transport, clock, _):
        transport.timed = None
        transport.close()
        transport.expire(7.0)
        assert clock.told == []
