"""What connections cost: a message no more than a few reads, however long; an idle client next to nothing.

What Python has allocated is measured to the octet, and does not depend on the machine; what the system says that
a server takes (and TLS takes without Python) is measured of a process of its own.
"""

import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trio
from load_play import BLOCK, Blocking, ServerProcess, SlowClients, enough_descriptors, tracing
from trio_play import OK, Host, serving

from smtpcore import Reply
from smtpcore_trio import BaseSession, Facts, Refuse, TlsContext
from smtpcore_trio._transport import READ_OCTETS

LONG = 50_000_000
MIB = 1024
"""In KiB."""

# The last read and the next, what the engine has not yet parsed, what it hands out, and copies while they are made.
MESSAGE_OCTETS = 6 * READ_OCTETS
# In the kernel: of the client's socket and of ours, each of which Linux makes twice as large as it is told to.
KERNEL_OCTETS = 65_536
NO = Reply(554, "Not wanted", "5.7.1")


class Ponderer(BaseSession):
    """Takes a piece of the first long message, and no more until it is let `go`."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.octets = 0
        self.go = trio.Event()

    async def data(self, body: AsyncIterator[bytes]) -> Reply:
        async for chunk in body:
            self.octets += len(chunk)
            if self.octets > 1000:
                await self.go.wait()
        return OK


def connect(host: Host, context: ssl.SSLContext | None = None) -> Blocking:
    client = Blocking(host.listener.socket.getsockname()[1])
    if context is not None:
        client.begin_tls(context)
    client.reply()
    client.begin()
    # So that what is done once was done before.
    client.ask("DATA", "Subject: x\r\n\r\nbody\r\n.")
    client.begin()
    return client


async def at_rest(client: Blocking) -> int:
    """How much was sent when nothing more can be."""
    sent, since = client.sent, trio.current_time()
    with trio.fail_after(20):
        while trio.current_time() < since + 0.3:
            await trio.sleep(0.02)
            if client.sent != sent:
                sent, since = client.sent, trio.current_time()
    return sent


@pytest.mark.parametrize("chunked", [False, True], ids=["data", "bdat"])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
async def test_long_message(tls: bool, chunked: bool, tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    """While the session does not want more the client cannot send more; all that waits is in the kernel."""
    options: dict[str, Any] = {"tls_context": tls_context, "implicit_tls": True} if tls else {}
    async with serving(Ponderer, **options) as host:
        host.listener.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, KERNEL_OCTETS)
        client = await trio.to_thread.run_sync(connect, host, client_tls if tls else None)
        client.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, KERNEL_OCTETS)
        replies: list[str] = []

        async def send() -> None:
            replies.append(await trio.to_thread.run_sync(lambda: client.send(LONG, chunked=chunked)))

        with client, tracing() as allocated:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                assert 0 < await at_rest(client) <= 4 * KERNEL_OCTETS + MESSAGE_OCTETS + len(BLOCK)
                host.sessions[0].go.set()
            assert replies[0].startswith("250 ")
            assert host.sessions[0].octets > LONG - len(BLOCK)
            assert allocated() <= MESSAGE_OCTETS
            await trio.to_thread.run_sync(client.ask, "NOOP")


def say(verdict: Reply) -> Reply:
    return verdict


def refuse(verdict: Reply) -> Reply:
    raise Refuse(verdict)


class Leaver(BaseSession):
    """Leaves each message at its first piece."""

    verdict: Reply = OK
    how: Callable[[Reply], Reply] = staticmethod(say)

    async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
        async for _chunk in body:
            break
        return self.how(self.verdict)


@pytest.mark.parametrize("chunked", [False, True], ids=["data", "bdat"])
@pytest.mark.parametrize(
    ("verdict", "how"), [(OK, say), (NO, say), (NO, refuse)], ids=["taken", "not wanted", "refused"]
)
async def test_message_that_is_left_early(verdict: Reply, how: Callable[[Reply], Reply], chunked: bool) -> None:
    class Leaving(Leaver):
        pass

    async with serving(Leaving) as host:
        client = await trio.to_thread.run_sync(connect, host, None)
        Leaving.verdict, Leaving.how = verdict, staticmethod(how)
        with client, tracing() as allocated:
            reply = await trio.to_thread.run_sync(lambda: client.send(LONG, chunked=chunked))
            assert reply.startswith(f"{verdict.code} ")
            assert allocated() <= MESSAGE_OCTETS
            # What is said next is heard as a command, and another message is as good as the first.
            await trio.to_thread.run_sync(client.begin)
            again = await trio.to_thread.run_sync(lambda: client.send(1_000_000, chunked=chunked))
            assert again.startswith(f"{verdict.code} ")
            await trio.to_thread.run_sync(client.ask, "NOOP")


# --- what the system says -----------------------------------------------------------------------------


def introduce(port: int, context: ssl.SSLContext | None) -> Blocking:
    client = Blocking(port)
    if context is not None:
        client.begin_tls(context)
    client.reply()
    client.begin()
    return client


@pytest.mark.parametrize(("tls", "chunked"), [(False, False), (True, True)], ids=["clear-data", "tls-bdat"])
def test_process_with_a_long_message(
    tls: bool, chunked: bool, certificate_files: tuple[Path, Path], client_tls: ssl.SSLContext
) -> None:
    with (
        ServerProcess(certificate=certificate_files, pause=0.0002) as server,
        introduce(server.port("smtps" if tls else "smtp"), client_tls if tls else None) as client,
    ):
        client.send(1000, chunked=chunked)
        client.begin()
        idle = server.kib("VmRSS")
        assert client.send(LONG, chunked=chunked).startswith("250 ")
        assert server.kib("VmHWM") - idle <= 2 * MIB


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_ten_senders(tls: bool, certificate_files: tuple[Path, Path], client_tls: ssl.SSLContext) -> None:
    """10 MiB each, all at once."""
    with ServerProcess(certificate=certificate_files) as server, ThreadPoolExecutor(10) as threads:
        port, context = server.port("smtps" if tls else "smtp"), client_tls if tls else None
        with introduce(port, context) as client:
            client.send(1000)
        idle = server.kib("VmRSS")

        def send(_: int) -> str:
            with introduce(port, context) as client:
                return client.send(10 * 1024 * 1024)

        assert {reply[:4] for reply in threads.map(send, range(10))} == {"250 "}
        assert server.kib("VmHWM") - idle <= 10 * MIB


IDLE = 1000


def test_idle_connections() -> None:
    """What each costs; and that all of them together cost no time."""
    with enough_descriptors(IDLE + 200), ServerProcess(admission={"connections": IDLE + 10}) as server:
        with introduce(server.port(), None) as client:
            client.send(1000)
        before = server.kib("VmRSS")
        with SlowClients(server.port(), "idle", IDLE) as clients:
            assert clients.first == IDLE
            server.until("connections", IDLE)
            assert server.kib("VmRSS") - before <= 15 * IDLE
            began, spent = time.monotonic(), server.cpu()
            time.sleep(1.0)
            assert server.cpu() - spent <= 0.05 * (time.monotonic() - began)
        server.until("connections", 0)


def test_idle_connections_through_tls(certificate_files: tuple[Path, Path], client_tls: ssl.SSLContext) -> None:
    """OpenSSL keeps more of each than we do."""
    with ServerProcess(certificate=certificate_files) as server, ExitStack() as stack:
        for _ in range(20):
            introduce(server.port("smtps"), client_tls).socket.close()
        server.until("connections", 0)
        before = server.kib("VmRSS")
        for _ in range(200):
            stack.enter_context(introduce(server.port("smtps"), client_tls))
        assert server.kib("VmRSS") - before <= 60 * 200
