"""Servers that do what a test wants, right or wrong, and a client that talks to them."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from socket import socketpair
from typing import Any, Final

import trio
import trio.testing

from smtpcore import ClientEvent, Envelope, Mailbox, Recipient, TlsInfo
from smtpcore_trio import SMTPClient, TlsMode, converse

NAME: Final = "mx.example.org"
MESSAGE: Final = b"Subject: x\r\n\r\n.body\r\n"
GREETING: Final = b"220 mx.example.org ready\r\n"


def envelope(*recipients: str, **params: Any) -> Envelope:
    paths = recipients or ("b@example.org", "c@example.org")
    return Envelope(Mailbox.parse("a@example.org"), tuple(Recipient(Mailbox.parse(each)) for each in paths), **params)


class Script:
    """A server's end of a connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream: trio.abc.Stream = stream
        self.heard: list[bytes] = []
        self.messages: list[bytes] = []
        self._read = b""

    async def say(self, octets: bytes) -> None:
        await self.stream.send_all(octets)

    async def line(self) -> bytes | None:
        """The next line; None at the end of the stream."""
        while b"\r\n" not in self._read:
            received = await self.stream.receive_some()
            if not received:
                return None
            self._read += received
        line, _, self._read = self._read.partition(b"\r\n")
        self.heard.append(line)
        return line

    async def message(self) -> bytes:
        lines = []
        while (line := await self.line()) is not None and line != b".":
            lines.append(line + b"\r\n")
        self.messages.append(b"".join(lines))
        return self.messages[-1]

    async def ends(self) -> None:
        """Nothing comes but the end of the stream."""
        assert self._read == b""
        assert await self.stream.receive_some() == b""

    async def start_tls(self, context: ssl.SSLContext) -> None:
        stream = trio.SSLStream(self.stream, context, server_side=True, https_compatible=True)
        await stream.do_handshake()
        self.stream = stream


Serve = Callable[[Script], Awaitable[None]]

REPLIES: Final[Mapping[bytes, bytes]] = {
    b"EHLO": b"250-mx.example.org\r\n250-8BITMIME\r\n250 SIZE 1000000\r\n",
    b"STARTTLS": b"220 go ahead\r\n",
    b"DATA": b"354 go ahead\r\n",
    b".": b"250 2.0.0 stored\r\n",
    b"QUIT": b"221 bye\r\n",
}


def obliging(replies: Mapping[bytes, bytes] = REPLIES, until: int = 10**6, last: bytes = b"") -> Serve:
    """Answers by the first word of each command, *until* so many replies were said; then says *last*, and leaves.

    Args:
        replies: those that are not ``250 ok``, in place of the usual; a dot is the end of a message.
    """
    replies = {**REPLIES, **replies}

    async def serve(script: Script) -> None:
        said = 0

        async def say(octets: bytes) -> bool:
            nonlocal said
            await script.say(octets if said < until else last)
            said += 1
            return said <= until

        going_on = await say(replies.get(b"", GREETING))
        while going_on and (line := await script.line()) is not None:
            word = line.split(b" ")[0].split(b":")[0]
            reply = replies.get(word, b"250 ok\r\n")
            going_on = await say(reply)
            if going_on and reply.startswith(b"354"):
                await script.message()
                going_on = await say(replies[b"."])
            elif word == b"QUIT":
                return

    return serve


class Watched:
    """Keeps what a watcher is told."""

    def __init__(self) -> None:
        self.octets: list[tuple[str, bytes]] = []
        self.events: list[ClientEvent] = []
        self.tls: list[TlsInfo] = []

    def sent(self, octets: bytes) -> None:
        self.octets.append(("sent", octets))

    def received(self, octets: bytes) -> None:
        self.octets.append(("received", octets))

    def happened(self, event: ClientEvent) -> None:
        self.events.append(event)

    def secured(self, info: TlsInfo) -> None:
        self.tls.append(info)


@asynccontextmanager
async def between(serve: Serve) -> AsyncIterator[tuple[Any, Script]]:
    """A socket that *serve* is at the other end of."""
    here, there = socketpair()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(there))
    script = Script(stream)

    async def run() -> None:
        try:
            with contextlib.suppress(trio.BrokenResourceError):  # as the client's end has gone
                await serve(script)
        finally:
            await trio.aclose_forcefully(stream)

    jumps = isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
    with trio.fail_after(1000 if jumps else 20), here:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            yield here, script
            # Time enough for one that hears of the end.
            nursery.cancel_scope.deadline = trio.current_time() + (5 if jumps else 0.2)


@asynccontextmanager
async def talking(serve: Serve, **options: Any) -> AsyncIterator[tuple[SMTPClient, Script]]:
    """A client that has connected to *serve*; in the clear, where *options* do not say otherwise."""
    async with between(serve) as (here, script):
        client = await converse(here, NAME, **{"tls": TlsMode.NONE, **options})
        try:
            yield client, script
        finally:
            client.close()


def fates(outcomes: Sequence[Any]) -> list[str]:
    return [outcome.fate.name for outcome in outcomes]
