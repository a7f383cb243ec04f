"""The sessions of the program."""

import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio_play import CONFIG, Client, Host, serving

from smtpcore import (
    NULL_PATH,
    Envelope,
    Identity,
    Limits,
    Mailbox,
    Peer,
    Recipient,
    Secret,
    ServerConfig,
    ServerConnection,
    TlsInfo,
)
from smtpcore_trio import Facts, Maildir
from smtpcore_trio._capture import CaptureSession, line
from smtpcore_trio.credentials import Credentials
from smtpcore_trio.server import ConnectionFacts


@pytest.fixture
def maildir(tmp_path: Path) -> Maildir:
    made = Maildir(tmp_path / "Maildir")
    made.create()
    return made


@asynccontextmanager
async def capturing(
    maildir: Maildir, config: ServerConfig = CONFIG, tell: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Host]:
    def new_session(facts: Facts) -> CaptureSession:
        return CaptureSession(facts, "mx.example.org", maildir, Credentials({}, Secret(b"")), tell)

    async with serving(new_session, config) as host:
        yield host


def files(maildir: Maildir) -> list[Path]:
    return [path for path in maildir.path.rglob("*") if path.is_file()]


async def deliver(client: Client, message: bytes) -> str:
    await client.begin()
    assert (await client.ask("DATA")).startswith("354")
    await client.send(message)
    return await client.reply()


async def test_stored_before_it_is_told(maildir: Maildir) -> None:
    told: list[str] = []
    async with capturing(maildir, tell=told.append) as host, await host.client() as client:
        reply = await deliver(client, b"Subject: x\r\n\r\n..dot\r\n.\r\n")
        (path,) = maildir.new.iterdir()
        identifier = reply.split()[-1]
        assert reply == f"250 2.0.0 Ok: stored as {identifier}\r\n"
        assert f".{identifier}." in path.name
        assert told == [f"{identifier} from=<a@example.org> to=<b@example.org> octets=20 tls=no user=- peer=127.0.0.1"]
        head, _, body = path.read_bytes().partition(b"Subject:")
        assert body == b" x\r\n\r\n.dot\r\n"
        assert head.startswith(b"Return-Path: <a@example.org>\r\nReceived: from client.example ([127.0.0.1])\r\n")


@pytest.mark.catalogue("H1", "H3")
@pytest.mark.parametrize(
    ("call", "number", "reply"),
    [
        ("fsync", errno.EIO, "451 4.3.0 Local error in processing\r\n"),
        ("fsync", errno.ENOSPC, "452 4.3.1 Insufficient system storage\r\n"),
        ("write", errno.ENOSPC, "452 4.3.1 Insufficient system storage\r\n"),
    ],
)
@pytest.mark.parametrize("octets", [10, 1_000_000])
async def test_never_250_for_what_is_not_stored(
    maildir: Maildir,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    call: str,
    number: int,
    reply: str,
    octets: int,
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    told: list[str] = []
    async with capturing(maildir, tell=told.append) as host, await host.client() as client:
        with monkeypatch.context() as patch:
            patch.setattr(f"smtpcore_trio.maildir.os.{call}", fail)
            assert await deliver(client, b"x" * octets + b"\r\n.\r\n") == reply
        assert files(maildir) == []
        assert told == []
        # The next one is none the worse for it.
        await client.ask("MAIL FROM:<>", "RCPT TO:<b@example.org>", "DATA")
        assert (await client.ask(b"y\r\n.")).startswith("250 ")
    session_id = host.sessions[0].facts.session_id
    assert caplog.messages == [
        f"the session {session_id} could not store a message: [Errno {number}] {os.strerror(number)}"
    ]


@pytest.mark.catalogue("A10", "C8", "F6")
@pytest.mark.parametrize("octets", [10, 1_000_000])
async def test_nothing_is_left_of_half_a_message(maildir: Maildir, octets: int) -> None:
    async with capturing(maildir) as host:
        async with await host.client() as client:
            await client.begin()
            await client.ask("DATA")
            await client.send(b"x" * octets + b"\r\n")
            await trio.sleep(0.1)
        await host.empty()
        assert files(maildir) == []


async def test_nothing_is_left_of_a_message_that_is_too_big(maildir: Maildir) -> None:
    config = ServerConfig(hostname="mx.example.org", limits=Limits(message_octets=65536 * 8))
    async with capturing(maildir, config) as host, await host.client() as client:
        assert (await deliver(client, b"x" * 600_000 + b"\r\n.\r\n")).startswith("552 ")
        assert files(maildir) == []


def facts(identity: Identity | None = None, tls: TlsInfo | None = None, peer: str | None = None) -> Facts:
    connection = ServerConnection(CONFIG, peer=Peer(peer), tls=tls)
    connection._identity = identity
    return ConnectionFacts(connection, "1", "mx")


@pytest.mark.catalogue("J1", "J2")
def test_line() -> None:
    evil = Mailbox('"\x1b]0;x\x07\u202e"', "example.org")
    text = line("abc", Envelope(evil, (Recipient(evil),)), 5, facts(Identity("a\nb"), TlsInfo("TLSv1.3"), "::1"))
    assert text == (
        r'abc from=<"\x{1B}]0;x\x{07}\x{202E}"@example.org> to=<"\x{1B}]0;x\x{07}\x{202E}"@example.org>'
        r" octets=5 tls=TLSv1.3 user=a\x{0A}b peer=::1"
    )


def test_line_names_some_of_many() -> None:
    recipients = tuple(Recipient(Mailbox(f"r{number}", "example.org")) for number in range(12))
    assert line("abc", Envelope(NULL_PATH, recipients), 5, facts()) == (
        f"abc from=<> to={','.join(f'<r{number}@example.org>' for number in range(10))} and 2 more"
        " octets=5 tls=no user=- peer=-"
    )
