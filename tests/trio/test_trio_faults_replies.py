"""A final reply that nobody can read: the message is the session's all the same, and the observer can tell."""

import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest
import trio
from fault_play import EHLO, RESET, STARTTLS, Group, Wire, by_chunks, by_data, message, nothing_left
from observe_play import Recorder
from trio_play import OK, Taker, serving, until

from smtpcore import STANDARD, Cause, Reply, ServerConfig
from smtpcore.extensions import STARTTLS as OFFER_STARTTLS
from smtpcore_trio import Facts, TlsContext
from smtpcore_trio.observe import Settled

NO = Reply(554, "Not this", "5.6.0")
CONFIG = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, OFFER_STARTTLS))


class Thinker(Taker):
    """Has the message before its client goes, and gives its verdict after that."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.has_it = trio.Event()
        self.client_gone = trio.Event()
        self.verdict = OK

    async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
        await super().data(body)
        self.has_it.set()
        await self.client_gone.wait()
        return self.verdict


def parts(groups: Sequence[Group]) -> list[Group]:
    """*groups* up to the message; it is the last line of its group then."""
    found: list[Group] = []
    for group in groups:
        methods = [method for _, method in group.lines]
        if "whole" in methods:
            return [*found, Group(group.lines[: methods.index("whole") + 1], 0)]
        found.append(group)
    raise ValueError(groups)


@pytest.mark.catalogue("H7")
@pytest.mark.parametrize("verdict", [OK, NO], ids=["yes", "no"])
@pytest.mark.parametrize("how", ["reset", "closed"])
@pytest.mark.parametrize("groups", [by_data(7), by_chunks(7)], ids=["DATA", "BDAT"])
@pytest.mark.parametrize("secure", [False, True])
async def test_client_that_does_not_wait(
    groups: tuple[Group, ...],
    how: str,
    verdict: Reply,
    secure: bool,
    tls_context: TlsContext,
    client_tls: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It may come again with the same message. Of its session there is a verdict, and no QUIT."""
    recorder = Recorder()
    async with nothing_left(), serving(Thinker, CONFIG, tls_context=tls_context, observer=recorder) as host:
        with trio.socket.socket() as connected:
            await connected.connect(host.listener.socket.getsockname())
            wire = Wire(connected)
            await wire.hear(1)
            for group in (*(STARTTLS if secure else ()), EHLO, *parts(groups)):
                await wire.say(group)
                await wire.hear(group.replies)
                if group.shakes_hands:
                    await wire.shake_hands(client_tls)
            (session,) = host.sessions
            await session.has_it.wait()
            session.verdict = verdict
            if how == "reset":
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        session.client_gone.set()
        await host.empty()
        assert session.messages == [message(7)]
    (settled,) = recorder.told(Settled)
    assert settled.verdicts == (verdict,)
    assert recorder.of("said")[-1] == verdict
    (closed,) = recorder.of("closed")
    assert closed.cause is Cause.EOF
    assert caplog.records == []


async def test_client_that_says_quit_and_does_not_wait(caplog: pytest.LogCaptureFixture) -> None:
    """Its replies leave, and nobody but its host knows that they are dropped."""
    recorder = Recorder()
    async with nothing_left(), serving(Thinker, observer=recorder) as host:
        with trio.socket.socket() as connected:
            await connected.connect(host.listener.socket.getsockname())
            wire = Wire(connected)
            await wire.hear(1)
            await wire.say(EHLO)
            await wire.hear(1)
            await wire.say(by_chunks(7)[0])  # with a QUIT
            (session,) = host.sessions
            await session.has_it.wait()
        session.client_gone.set()
        await host.empty()
        assert session.messages == [message(7)]
    assert len(recorder.told(Settled)) == 1
    assert [reply.code for reply in recorder.of("said")[-2:]] == [250, 221]
    assert [closed.cause for closed in recorder.of("closed")] == [Cause.QUIT]
    assert caplog.records == []


def has_said(recorder: Recorder, replies: int) -> bool:
    return len(recorder.of("said")) == replies


async def test_client_that_takes_nothing_more() -> None:
    """It has ended its side of receiving only: the session goes on to its QUIT."""
    recorder = Recorder()
    async with nothing_left(), serving(observer=recorder) as host:
        with trio.socket.socket() as connected:
            await connected.connect(host.listener.socket.getsockname())
            wire = Wire(connected)
            await wire.hear(1)
            connected.shutdown(socket.SHUT_RD)
            for group, replies in zip([EHLO, *by_data(7)], [2, 5, 6, 7], strict=True):
                await wire.say(group)
                await until(partial(has_said, recorder, replies))
        await host.empty()
        assert host.sessions[0].messages == [message(7)]
    assert [closed.cause for closed in recorder.of("closed")] == [Cause.QUIT]
