"""The hub of a server, over real sockets."""

import contextlib
import select
import socket
import sys
from collections.abc import Callable

import pytest
import trio
import trio.testing
from hub_play import Reader, connected, heard, reading

from smtpcore_trio._hub import Hub, WatchedTransport, new_hub
from smtpcore_trio._transport import READ_OCTETS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no hub")

RESET = b"\1\0\0\0\0\0\0\0"


KINDS = pytest.mark.parametrize("kind", ["unix", "tcp"])


# --- what comes -------------------------------------------------------------------------------------------


@KINDS
async def test_octets_and_the_end(hub: Hub, kind: str) -> None:
    """One after another, each while the task waits."""
    with connected(hub, kind) as (transport, there):
        async with reading(transport) as reader:
            there.sendall(b"one")
            await heard(reader, 3)
            there.sendall(b"two")
            await heard(reader, 6)
            assert not reader.over.is_set()
            there.shutdown(socket.SHUT_WR)
        assert b"".join(reader.read) == b"onetwo"
        assert reader.read[-1] == b""


@KINDS
@pytest.mark.parametrize("octets", [b"", b"x", b"x" * READ_OCTETS, b"x" * (READ_OCTETS + 1)])
async def test_octets_and_the_end_together(hub: Hub, kind: str, octets: bytes) -> None:
    """They come between two turns of the hub, of which the last hears of both."""
    with connected(hub, kind) as (transport, there):
        async with reading(transport) as reader:
            there.sendall(octets)
            there.shutdown(socket.SHUT_WR)
        assert b"".join(reader.read) == octets
        # And the end stays the end.
        assert await transport.receive() == b""


@KINDS
@pytest.mark.parametrize("octets", [b"x", b"x" * READ_OCTETS, b"x" * (READ_OCTETS + 1)])
async def test_what_came_before_anybody_watched(hub: Hub, kind: str, octets: bytes) -> None:
    here, there = socket.socketpair() if kind == "unix" else tcp_pair()
    with there:
        there.settimeout(10)
        there.sendall(octets)
        there.shutdown(socket.SHUT_WR)
        with contextlib.closing(WatchedTransport(here, hub)) as transport:
            reader = Reader(transport)
            await reader.run()
            assert b"".join(reader.read) == octets


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        there = socket.create_connection(listening.getsockname())
        return listening.accept()[0], there


async def test_urgent_octets_end_a_read(hub: Hub) -> None:
    """Before them and behind: such a read is not filled, and has left something all the same."""
    with connected(hub) as (transport, there):
        for _ in range(2):
            async with reading(transport, 4) as reader:
                there.sendall(b"on")
                there.send(b"!", socket.MSG_OOB)
                there.sendall(b"ly")
            assert b"".join(reader.read) == b"only"


async def test_reset(hub: Hub) -> None:
    with connected(hub) as (transport, there):
        async with reading(transport) as reader:
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            there.close()
        assert isinstance(reader.error, trio.BrokenResourceError)


@pytest.mark.parametrize("full", [False, True])
async def test_full_read_with_more_behind_it(hub: Hub, full: bool) -> None:
    """So much as is read at once, or that and a little: of neither does the system tell a second time."""
    octets = b"x" * (READ_OCTETS + (0 if full else 1))
    with connected(hub, "unix") as (transport, there):
        for _ in range(2):
            async with reading(transport, len(octets)) as reader:
                there.sendall(octets)
            assert b"".join(reader.read) == octets
            assert len(reader.read[0]) == READ_OCTETS
        # Nothing has come since, and nobody is called for nothing.
        async with reading(transport) as reader:
            calls = reader.calls
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert (calls, reader.calls) == (full, full)
            there.shutdown(socket.SHUT_WR)


async def test_nobody_waits(hub: Hub) -> None:
    """What comes meanwhile is there when somebody does; so is the end."""
    with connected(hub) as (transport, there):
        there.sendall(b"hello")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await transport.receive() == b"hello"
        assert transport.quiet()
        there.shutdown(socket.SHUT_WR)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await transport.receive() == b""


async def test_unread(hub: Hub) -> None:
    with connected(hub) as (transport, there):
        there.sendall(b"later")
        transport.unread(b"")
        transport.unread(b"first")
        assert await transport.receive() == b"first"
        assert await transport.receive() == b"later"


# --- one and another ----------------------------------------------------------------------------------------


