"""A server and clients to test it with."""

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import IPv4Network
from typing import Any, Self

import attrs
import trio
import trio.testing

from smtpcore import (
    Hello,
    MailFrom,
    PasswordCheck,
    Peer,
    RcptTo,
    Reply,
    SecretWanted,
    ServerConfig,
    StoredKey,
    TokenCheck,
)
from smtpcore_trio import Admission, BaseSession, Facts, Port, Server, listen_tcp, serve

LOOPBACK = IPv4Network("127.0.0.0/8")
CONFIG = ServerConfig(hostname="mx.example.org")
OK = Reply(250, "Stored", "2.0.0")
MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


class Taker(BaseSession):
    """Takes every message, and keeps it in `messages`; `said` is what it was asked, by name."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.messages: list[bytes] = []
        self.said: list[str] = []

    async def connected(self, peer: Peer) -> Reply | None:
        self.said.append("connected")
        return await super().connected(peer)

    async def hello(self, event: Hello) -> Reply | None:
        self.said.append("hello")
        return await super().hello(event)

    async def authenticate(self, check: PasswordCheck | SecretWanted | TokenCheck) -> StoredKey | bool:
        self.said.append("authenticate")
        return await super().authenticate(check)

    async def mail(self, event: MailFrom) -> Reply | None:
        self.said.append("mail")
        return await super().mail(event)

    async def rcpt(self, event: RcptTo) -> Reply | None:
        self.said.append("rcpt")
        return await super().rcpt(event)

    async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
        self.said.append("data")
        chunks = [octets async for octets in body]
        self.messages.append(b"".join(chunks))
        return OK

    async def reset(self) -> None:
        self.said.append("reset")
        await super().reset()


class Client:
    """Speaks SMTP as it is told, right or wrong."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self.transport = stream
        self.stream: trio.abc.Stream = stream
        self.read = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await trio.aclose_forcefully(self.transport)

    async def send(self, octets: bytes) -> None:
        await self.stream.send_all(octets)

    async def line(self) -> bytes:
        while b"\n" not in self.read:
            received = await self.stream.receive_some()
            if not received:
                raise EOFError(self.read)
            self.read += received
        line, _, self.read = self.read.partition(b"\n")
        return line + b"\n"

    async def reply(self) -> str:
        """The next reply, all lines of it."""
        lines = [await self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(await self.line())
        return b"".join(lines).decode()

    async def ask(self, *lines: str | bytes) -> str:
        """Send lines, each when the last was answered; the last reply."""
        reply = ""
        for line in lines:
            await self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
            reply = await self.reply()
        return reply

    async def greet(self) -> None:
        assert (await self.reply()).startswith("220 ")
        assert (await self.ask("EHLO client.example")).startswith("250")

    async def begin(self) -> None:
        """As far as RCPT."""
        await self.greet()
        assert (await self.ask("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>")).startswith("250")

    async def start_tls(self, context: ssl.SSLContext, name: str = "mx.example.org") -> trio.SSLStream[Any]:
        stream = trio.SSLStream(self.transport, context, server_hostname=name, https_compatible=True)
        await stream.do_handshake()
        self.stream = stream
        return stream

    async def rest(self) -> bytes:
        """All until the server closes the connection."""
        received = self.read
        self.read = b""
        while octets := await self.stream.receive_some():
            received += octets
        return received


async def deliver(client: Client, message: bytes = MESSAGE) -> str:
    """Send a message without dot lines; the reply."""
    await client.begin()
    assert (await client.ask("DATA")).startswith("354")
    await client.send(message + b".\r\n")
    return await client.reply()


async def until(holds: Callable[[], object]) -> None:
    """Wait for what happens without any sign."""
    for _ in range(1000):
        if holds():
            return
        await trio.sleep(0.01)
    raise TimeoutError


@attrs.frozen
class Host:
    """A server that serves, and the sessions it had."""

    server: Server
    sessions: list[Any]
    listener: trio.SocketListener
    nursery: trio.Nursery

    async def empty(self) -> None:
        """Wait until all connections are gone."""
        await until(lambda: not self.server.connections)

    async def client(self) -> Client:
        return Client(await trio.testing.open_stream_to_socket_listener(self.listener))


# What is said of a port, and not of the server.
OF_A_PORT = {"dialect", "tls_context", "implicit_tls", "proxies", "name"}


@asynccontextmanager
async def serving(
    new_session: Callable[[Facts], Any] = Taker, config: ServerConfig = CONFIG, **options: Any
) -> AsyncIterator[Host]:
    """A server with one port, on a free port of 127.0.0.1."""
    sessions: list[Any] = []

    def make(facts: Facts) -> Any:
        sessions.append(new_session(facts))
        return sessions[-1]

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            of_port = {name: options.pop(name) for name in OF_A_PORT & options.keys()}
            port = Port(listeners=await listen_tcp("127.0.0.1", 0), config=config, **of_port)
            options = {"admission": Admission(exempt=(LOOPBACK,)), **options}
            server = await nursery.start(partial(serve, [port], make, **options))
            yield Host(server, sessions, port.listeners[0], nursery)
            server.drain(0)
