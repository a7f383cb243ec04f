"""What no client can bring about, and must not go unnoticed all the same."""

import socket
from collections.abc import AsyncIterator

import pytest
from trio_play import CONFIG, OK, Taker

from smtpcore import Abort, BodyBegin, Cause, Peer, Reply, ServerConnection
from smtpcore_trio import Aborted
from smtpcore_trio._conversation import Body, Conversation
from smtpcore_trio._pump import Pump
from smtpcore_trio._transport import SocketTransport


@pytest.fixture
async def pump() -> AsyncIterator[Pump]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"EHLO a.example\r\n")
        yield Pump(ServerConnection(CONFIG, peer=Peer(None)), SocketTransport(ours))


def conversation(pump: Pump) -> Conversation:
    return Conversation(pump, Taker(pump.connection), refusal=None, starttls=lambda: False, auth_delay=0)


@pytest.mark.parametrize("verdict", [OK, Reply(550, "No", "5.7.1")])
async def test_body_of_a_connection_that_is_closed(pump: Pump, verdict: Reply) -> None:
    """Closed while the application thought about whether to take the message."""
    talk = conversation(pump)
    for _ in range(2):
        event = await pump.next_event()
        assert event is not None
        await talk.take(event)
    engine = pump.connection
    begin = BodyBegin("DATA")
    engine._question = begin
    engine._close(Cause.SHUTDOWN)
    body = Body(talk, pump, begin)
    for _ in range(2):
        with pytest.raises(Aborted) as aborted:
            await anext(body)
        assert aborted.value.reason is Abort.LOST
    await body.settle(verdict)
