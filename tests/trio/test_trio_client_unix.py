"""A client and a pool over Unix sockets, against our own LMTP server."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from client_play import MESSAGE, envelope, fates
from trio_play import OK, Taker

from smtpcore import LMTP, Reply, ServerConfig
from smtpcore.extensions import STANDARD, STARTTLS
from smtpcore_trio import (
    BaseClientObserver,
    ClientFacts,
    Destination,
    Pool,
    Port,
    TlsContext,
    TlsMode,
    connect_unix,
    listen_unix,
    serve,
)


class Mailboxes(Taker):
    """Stores for one recipient, and not for the other."""

    async def data(self, body: Any) -> Any:
        await super().data(body)
        envelope = self.facts.envelope
        assert envelope is not None
        return [OK if str(each.path).startswith("b@") else Reply(452, "Full", "4.2.2") for each in envelope.recipients]


@asynccontextmanager
async def lmtp(path: Path, **options: Any) -> AsyncIterator[None]:
    config = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS) if options else STANDARD)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            port = Port(listeners=listen_unix(path), config=config, dialect=LMTP, **options)
            server = await nursery.start(partial(serve, [port], Mailboxes))
            yield
            server.drain(0)


async def test_client(tmp_path: Path) -> None:
    path = tmp_path / "lmtp"
    async with lmtp(path), await connect_unix(path, dialect=LMTP) as client:
        assert client.tls is None
        assert fates(await client.send(envelope(), MESSAGE)) == ["ACCEPTED", "REFUSED"]


async def test_client_with_tls(tmp_path: Path, tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    path = tmp_path / "lmtp"
    async with lmtp(path, tls_context=tls_context):
        async with await connect_unix(str(path), dialect=LMTP, tls=TlsMode.REQUIRED, context=client_tls) as client:
            assert client.tls is not None
        with pytest.raises(ValueError, match="pinned"):
            await connect_unix(str(path), pinned=[b"x" * 32])


async def test_pool(tmp_path: Path) -> None:
    class Noting(BaseClientObserver):
        def __init__(self) -> None:
            self.opened_to: list[tuple[str, int]] = []

        def opened(self, session: ClientFacts) -> None:
            self.opened_to.append((session.host, session.port))

    noting = Noting()
    paths = [tmp_path / "one", tmp_path / "two"]
    async with lmtp(paths[0]), lmtp(paths[1]), Pool(observer=noting) as pool:
        for _ in range(2):
            for path in paths:
                destination = Destination(str(path), dialect=LMTP)
                assert fates(await pool.send(destination, envelope(), MESSAGE)) == ["ACCEPTED", "REFUSED"]
        assert pool.connections == 2
    assert noting.opened_to == [(str(path), 0) for path in paths]
