"""A client that drops at every octet of a session: by FIN, by RST, and by a cut through TLS."""

import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from fault_play import (
    EHLO,
    LOGIN,
    STARTTLS,
    TLS_CONFIG,
    Drop,
    Group,
    Knower,
    Wire,
    by_chunks,
    by_data,
    message,
    nothing_left,
    play,
    size,
    together,
)
from observe_play import AUTH_CONFIG, Recorder
from trio_play import Client, Host, serving, until

from smtpcore import Cause, ServerConfig
from smtpcore_trio import TlsContext
from smtpcore_trio.observe import Settled

Recording = Callable[[int], tuple[Group, ...]]

METHODS = ("hello", "authenticate", "mail", "rcpt", "data")


@asynccontextmanager
async def dropping(
    caplog: pytest.LogCaptureFixture,
    config: ServerConfig = AUTH_CONFIG,
    implicit: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[tuple[Host, Recorder]]:
    """A server that has another client besides, and of which nothing is left in the end."""
    recorder = Recorder()

    async def another() -> Client:
        client = await host.client()
        if implicit is not None:
            await client.start_tls(implicit)
        await client.greet()
        return client

    options = {"implicit_tls": implicit is not None, "observer": recorder, **options}
    async with nothing_left(), serving(Knower, config, **options) as host:
        async with await another() as other:
            yield host, recorder
            async with await another() as the_next:
                for client in (other, the_next):
                    reply = await client.ask("MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "DATA", "x\r\n.")
                    assert reply == "250 2.0.0 Stored\r\n"
        await host.empty()
    assert caplog.records == []
    assert len(recorder.of("opened")) == len(recorder.of("closed")) == len(host.sessions)


async def check(host: Host, recorder: Recorder, wires: Sequence[Wire]) -> None:
    """The sessions have heard what was sent whole, and of messages just those."""
    await until(lambda: host.server.connections == 1)
    expected = sum((wire.asked for wire in wires), Counter[str]())
    whole = [message(number) for number, wire in enumerate(wires) if wire.asked["whole"]]
    sessions = host.sessions[1:]
    asked = Counter(method for session in sessions for method in session.said)
    assert [asked[method] for method in METHODS] == [expected[method] for method in METHODS]
    whole = [message(number) for number, wire in enumerate(wires) if wire.asked["whole"]]
    assert sorted(each for session in sessions for each in session.messages) == whole
    assert len(recorder.told(Settled)) == len(whole)
    assert 0 < len(whole) < len(wires)
    # Each has ended, by QUIT or because its client has gone.
    causes = Counter(closed.cause for closed in recorder.of("closed"))
    assert causes[Cause.QUIT] == expected["quit"]
    assert causes[Cause.EOF] + causes[Cause.TLS_FAILED] == len(sessions) - expected["quit"]


def address(host: Host) -> tuple[str, int]:
    found: tuple[str, int] = host.listener.socket.getsockname()
    return found


IN_THE_CLEAR: dict[str, Recording] = {
    "DATA": lambda number: (EHLO, *LOGIN, *by_data(number)),
    "BDAT": lambda number: (EHLO, *by_chunks(number)),
}


@pytest.mark.catalogue("A10", "F6")
@pytest.mark.parametrize("how", Drop, ids=lambda how: how.name)
@pytest.mark.parametrize("recording", IN_THE_CLEAR.values(), ids=IN_THE_CLEAR)
async def test_every_octet(recording: Recording, how: Drop, caplog: pytest.LogCaptureFixture) -> None:
    async with dropping(caplog) as (host, recorder):
        plays = [
            partial(play, address(host), recording(octets), how, plain=octets)
            for octets in range(size(recording(0)) + 1)
        ]
        wires = await together(plays)
        await check(host, recorder, wires)


async def test_who_hears_the_reply(caplog: pytest.LogCaptureFixture) -> None:
    """Of those who end their side only, all whose message was taken, and no others."""
    groups = IN_THE_CLEAR["DATA"](1)
    async with dropping(caplog) as (host, _):
        plays = [partial(play, address(host), groups, Drop.FIN, plain=size(groups) - left) for left in range(20)]
        heard = [(b"Stored" in wire.heard, wire.asked["whole"]) for wire in await together(plays)]
        assert all(bool(whole) is stored for stored, whole in heard)
        assert len(set(heard)) == 2


@pytest.mark.parametrize("how", Drop, ids=lambda how: how.name)
async def test_before_the_greeting(how: Drop, caplog: pytest.LogCaptureFixture) -> None:
    """Some have gone before they are accepted."""

    async def come_and_go() -> Wire:
        with trio.socket.socket() as connected:
            await connected.connect(address(host))
            wire = Wire(connected)
            await wire.drop(how)
            return wire

    async with dropping(caplog) as (host, recorder):
        await together([come_and_go] * 200, 100)
        await until(lambda: host.server.connections == 1)
        assert {closed.cause for closed in recorder.of("closed")} <= {Cause.EOF}


def after_starttls(number: int) -> tuple[Group, ...]:
    return (*STARTTLS, EHLO, *LOGIN, *by_data(number))


def in_tls(number: int) -> tuple[Group, ...]:
    return (EHLO, *by_chunks(number))


@pytest.mark.catalogue("A10", "C8")
@pytest.mark.parametrize(
    ("cut", "recording", "how"),
    [
        ("plain", after_starttls, Drop.FIN),
        ("plain", after_starttls, Drop.RST),
        ("plain", in_tls, Drop.CLOSE),
        ("raw", after_starttls, Drop.RST),
        ("raw", in_tls, Drop.FIN),
    ],
)
async def test_every_octet_with_tls(
    cut: str,
    recording: Recording,
    how: Drop,
    tls_context: TlsContext,
    client_tls: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The connection goes without a close_notify, between records, within them, and within the handshake."""
    implicit = client_tls if recording is in_tls else None
    if implicit is not None:  # where a client has the last word in the handshake
        client_tls.maximum_version = ssl.TLSVersion.TLSv1_2
    async with dropping(caplog, TLS_CONFIG, implicit, tls_context=tls_context) as (host, recorder):
        start = partial(play, address(host), context=client_tls, implicit=implicit is not None)
        whole = await start(recording(0), Drop.CLOSE)
        octets = size(recording(0)) if cut == "plain" else whole.sent
        plays = [partial(start, recording(sent + 1), how, **{cut: sent}) for sent in range(octets + 1)]
        wires = [whole, *await together(plays)]
        await check(host, recorder, wires)
