"""How often the task of a client is woken for a message, and when a message in memory is given without waking it."""

from typing import Any

import pytest
import trio
from client_play import MESSAGE, Serve, Watched, envelope, fates, obliging, talking

from smtpcore import BodyWanted, LocalProtocolError, MessageAnswer, RecipientAnswer, SenderAnswer, TransactionDone
from smtpcore_trio._pieces import BLOCK_OCTETS, Pieces
from smtpcore_trio._timed import client_hub

OFFERS = b"250-mx.example.org\r\n250 PIPELINING\r\n"


class Steps(trio.abc.Instrument):
    """Counts the steps of a task."""

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.count = 0
        self._task = task

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task is self._task


@pytest.mark.parametrize("replies", [{}, {b"EHLO": OFFERS}])
async def test_one_turn_a_message(replies: dict[bytes, bytes]) -> None:
    async with talking(obliging(replies)) as (client, script):
        if client_hub() is None:
            pytest.skip("there is no epoll here")
        steps = Steps(trio.lowlevel.current_task())
        trio.lowlevel.add_instrument(steps)
        for _ in range(5):
            assert fates(await client.send(envelope(), MESSAGE)) == ["ACCEPTED"] * 2
        trio.lowlevel.remove_instrument(steps)
        assert steps.count == 5
        assert script.messages == [MESSAGE.replace(b"\n.", b"\n..")] * 5


async def test_a_watcher_hears_of_all() -> None:
    watched = Watched()
    async with talking(obliging(), watcher=watched) as (client, _):
        watched.events.clear()
        await client.send(envelope(), MESSAGE)
        assert [type(each) for each in watched.events] == [
            SenderAnswer, RecipientAnswer, RecipientAnswer, BodyWanted, MessageAnswer, TransactionDone,
        ]  # fmt: skip


@pytest.mark.parametrize("octets", [0, BLOCK_OCTETS - 1, BLOCK_OCTETS, BLOCK_OCTETS + 1])
async def test_messages_of_one_piece_and_of_more(octets: int) -> None:
    message = (b"x" * 998 + b"\r\n") * (octets // 1000) + b"y" * (octets % 1000)
    assert (Pieces(message).whole is None) == (octets >= BLOCK_OCTETS)
    async with talking(obliging()) as (client, script):
        assert fates(await client.send(envelope(), message)) == ["ACCEPTED"] * 2
        end = b"" if not message or message.endswith(b"\r\n") else b"\r\n"
        assert script.messages == [message + end]


@pytest.mark.parametrize("message", [b"a\nb\r\n", b"a\r", b"\xff\r\n"])
async def test_what_cannot_be_sent(message: bytes) -> None:
    async with talking(obliging()) as (client, script):
        with pytest.raises(LocalProtocolError):
            await client.send(envelope(), message)
        assert client.begun
        assert client.closed is not None
        await client.quit()
        assert script.messages in ([], [b""])
        assert client.transaction is not None
        assert fates(client.transaction.outcomes) == ["UNSENT"] * 2


def behind_354(replies: bytes) -> Serve:
    """Says more together with its 354."""
    return obliging({b"EHLO": OFFERS, b"DATA": b"354 go\r\n" + replies})


async def test_a_farewell_behind_the_354() -> None:
    """Nothing of the message was asked for by then, so it is certain not to have arrived."""
    async with talking(behind_354(b"421 4.3.2 bye\r\n")) as (client, _):
        assert fates(await client.send(envelope(), MESSAGE)) == ["UNSENT"] * 2
        assert not client.begun
        assert client.closed is not None


class Failing:
    """A transport that sends DATA, and says that it could not."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.put_after: list[bytes] = []
        self._failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def put(self, octets: bytes) -> bool:
        if self._failed:
            self.put_after.append(octets)
        self._transport.put(octets)
        self._failed = octets.startswith(b"DATA")
        if self._failed:
            raise trio.BrokenResourceError
        return True


async def test_nothing_is_given_where_nothing_can_be_sent() -> None:
    """What the server has said is read, to its end; of the message it is certain that it has not arrived."""
    async with talking(obliging(until=5, last=b"354 go\r\n")) as (client, _):
        failing = client._pump._transport = Failing(client._pump._transport)
        assert fates(await client.send(envelope(), MESSAGE)) == ["UNSENT"] * 2
        assert not client.begun
        assert failing.put_after == []


async def test_small_message_is_one_piece() -> None:
    assert await Pieces(b"hello").next() == (b"hello", True)
