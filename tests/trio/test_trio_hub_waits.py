"""How waits for a hub end: in octets, woken, cancelled, closed, or by an error."""

import contextvars
import socket

import pytest
import trio
import trio.testing
from hub_play import Reader, connected, reading, send_soon

from smtpcore_trio._hub import Hub
from smtpcore_trio._transport import READ_OCTETS


async def test_wake(hub: Hub) -> None:
    with connected(hub) as (transport, there):
        transport.wake()  # nobody waits: nothing happens
        async with reading(transport) as reader:
            transport.wake()
            transport.wake()
        assert isinstance(reader.error, trio.ClosedResourceError)
        assert reader.calls == 0
        # And it can be used as before.
        there.sendall(b"x")
        assert await transport.receive() == b"x"


async def test_wake_of_who_is_about_to_wait(hub: Hub) -> None:
    """There was an alarm, so that there might be something to read; but there is not."""
    with connected(hub) as (transport, there):
        for _ in range(20):
            transport.notify(more=False)
            trio.lowlevel.current_trio_token().run_sync_soon(transport.wake)
            with pytest.raises(trio.ClosedResourceError):
                await transport.receive()
        there.sendall(b"x")
        assert await transport.receive() == b"x"


async def test_two_tasks(hub: Hub) -> None:
    """One of them reads; the other hears that it may not."""
    with connected(hub) as (transport, there):
        async with reading(transport) as reader:
            with pytest.raises(trio.BusyResourceError):
                await transport.receive()
            there.sendall(b"x")
            there.shutdown(socket.SHUT_WR)
        assert b"".join(reader.read) == b"x"


async def test_wake_from_inside(hub: Hub) -> None:
    """What has come is not lost by it."""
    with connected(hub) as (transport, there):
        reader = Reader(transport)

        def advance() -> bool:
            transport.wake()
            return reader.advance()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_soon, there, b"hello")
            with pytest.raises(trio.ClosedResourceError):
                await transport.until(advance)
        assert reader.read == [b"hello"]
        there.sendall(b"more")
        assert await transport.receive() == b"more"


async def test_cancelled(hub: Hub) -> None:
    """Nothing is read any more, and nothing of what came is lost."""
    with connected(hub) as (transport, there):
        reader = Reader(transport)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        there.sendall(b"hello")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert reader.calls == 0
        assert await transport.receive() == b"hello"


async def test_cancelled_when_it_was_over(hub: Hub) -> None:
    """Between the last octets and the turn of its task: what was read has been read."""
    with connected(hub) as (transport, there), trio.CancelScope() as scope:
        reader = Reader(transport, 5)

        def advance() -> bool:
            done = reader.advance()
            trio.lowlevel.current_trio_token().run_sync_soon(scope.cancel)
            return done

        there.sendall(b"hello")
        await transport.until(advance)
        assert reader.read == [b"hello"]


async def test_cancelled_from_inside(hub: Hub) -> None:
    with connected(hub) as (transport, there):
        reader = Reader(transport, 5)
        with trio.CancelScope() as scope:

            def advance() -> bool:
                scope.cancel()
                return reader.advance()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_soon, there, b"hello")
                await transport.until(advance)
        assert scope.cancelled_caught
        assert reader.read == [b"hello"]
        there.sendall(b"more")
        assert await transport.receive() == b"more"


async def test_cancelled_while_it_is_ready(hub: Hub) -> None:
    with connected(hub) as (transport, there):
        transport.unread(b"hello")
        with trio.CancelScope() as scope:
            scope.cancel()
            await transport.receive()
        assert scope.cancelled_caught
        assert await transport.receive() == b"hello"
        there.sendall(b"more")
        assert await transport.receive() == b"more"


async def test_closed_before_its_next_turn(hub: Hub) -> None:
    """A full read is followed by another, unless the task has had enough."""
    with connected(hub, "unix") as (transport, there):
        turns = 0

        def advance() -> bool:
            nonlocal turns
            turns += 1
            transport.receive_now()
            if turns == 1:
                transport.wake()
                transport.close()
                assert hub._again == {}
                hub.again(transport)
            return False

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_soon, there, b"x" * READ_OCTETS)
            with pytest.raises(trio.ClosedResourceError):
                await transport.until(advance)
        await trio.testing.wait_all_tasks_blocked()
        assert turns == 1
        assert hub._again == {}


@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt, GeneratorExit])
async def test_error(hub: Hub, kind: type[BaseException]) -> None:
    """Of one connection: its own task has it, and the hub goes on."""
    with connected(hub) as (one, far), connected(hub) as (two, there):

        def fall() -> bool:
            raise kind

        async with reading(two) as reader:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_soon, far, b"x")
                with pytest.raises(kind):
                    await one.until(fall)
            there.shutdown(socket.SHUT_WR)
        assert reader.read == [b""]


async def test_context(hub: Hub) -> None:
    """That of the task which waits."""
    name = contextvars.ContextVar("name", default="nobody")
    seen: list[str] = []
    with connected(hub) as (transport, there):
        name.set("somebody")

        def advance() -> bool:
            seen.append(name.get())
            return transport.receive_now() is not None

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_soon, there, b"x")
            await transport.until(advance)
    assert seen == ["somebody"]