async def test_flood_leaves_others_their_turn(hub: Hub) -> None:
    """Whoever sends without end is read once, then the others."""
    with connected(hub, "unix") as (loud, far), connected(hub, "unix") as (quiet, there):
        far.setblocking(False)
        octets = bytes(READ_OCTETS)
        order: list[str] = []
        asked = turns = 0

        def advance_loud() -> bool:
            nonlocal asked
            order.append("loud")
            loud.receive_now()
            for _ in range(2):
                with contextlib.suppress(BlockingIOError):
                    far.send(octets)
            if len(order) == 50:
                asked = 50
                there.send(b"x")
            return len(order) > 200

        def advance_quiet() -> bool:
            order.append("quiet")
            return quiet.receive_now() is not None

        async def other() -> None:
            nonlocal turns
            while len(order) <= 200:
                await trio.lowlevel.checkpoint()
                turns += len(order) > 0

        async with trio.open_nursery() as nursery:
            nursery.start_soon(loud.until, advance_loud)
            nursery.start_soon(quiet.until, advance_quiet)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(other)
            far.send(octets)
        assert asked
        assert turns > 50
        assert order.index("quiet") <= asked + 3


async def test_one_event_closes_another(hub: Hub) -> None:
    """Both of one poll: what is closed by then hears of nothing."""
    with connected(hub) as (one, far_from_one), connected(hub) as (two, far_from_two):
        called: list[WatchedTransport] = []

        def closing(mine: WatchedTransport, other: WatchedTransport) -> Callable[[], bool]:
            def advance() -> bool:
                called.append(mine)
                other.wake()
                other.close()
                return True

            return advance

        async def wait(mine: WatchedTransport, other: WatchedTransport) -> None:
            with contextlib.suppress(trio.ClosedResourceError):
                await mine.until(closing(mine, other))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, one, two)
            nursery.start_soon(wait, two, one)
            await trio.testing.wait_all_tasks_blocked()
            far_from_one.send(b"x")
            far_from_two.send(b"x")
        assert len(called) == 1


async def test_descriptor_is_used_again(hub: Hub) -> None:
    """By a connection that begins where another was closed in the same poll; its events are of the new one only."""
    with connected(hub) as (one, far_from_one), contextlib.ExitStack() as stack:
        two, far_from_two = stack.enter_context(connected(hub))
        number = two.socket.fileno()
        made: list[tuple[WatchedTransport, socket.socket]] = []
        woken: list[str] = []

        def advance_one() -> bool:
            if not made:
                two.wake()
                two.close()
                here, there = socket.socketpair()
                here.set_inheritable(False)
                if here.fileno() != number:
                    here, there = there, here
                made.append((WatchedTransport(here, hub), there))
            return one.receive_now() is not None

        def advance_two() -> bool:
            woken.append("two")
            return True

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await two.until(advance_two)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.until, advance_one)
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            far_from_one.send(b"x")
            far_from_two.send(b"x")
        assert woken == []
        ((new, there),) = made
        with there, contextlib.closing(new):
            assert new.socket.fileno() == number
            async with reading(new) as reader:
                assert reader.read == []
                there.sendall(b"hello")
                await heard(reader, 5)
                there.shutdown(socket.SHUT_WR)
            assert reader.read == [b"hello", b""]


async def test_many_events_in_one_poll(hub: Hub) -> None:
    """More than one call of the system hands out."""
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(connected(hub, "unix")) for _ in range(60)]
        await trio.testing.wait_all_tasks_blocked()
        hub._epoll = FewAtOnce(hub._epoll)  # type: ignore[assignment]
        async with trio.open_nursery() as nursery:
            for transport, _ in pairs:
                nursery.start_soon(transport.receive)
            await trio.testing.wait_all_tasks_blocked()
            for _, there in pairs:
                there.send(b"x")


class FewAtOnce:
    """An epoll that tells of three at a time."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        return self._epoll.poll(timeout, 3)

    def __getattr__(self, name: str) -> object:
        return getattr(self._epoll, name)


# --- the hub --------------------------------------------------------------------------------------------------------


async def test_closed_after_the_hub() -> None:
    """Nothing is left of either."""
    made = Hub()
    with connected(made) as (transport, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert made._epoll.closed
    assert transport.socket.fileno() == -1
    assert made._watched == {}


async def test_socket_that_cannot_be_watched() -> None:
    made = Hub()
    made._epoll.close()
    here, there = socket.socketpair()
    with here, there, pytest.raises(ValueError, match="closed"):
        WatchedTransport(here, made)
    assert made._watched == {}


def test_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no epoll there."""
    made = new_hub()
    assert made is not None
    made._epoll.close()
    monkeypatch.setattr("smtpcore_trio._hub.sys.platform", "sunos5")
    assert new_hub() is None
