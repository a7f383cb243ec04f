"""Clients that take no replies, or next to none: they are cut at the write deadline, and cost little until then."""

import contextlib
import ssl
import time
from functools import partial
from typing import Any

import pytest
import trio
from load_play import Blocking, tracing
from trio_play import CONFIG, Host, Taker, deliver, serving

from smtpcore import EarlyInput, Extended, Limits, Peer, Reply, ServerConfig, Timeouts, Verify, XClient
from smtpcore._value import evolve
from smtpcore_trio import TlsContext
from smtpcore_trio._transport import READ_OCTETS
from smtpcore_trio.observe import BaseObserver, SessionFacts

WRITE = 0.5
# A read, what is not parsed yet, the replies that wait, and the same joined, for which Python takes another 80
# octets for each of the thousands of them, for as long as it joins them.
FLOOD_OCTETS = 12 * READ_OCTETS
# Of our sockets, so that it is not the kernel that takes all.
KERNEL_OCTETS = 16_384
UNLIMITED = ServerConfig(
    hostname="mx.example.org",
    limits=Limits(junk_commands=10**9, errors=10**9),
    timeouts=Timeouts(write=WRITE),
    early_input=EarlyInput.REPORT,
    verify=True,
)


class Noting(BaseObserver):
    """Keeps the limits and deadlines of sessions."""

    def __init__(self) -> None:
        self.refusals: list[str] = []

    def refused(self, limit: str, peer: Peer, session: SessionFacts | None = None) -> None:
        self.refusals.append(limit)


def small_buffers(host: Host) -> None:
    for option in (trio.socket.SO_RCVBUF, trio.socket.SO_SNDBUF):
        host.listener.socket.setsockopt(trio.socket.SOL_SOCKET, option, KERNEL_OCTETS)


def flood(host: Host, block: bytes, context: ssl.SSLContext | None = None, pace: float = 0.0) -> tuple[int, float]:
    """Say *block* again and again until the server has enough: how much it took, and for how long.

    Args:
        pace: take an octet so often; none at all where it is 0.
    """
    with Blocking(host.listener.socket.getsockname()[1], receive_buffer=2048) as client:
        if context is not None:
            client.begin_tls(context)
        client.reply()
        client.ask("EHLO client.example")
        began, sent = time.monotonic(), 0
        client.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, KERNEL_OCTETS)
        client.socket.settimeout(pace or 20.0)
        try:
            while True:
                try:
                    sent += client.socket.send(block)
                    if pace:
                        client.socket.recv(1)
                except TimeoutError:
                    assert pace, "it is not cut"
        except OSError:
            return sent, time.monotonic() - began


@pytest.mark.catalogue("G5")
@pytest.mark.parametrize("pace", [0.0, 0.05], ids=["nothing", "octets"])
@pytest.mark.parametrize("line", [b"NOOP\r\n", b"VRFY tim\r\n", b"EHLO client.example\r\n", b"FROBNICATE\r\n"])
async def test_replies_that_nobody_takes(line: bytes, pace: float) -> None:
    """Each octet that is taken moves no deadline."""
    noting = Noting()
    block = line * (16_384 // len(line))
    async with serving(config=UNLIMITED, observer=noting) as host:
        small_buffers(host)
        async with await host.client() as other:
            await deliver(other)
            with tracing() as allocated:
                sent, seconds = await trio.to_thread.run_sync(partial(flood, host, block, pace=pace))
                most = allocated()
            assert (await other.ask("NOOP")).startswith("250 ")
        await host.empty()
    assert noting.refusals == ["write"]
    assert seconds >= WRITE
    assert most <= FLOOD_OCTETS
    # The server has not read what it could not answer.
    assert sent <= 2 * READ_OCTETS + 8 * KERNEL_OCTETS


@pytest.mark.catalogue("G5")
async def test_replies_that_nobody_takes_through_tls(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    noting = Noting()
    options: dict[str, Any] = {"tls_context": tls_context, "implicit_tls": True}
    async with serving(config=UNLIMITED, observer=noting, **options) as host:
        small_buffers(host)
        await trio.to_thread.run_sync(flood, host, b"NOOP\r\n", client_tls)
        with tracing() as allocated:
            sent, seconds = await trio.to_thread.run_sync(flood, host, b"NOOP\r\n" * 2000, client_tls)
            most = allocated()
        await host.empty()
    assert noting.refusals == ["write", "write"]
    assert seconds >= WRITE
    assert most <= FLOOD_OCTETS
    assert sent <= 2 * READ_OCTETS + 8 * KERNEL_OCTETS


@pytest.mark.parametrize("line", [b"NOOP\r\n", b"VRFY tim\r\n"])
@pytest.mark.parametrize("times", [300, 3000, 30_000])
async def test_replies_that_are_taken_late(line: bytes, times: int) -> None:
    """Who reads in the end hears all of them, and need not say anything to that end."""

    def ask_and_take(host: Host) -> int:
        with Blocking(host.listener.socket.getsockname()[1], receive_buffer=2048) as client:
            client.reply()
            client.ask("EHLO client.example")
            client.socket.settimeout(0.2)
            rest, heard = line * times, 0
            while heard < times:
                with contextlib.suppress(TimeoutError):  # it waits for us to read
                    rest = rest[client.socket.send(rest) :]
                client.socket.settimeout(10.0)
                heard += client.socket.recv(65536).count(b"\n")
                client.socket.settimeout(0.2 if rest else 10.0)
            return heard

    config = evolve(UNLIMITED, timeouts=Timeouts(write=60.0))
    async with serving(config=config) as host:
        small_buffers(host)
        assert await trio.to_thread.run_sync(ask_and_take, host) == times
        await host.empty()


class Talkative(Taker):
    """Answers VRFY at great length."""

    async def extended(self, question: Verify | Extended | XClient) -> Reply | None:
        return Reply(250, "\n".join(["x" * 70] * 10_000))


@pytest.mark.catalogue("G5")
@pytest.mark.parametrize("octets", [0, 1])
async def test_long_reply(octets: int) -> None:
    """Of which a client takes *octets* ten times a second, while it says nothing more itself."""
    noting = Noting()

    def ask_and_wait(host: Host) -> float:
        with Blocking(host.listener.socket.getsockname()[1], receive_buffer=2048) as client:
            client.reply()
            client.ask("EHLO client.example")
            client.socket.sendall(b"VRFY tim\r\n")
            began = time.monotonic()
            # What had come before the reset can be read after it as well.
            while not client.socket.getsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_ERROR):
                assert time.monotonic() < began + 20, "it is not cut"
                time.sleep(0.1)
                if octets:
                    client.socket.recv(octets)
            return time.monotonic() - began

    async with serving(Talkative, UNLIMITED, observer=noting) as host:
        small_buffers(host)
        assert await trio.to_thread.run_sync(ask_and_wait, host) >= WRITE
        await host.empty()
    assert noting.refusals == ["write"]


@pytest.mark.catalogue("G5", "G7")
@pytest.mark.parametrize("line", [b"NOOP\r\n", b"FROBNICATE\r\n"])
async def test_by_default_there_are_few_replies(line: bytes) -> None:
    """A flood is over before its replies fill anything."""
    noting = Noting()
    async with serving(config=CONFIG, observer=noting) as host:
        await trio.to_thread.run_sync(flood, host, line * 1000)
        await host.empty()
    assert noting.refusals == ["junk_commands" if line == b"NOOP\r\n" else "errors"]
