"""A client, a pool and a Maildir, cancelled at any step: no socket, task, place or file is left of what they did."""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from client_play import envelope
from fault_play import TLS_CONFIG, AtStep, Knower, at_each_step, nothing_left, of_sessions
from observe_play import PASSWORD
from trio_play import Host, Taker, serving

from smtpcore import STANDARD, Fate, Reply, Secret, ServerConfig
from smtpcore.extensions import STARTTLS
from smtpcore.sasl import client_mechanisms
from smtpcore_trio import Destination, Disconnected, Pool, PoolLimits, TlsContext, TlsMode, connect
from smtpcore_trio.maildir import BUFFER_OCTETS, Maildir, new_identifier

CONFIG = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS))
# Where none is given one is made, which takes longer than the rest.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
# More than the kernel holds, so that sending it waits.
LARGE = b"x" * 78 + b"\r\n"
LARGE *= 20_000
MEDIUM = (b"x" * 78 + b"\r\n") * (2 * BUFFER_OCTETS // 80)


def place(host: Host) -> tuple[str, int]:
    found: tuple[str, int] = host.listener.socket.getsockname()
    return found


async def whole(host: Host) -> None:
    """No message but whole ones has come, and the server goes on."""
    await host.empty()
    assert {message for session in host.sessions for message in session.messages} <= {MESSAGE, LARGE}


async def pieces() -> AsyncGenerator[bytes, None]:
    for start in range(0, len(LARGE), 1_000_000):
        await trio.lowlevel.checkpoint()
        yield LARGE[start : start + 1_000_000]


@pytest.mark.parametrize("mode", TlsMode)
async def test_client(mode: TlsMode, tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    options: dict[str, Any] = {"tls_context": tls_context, "implicit_tls": mode is TlsMode.IMPLICIT}

    async def run(step: int) -> bool:
        async with nothing_left(), serving(config=CONFIG, **options) as host:
            with trio.CancelScope() as scope, AtStep(step, scope.cancel) as instrument:
                client = await connect(*place(host), tls=mode, context=client_tls, server_name="mx.example.org")
                async with client:
                    for message in (MESSAGE, LARGE):
                        outcomes = await client.send(envelope("b@example.org"), message)
                        assert [each.fate for each in outcomes] == [Fate.ACCEPTED]
            await whole(host)
        return instrument.acted

    assert await at_each_step(run) > 10


async def test_message_that_is_read_as_it_comes() -> None:
    """Its generator is not the client's, which leaves it where it was."""

    async def run(step: int) -> bool:
        async with nothing_left(), serving() as host, aclosing(pieces()) as message:
            with trio.CancelScope() as scope, AtStep(step, scope.cancel) as instrument:
                async with await connect(*place(host), tls=TlsMode.NONE, context=PLAIN) as client:
                    await client.send(envelope("b@example.org"), message)
            await whole(host)
        return instrument.acted

    assert await at_each_step(run) > 10


# --- a pool ---------------------------------------------------------------------------------------------


async def test_pool() -> None:
    """With one place for all: if one were lost, nobody could send any more."""

    async def run(step: int) -> bool:
        async with nothing_left(), serving() as host:
            destination = Destination(*place(host), tls=TlsMode.NONE, context=PLAIN)
            async with Pool(PoolLimits(total=1, messages=2)) as pool:

                async def send() -> None:
                    [outcome] = await pool.send(destination, envelope("b@example.org"), MESSAGE)
                    assert outcome.fate is Fate.ACCEPTED

                await send()
                with trio.CancelScope() as scope, AtStep(step, scope.cancel) as instrument:
                    async with trio.open_nursery() as nursery:
                        for _ in range(4):
                            nursery.start_soon(send)
                assert pool.waiting == 0
                with trio.fail_after(5):
                    await send()
            await whole(host)
            assert pool.connections == pool.idle == 0
        return instrument.acted

    assert await at_each_step(run) > 10


async def test_pool_with_credentials(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    """A pool that is cancelled as a whole, where its connections take long to make."""

    async def run(step: int) -> bool:
        async with nothing_left(), serving(Knower, TLS_CONFIG, tls_context=tls_context) as host:
            destination = Destination(
                *place(host),
                tls=TlsMode.REQUIRED,
                context=client_tls,
                server_name="mx.example.org",
                mechanisms=client_mechanisms("tim", Secret(PASSWORD)),
            )
            with trio.CancelScope() as scope, AtStep(step, scope.cancel) as instrument:
                async with Pool() as pool, trio.open_nursery() as nursery:
                    for _ in range(2):
                        nursery.start_soon(pool.send, destination, envelope("b@example.org"), MESSAGE)
            await whole(host)
            assert pool.connections == pool.idle == pool.waiting == 0
        return instrument.acted

    assert await at_each_step(run) > 10


# --- a Maildir ------------------------------------------------------------------------------------------


async def test_maildir(tmp_path: Path) -> None:
    """A session that stores a message that is too large for its memory, and is cut."""
    maildir = Maildir(tmp_path / "Maildir")
    maildir.create()
    stored: list[Path] = []

    class Storing(Taker):
        async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
            async with maildir.receive(new_identifier()) as writer:
                async for octets in body:
                    await writer.write(octets)
                stored.append(await writer.commit())
            return await super().data(body)

    async def run(step: int) -> bool:
        async with nothing_left(), serving(Storing) as host:
            cut = AtStep(step, lambda: host.server.drain(0), of_sessions)
            with cut, suppress(Disconnected):
                async with await connect(*place(host), tls=TlsMode.NONE, context=PLAIN) as client:
                    [outcome] = await client.send(envelope("b@example.org"), MEDIUM)
                    assert outcome.fate is not Fate.ACCEPTED or len(stored) == 1
            await host.empty()
            assert list(maildir.tmp.iterdir()) == []
            assert list(maildir.new.iterdir()) == stored
            for path in stored:
                assert path.read_bytes() == MEDIUM
                path.unlink()
            stored.clear()
        return cut.acted

    assert await at_each_step(run) > 10
