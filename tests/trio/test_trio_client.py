"""The client, against our server and against servers that fail or do wrong at every point."""

import contextlib
import hashlib
import io
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import trio
import trio.testing
from client_play import (
    GREETING,
    MESSAGE,
    NAME,
    REPLIES,
    Script,
    Serve,
    Watched,
    between,
    envelope,
    fates,
    obliging,
    talking,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from trio_play import Taker, serving

import smtpcore_trio
from smtpcore import (
    LMTP,
    STANDARD,
    Body,
    Cause,
    ClientConfig,
    ClientTimeouts,
    Deviation,
    Envelope,
    LocalProtocolError,
    MailParams,
    MessageAnswer,
    Oddity,
    PasswordCheck,
    Phase,
    RcptTo,
    Reply,
    Secret,
    SecretWanted,
    ServerConfig,
    StoredKey,
    Stray,
    TokenCheck,
    Violation,
)
from smtpcore.extensions import AUTH, STARTTLS, xclient
from smtpcore.sasl import (
    LOGIN,
    PLAIN,
    SCRAM_SHA_256,
    SCRAM_SHA_256_PLUS,
    PlainClient,
    ScramClient,
    client_mechanisms,
    scram_key,
)
from smtpcore_trio import (
    Disconnected,
    NotOffered,
    NotPinned,
    Refuse,
    Rejected,
    SMTPClient,
    TlsContext,
    TlsMode,
    connect,
    converse,
)
from smtpcore_trio._dialling import dial_unix, our_name

USER, PASSWORD = "tim", Secret("tanstaaftanstaaf")


class Gate(Taker):
    """Knows one user."""

    async def authenticate(self, check: PasswordCheck | SecretWanted | TokenCheck) -> StoredKey | bool:
        if isinstance(check, SecretWanted):
            return scram_key(PASSWORD) if check.username == USER else False
        return isinstance(check, PasswordCheck) and (check.username, check.password) == (USER, PASSWORD)


SECURE = ServerConfig(
    hostname=NAME,
    extensions=(*STANDARD, STARTTLS, AUTH),
    mechanisms=(SCRAM_SHA_256_PLUS, SCRAM_SHA_256, PLAIN, LOGIN),
)


def port(listener: trio.SocketListener) -> int:
    number: int = listener.socket.getsockname()[1]
    return number


# --- against our server ----------------------------------------------------------------------------------


async def test_session() -> None:
    async with serving() as host:
        async with await connect("127.0.0.1", port(host.listener)) as client:
            assert client.greeting == Reply(220, "mx.example.org ESMTP ready")
            assert "PIPELINING" in client.capabilities
            assert client.tls is None
            for _ in range(2):
                outcomes = await client.send(envelope(), MESSAGE)
                assert fates(outcomes) == ["ACCEPTED", "ACCEPTED"]
                assert [str(outcome.recipient.path) for outcome in outcomes] == ["b@example.org", "c@example.org"]
            assert (await client.noop()).code == 250
            assert (await client.reset()).code == 250
            assert (await client.ask(client.connection.verify, "tim")).code == 252
            assert (await client.hello("[192.0.2.1]")).code == 250
        assert client.closed is not None
        assert client.closed.cause is Cause.QUIT
        assert host.sessions[0].messages == [MESSAGE, MESSAGE]
        assert client.transaction is not None
        assert client.transaction.outcomes == outcomes
        await client.quit()  # again
        await host.empty()


class Pieces(AsyncIterator[bytes]):
    def __init__(self, octets: bytes, size: int) -> None:
        self.pieces = [octets[start : start + size] for start in range(0, len(octets), size)]

    async def __anext__(self) -> bytes:
        if not self.pieces:
            raise StopAsyncIteration
        return self.pieces.pop(0)


BIG = (b"." * 70 + b"\r\n" + b"x" * 70 + b"\r\n") * 5000


@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize("kind", ["bytes", "file", "memory", "iterator", "octets"])
async def test_message(kind: str, chunking: bool, tmp_path: Path) -> None:
    octets = BIG[:4320] if kind == "octets" else BIG
    with contextlib.ExitStack() as stack:
        message: Any = octets
        if kind == "file":
            (tmp_path / "file").write_bytes(octets)
            message = stack.enter_context(io.FileIO(tmp_path / "file"))
        elif kind == "memory":
            message = io.BytesIO(octets)
        elif kind != "bytes":
            message = Pieces(octets, 1 if kind == "octets" else 50_001)
        config = ClientConfig(prefer_chunking=chunking)
        async with (
            serving() as host,
            await connect("127.0.0.1", port(host.listener), config=config) as client,
        ):
            assert fates(await client.send(envelope(), message)) == ["ACCEPTED", "ACCEPTED"]
        assert b"".join(host.sessions[0].messages) == octets


@pytest.mark.parametrize("chunking", [False, True])
async def test_empty_message(chunking: bool) -> None:
    config = ClientConfig(prefer_chunking=chunking)
    async with serving() as host, await connect("127.0.0.1", port(host.listener), config=config) as client:
        assert fates(await client.send(envelope(), b"")) == ["ACCEPTED", "ACCEPTED"]
    assert host.sessions[0].messages == [b""]


class Picky(Taker):
    async def rcpt(self, event: RcptTo) -> Reply | None:
        if event.path.local_part == "c":
            raise Refuse(Reply(550, "No such user", "5.1.1"))
        return None


async def test_fates_differ() -> None:
    async with serving(Picky) as host, await connect("127.0.0.1", port(host.listener)) as client:
        outcomes = await client.send(envelope(), MESSAGE)
        assert fates(outcomes) == ["ACCEPTED", "REFUSED"]
        assert outcomes[1].reply == Reply(550, "No such user", "5.1.1")
        # Nobody is to get it, so it is not read.
        iterator = Pieces(MESSAGE, 1)
        assert fates(await client.send(envelope("c@example.org"), iterator)) == ["REFUSED"]
        assert len(iterator.pieces) == len(MESSAGE)
        assert fates(await client.send(envelope(), MESSAGE)) == ["ACCEPTED", "REFUSED"]
    assert len(host.sessions[0].messages) == 2


class PerRecipient(Taker):
    async def data(self, body: AsyncIterator[bytes]) -> list[Reply]:
        async for _ in body:
            pass
        return [Reply(250, "ok"), Reply(452, "full", "4.2.2")]


async def test_lmtp() -> None:
    options: dict[str, Any] = {"dialect": LMTP}
    async with (
        serving(PerRecipient, **options) as host,
        await connect("127.0.0.1", port(host.listener), dialect=LMTP) as client,
    ):
        assert fates(await client.send(envelope(), MESSAGE)) == ["ACCEPTED", "REFUSED"]


@pytest.mark.parametrize("mode", [TlsMode.OPPORTUNISTIC, TlsMode.REQUIRED, TlsMode.IMPLICIT])
@pytest.mark.parametrize("trusted", [False, True])
async def test_tls(mode: TlsMode, trusted: bool, tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    watcher = Watched()
    implicit = mode is TlsMode.IMPLICIT
    context = client_tls if trusted else None
    async with serving(config=SECURE, tls_context=tls_context, implicit_tls=implicit) as host:
        where = "127.0.0.1", port(host.listener)
        if not trusted and mode is not TlsMode.OPPORTUNISTIC:
            with pytest.raises(Disconnected) as lost:
                await connect(*where, tls=mode)
            assert lost.value.closed.cause is Cause.TLS_FAILED
            assert isinstance(lost.value.__cause__, ssl.SSLCertVerificationError)
            return
        async with await connect(*where, tls=mode, context=context) as client:
            assert client.tls is not None
        async with await connect(*where, tls=mode, context=context, watcher=watcher) as client:
            assert client.tls is not None
            assert client.tls.verified is trusted
            assert client.tls.server_name == "127.0.0.1"
            assert client.tls.channel_bindings == tls_context.bindings
            assert watcher.tls == [client.tls]
            assert "STARTTLS" not in client.capabilities
            assert fates(await client.send(envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]
        assert host.sessions[0].facts.tls is not None


async def test_wrong_name(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    async with serving(config=SECURE, tls_context=tls_context) as host:
        with pytest.raises(Disconnected, match="the TLS handshake failed") as lost:
            await connect(
                "127.0.0.1", port(host.listener), tls=TlsMode.REQUIRED, context=client_tls, server_name="mx.example.net"
            )
        assert isinstance(lost.value.__cause__, ssl.SSLCertVerificationError)


@pytest.mark.parametrize("what", ["certificate", "key", "one of two"])
@pytest.mark.parametrize("mode", [TlsMode.REQUIRED, TlsMode.IMPLICIT])
async def test_pinned(mode: TlsMode, what: str, tls_context: TlsContext, certificate: x509.Certificate) -> None:
    """Nothing else is asked of it; it does for a password, too."""
    octets = certificate.public_bytes(Encoding.DER)
    if what == "key":
        octets = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pinned = {hashlib.sha256(octets).digest(), *([bytes(32)] if what == "one of two" else [])}
    options: dict[str, Any] = {"tls_context": tls_context, "implicit_tls": mode is TlsMode.IMPLICIT}
    async with serving(Gate, SECURE, **options) as host:
        where = "127.0.0.1", port(host.listener)
        async with await connect(*where, tls=mode, pinned=pinned, server_name="unknown.example") as client:
            assert client.tls is not None
            assert client.tls.verified
            await client.authenticate([PlainClient(USER, PASSWORD)])
            assert fates(await client.send(envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]


@pytest.mark.parametrize("mode", [TlsMode.REQUIRED, TlsMode.IMPLICIT])
async def test_not_pinned(mode: TlsMode, tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    """However valid it is."""
    watcher = Watched()
    options: dict[str, Any] = {"tls_context": tls_context, "implicit_tls": mode is TlsMode.IMPLICIT}
    async with serving(Gate, SECURE, **options) as host:
        where = "127.0.0.1", port(host.listener)
        with pytest.raises(Disconnected) as lost:
            await connect(*where, tls=mode, context=client_tls, pinned=[bytes(32)], watcher=watcher)
        assert lost.value.closed.cause is Cause.TLS_FAILED
        assert isinstance(lost.value.__cause__, NotPinned)
        assert watcher.tls == []
        assert all(b"EHLO" not in octets for _, octets in watcher.octets[3:])
        await host.empty()


async def test_pin_does_not_replace_the_context(tls_context: TlsContext, certificate: x509.Certificate) -> None:
    pinned = [hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()]
    async with serving(Gate, SECURE, tls_context=tls_context) as host:
        where = "127.0.0.1", port(host.listener)
        with pytest.raises(Disconnected) as lost:
            await connect(*where, tls=TlsMode.REQUIRED, context=ssl.create_default_context(), pinned=pinned)
        assert isinstance(lost.value.__cause__, ssl.SSLCertVerificationError)


@pytest.mark.parametrize("mode", [TlsMode.NONE, TlsMode.OPPORTUNISTIC])
async def test_pins_want_tls(mode: TlsMode) -> None:
    """Or a server that is not who it should be would only have to offer none."""
    here, there = socket.socketpair()
    with there:
        with pytest.raises(ValueError, match="wants TLS, not"):
            await converse(here, NAME, tls=mode, pinned=[bytes(32)])
        assert here.fileno() == -1
    with pytest.raises(ValueError, match="wants TLS, not"):
        await connect("127.0.0.1", 9, tls=mode, pinned=[bytes(32)])
    with pytest.raises(ValueError, match="32 octets"):
        await connect("127.0.0.1", 9, tls=TlsMode.REQUIRED, pinned=[b"sha256"])


async def test_source_address() -> None:
    async with serving() as host:
        async with await connect("127.0.0.1", port(host.listener), source_address="127.0.0.77"):
            assert host.sessions[0].facts.peer.address == "127.0.0.77"
        with pytest.raises(OSError, match="all attempts to connect") as failed:
            await connect("127.0.0.1", port(host.listener), source_address="::1")
        cause = failed.value.__cause__
        assert isinstance(cause, ExceptionGroup)
        assert "incompatible" in str(cause.exceptions)


async def test_older_tls(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    client_tls.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(config=SECURE, tls_context=tls_context) as host:
        where = "localhost", port(host.listener)
        async with await connect(*where, tls=TlsMode.REQUIRED, context=client_tls, server_name="localhost.") as client:
            assert client.tls is not None
            assert client.tls.version == "TLSv1.2"
            assert fates(await client.send(envelope(), BIG)) == ["ACCEPTED", "ACCEPTED"]


@pytest.mark.parametrize("name", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"])
async def test_authentication(name: str, tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    mechanisms: list[Any] = [each for each in client_mechanisms(USER, PASSWORD) if each.name == name]
    if name == "SCRAM-SHA-256":  # or it would say that it was hidden that the server can bind
        mechanisms = [ScramClient(name=name, hash_name="sha256", username=USER, password=PASSWORD)]
    async with serving(Gate, SECURE, tls_context=tls_context) as host:
        where = "127.0.0.1", port(host.listener)
        async with await connect(*where, tls=TlsMode.REQUIRED, context=client_tls) as client:
            assert (await client.authenticate(mechanisms)).code == 235
            assert host.sessions[0].facts.identity is not None
            assert fates(await client.send(envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]


async def test_strongest_mechanism_is_taken(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    watcher = Watched()
    async with serving(Gate, SECURE, tls_context=tls_context) as host:
        where = "127.0.0.1", port(host.listener)
        async with await connect(*where, tls=TlsMode.REQUIRED, context=client_tls, watcher=watcher) as client:
            await client.authenticate(client_mechanisms(USER, PASSWORD))
    assert any(octets.startswith(b"AUTH SCRAM-SHA-256-PLUS ") for _, octets in watcher.octets)


async def test_wrong_password(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    async with serving(Gate, SECURE, tls_context=tls_context, auth_delay=0) as host:
        where = "127.0.0.1", port(host.listener)
        async with await connect(*where, tls=TlsMode.REQUIRED, context=client_tls) as client:
            for mechanism in client_mechanisms(USER, Secret("wrong")):
                if mechanism.name in ("SCRAM-SHA-256-PLUS", "PLAIN"):
                    with pytest.raises(Rejected, match=f"AUTH {mechanism.name}: 535") as rejected:
                        await client.authenticate([mechanism])
                    assert rejected.value.reply.code == 535
            # The connection is as good as before.
            await client.authenticate(client_mechanisms(USER, PASSWORD))


@pytest.mark.catalogue("D1", "D2")
async def test_no_password_where_it_may_be_read(tls_context: TlsContext) -> None:
    """In the clear, and to a server that nobody knows."""
    plain = [PlainClient(USER, PASSWORD)]
    async with serving(Gate, SECURE, tls_context=tls_context) as host:
        for mode in (TlsMode.NONE, TlsMode.OPPORTUNISTIC):
            watcher = Watched()
            where = "127.0.0.1", port(host.listener)
            async with await connect(*where, tls=mode, watcher=watcher) as client:
                with pytest.raises(NotOffered, match="no mechanism that may be used now"):
                    await client.authenticate(plain)
            assert not any(octets.startswith(b"AUTH") for _, octets in watcher.octets)


async def test_xclient() -> None:
    class Proxied(Taker):
        async def extended(self, question: Any) -> Reply | None:
            self.said.append(repr(question.attributes))
            return None

    config = ServerConfig(hostname=NAME, extensions=(*STANDARD, xclient(lambda _: True)))
    async with serving(Proxied, config) as host, await connect("127.0.0.1", port(host.listener)) as client:
        await client.xclient({"ADDR": "192.0.2.1", "NAME": None})
        assert fates(await client.send(envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]
        assert "{'ADDR': '192.0.2.1', 'NAME': None}" in host.sessions[0].said


async def test_unix_socket(tmp_path: Path) -> None:
    async def handle(stream: trio.SocketStream) -> None:
        await obliging()(Script(stream))

    listening = trio.socket.socket(socket.AF_UNIX)
    await listening.bind(str(tmp_path / "socket"))
    listening.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handle, [trio.SocketListener(listening)])
        connected = await dial_unix(str(tmp_path / "socket"))
        async with await converse(connected, "localhost", tls=TlsMode.NONE) as client:
            assert fates(await client.send(envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]
        nursery.cancel_scope.cancel()


# --- what can be told ------------------------------------------------------------------------------------


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.getsockname()[1]
    with pytest.raises(OSError, match="all attempts to connect"):
        await connect("127.0.0.1", number)


async def test_connection_takes_too_long(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async def open_tcp_stream(host: str, port: int, local_address: str | None) -> trio.SocketStream:
        await trio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
    with pytest.raises(TimeoutError, match="no connection within 7 s"):
        await connect("mx.example.org", 25, connect_seconds=7)
    assert trio.current_time() == pytest.approx(7)


@pytest.mark.parametrize(
    ("host", "name"),
    [("mx.example.org", "mx.example.org"), ("mx", None), ("mx.example.org-", None), ("", None)],
)
async def test_our_name(host: str, name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as tcp:
        assert our_name(tcp) == (name or "[127.0.0.1]")
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as listening,
        socket.create_connection(listening.getsockname()[:2]) as tcp,
    ):
        assert our_name(tcp) == (name or "[IPv6:::1]")
    here, there = socket.socketpair()
    with here, there:
        assert our_name(here) == (name or "localhost")


async def test_watcher() -> None:
    watcher = Watched()
    async with talking(obliging(), watcher=watcher, hello="client.example") as (client, _):
        await client.send(envelope(), MESSAGE)
        await client.quit()
    sent = b"".join(octets for what, octets in watcher.octets if what == "sent")
    assert sent.split(b"\r\n") == [
        b"EHLO client.example",
        b"MAIL FROM:<a@example.org>",
        b"RCPT TO:<b@example.org>",
        b"RCPT TO:<c@example.org>",
        b"DATA",
        b"Subject: x",
        b"",
        b"..body",
        b".",
        b"QUIT",
        b"",
    ]
    assert b"".join(octets for what, octets in watcher.octets if what == "received").endswith(b"stored\r\n221 bye\r\n")
    assert any(isinstance(event, MessageAnswer) for event in watcher.events)
    assert watcher.events[-1] is client.closed


async def test_deviations_are_told() -> None:
    watcher = Watched()
    async with talking(obliging({b"MAIL": b"250\r\n"}), watcher=watcher) as (client, _):
        assert fates(await client.send(envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]
    assert Deviation(Oddity.MISSING_TEXT) in watcher.events


# --- servers that say no ---------------------------------------------------------------------------------


@pytest.mark.parametrize("greeting", [b"554 go away\r\n", b"421 not now\r\n"])
async def test_no_greeting(greeting: bytes) -> None:
    async with between(obliging({b"": greeting})) as (here, _):
        with pytest.raises((Rejected, Disconnected)) as failed:
            await converse(here, NAME)
        assert str(int(greeting[:3])) in str(failed.value)
        assert here.fileno() == -1


async def test_no_hello() -> None:
    async with between(obliging({b"EHLO": b"500 what\r\n", b"HELO": b"550 no\r\n"})) as (here, script):
        with pytest.raises(Rejected, match="550 no"):
            await converse(here, NAME)
        assert [line.split(b" ")[0] for line in script.heard] == [b"EHLO", b"HELO", b"QUIT"]


async def test_old_server() -> None:
    async with talking(obliging({b"EHLO": b"502 what\r\n"}), tls=TlsMode.OPPORTUNISTIC) as (client, _):
        assert fates(await client.send(envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]


OFFERED = {b"EHLO": b"250-mx.example.org\r\n250 STARTTLS\r\n"}


@pytest.mark.catalogue("C3")
@pytest.mark.parametrize("replies", [{}, {**OFFERED, b"STARTTLS": b"454 not now\r\n"}, {b"EHLO": b"502 what\r\n"}])
async def test_required_tls(replies: dict[bytes, bytes]) -> None:
    async with between(obliging(replies)) as (here, script):
        with pytest.raises((NotOffered, Rejected)):
            await converse(here, NAME, tls=TlsMode.REQUIRED)
    assert script.heard[-1] == b"QUIT"
    assert not any(line.startswith(b"MAIL") for line in script.heard)


async def test_refused_starttls_is_no_matter_where_it_is_opportunistic() -> None:
    replies = {**OFFERED, b"STARTTLS": b"454 not now\r\n"}
    async with talking(obliging(replies), tls=TlsMode.OPPORTUNISTIC) as (client, _):
        assert client.tls is None
        assert fates(await client.send(envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]


async def test_no_hello_behind_starttls(tls_context: TlsContext) -> None:
    async def serve(script: Script) -> None:
        await obliging(OFFERED, until=2, last=REPLIES[b"STARTTLS"])(script)
        await script.start_tls(tls_context.context)
        await obliging({b"": b"", b"EHLO": b"450 not now\r\n"})(script)

    async with between(serve) as (here, script):
        with pytest.raises(Rejected, match="EHLO: 450 not now"):
            await converse(here, NAME)
    assert script.heard[-1] == b"QUIT"


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({b"MAIL": b"550 no\r\n"}, ["REFUSED", "REFUSED"]),
        ({b"RCPT": b"450 no\r\n"}, ["REFUSED", "REFUSED"]),
        ({b"DATA": b"554 no\r\n"}, ["REFUSED", "REFUSED"]),
        ({b".": b"554 no\r\n"}, ["REFUSED", "REFUSED"]),
    ],
)
async def test_message_is_refused(replies: dict[bytes, bytes], expected: list[str]) -> None:
    async with talking(obliging(replies)) as (client, _):
        for _ in range(2):
            outcomes = await client.send(envelope(), MESSAGE)
            assert fates(outcomes) == expected
        assert (await client.noop()).code == 250
        await client.quit()


# --- servers that go away --------------------------------------------------------------------------------

# Greeting, EHLO, MAIL, RCPT, RCPT, DATA, the dot, QUIT.
POINTS = range(8)


@pytest.mark.catalogue("F13")
@pytest.mark.parametrize("last", [b"", b"421 bye\r\n", b"25", b"250-x\r\n"])
@pytest.mark.parametrize("point", POINTS)
async def test_server_goes_away(point: int, last: bytes) -> None:
    """At every point, with and without a word."""
    async with between(obliging(until=point, last=last)) as (here, _):
        if point < 2:
            with pytest.raises((Disconnected, Rejected)):
                await converse(here, NAME, tls=TlsMode.NONE)
        else:
            client = await converse(here, NAME, tls=TlsMode.NONE)
            outcomes = await client.send(envelope(), MESSAGE)
            if point < 6:
                assert set(fates(outcomes)) <= {"UNSENT", "REFUSED"}
            elif point == 6:
                said = last.startswith(b"421")
                assert fates(outcomes) == ["REFUSED" if said else "UNKNOWN"] * 2
            else:
                assert fates(outcomes) == ["ACCEPTED"] * 2
            if point < 7:
                assert client.closed is not None
                with pytest.raises(Disconnected):
                    await client.noop()
            await client.quit()
            assert client.closed is not None
            assert client.connection.phase is Phase.CLOSED
        assert here.fileno() == -1


@pytest.mark.parametrize("word", [b"", b"421 4.7.0 too much\r\n"])
async def test_server_goes_away_in_the_message(word: bytes) -> None:
    """What it said is heard, although nothing more can be sent to it."""

    async def serve(script: Script) -> None:
        await script.say(GREETING)
        for reply in (REPLIES[b"EHLO"], b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            await script.line()
            await script.say(reply)
        await script.stream.receive_some(1000)
        await script.say(word)

    async with talking(serve) as (client, _):
        outcomes = await client.send(envelope(), BIG * 20)
        assert fates(outcomes) == ["UNSENT", "UNSENT"] or (word and fates(outcomes) == ["REFUSED", "REFUSED"])
        assert client.closed is not None
        if word:
            assert client.closed.reply is not None
            assert client.closed.reply.code == 421
        else:
            assert client.closed.cause is Cause.EOF


async def test_connection_is_reset() -> None:
    async def handle(stream: trio.SocketStream) -> None:
        script = Script(stream)
        await script.say(GREETING)
        await script.line()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        with pytest.raises(Disconnected) as lost:
            await connect("127.0.0.1", port(listeners[0]))
        assert lost.value.closed.cause is Cause.EOF
        nursery.cancel_scope.cancel()


# --- servers that are silent -------------------------------------------------------------------------------

SECONDS = ClientTimeouts(greeting=11, command=12, mail=13, rcpt=14, data=15, dot=16, quit=17, tls=18)
PATIENT = ClientConfig(timeouts=SECONDS)


def stalling(point: int, replies: dict[bytes, bytes] | None = None) -> Serve:
    serve = obliging(replies or {}, until=point)

    async def stall(script: Script) -> None:
        await serve(script)
        await trio.sleep_forever()

    return stall


@pytest.mark.catalogue("G3")
@pytest.mark.parametrize(
    ("point", "detail", "seconds", "expected"),
    [
        (0, "greeting", 11, None),
        (1, "command", 12, None),
        (2, "mail", 13, "UNSENT"),
        (3, "rcpt", 14, "UNSENT"),
        (4, "rcpt", 14, "UNSENT"),
        (5, "data", 15, "UNSENT"),
        (6, "dot", 16, "UNKNOWN"),
        (7, "quit", 17, "ACCEPTED"),
    ],
)
async def test_silence(
    point: int, detail: str, seconds: float, expected: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    async with between(stalling(point)) as (here, _):
        start = trio.current_time()
        if expected is None:
            with pytest.raises(Disconnected) as lost:
                await converse(here, NAME, tls=TlsMode.NONE, config=PATIENT)
            closed = lost.value.closed
        else:
            client = await converse(here, NAME, tls=TlsMode.NONE, config=PATIENT)
            assert fates(await client.send(envelope(), MESSAGE)) == [expected, expected]
            await client.quit()
            assert client.closed is not None
            closed = client.closed
        assert (closed.cause, closed.detail) == (Cause.TIMED_OUT, detail)
        # To part well may take a second more.
        assert seconds <= trio.current_time() - start <= seconds + 1.5
        assert here.fileno() == -1


@pytest.mark.catalogue("G3")
async def test_slow_reply(autojump_clock: trio.testing.MockClock) -> None:
    """An octet now and then does not help: the deadline is the reply's."""

    async def drip(script: Script) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            for _ in range(1000):
                await script.say(b"2")
                await trio.sleep(5)

    async with between(drip) as (here, _):
        with pytest.raises(Disconnected) as lost:
            await converse(here, NAME, config=PATIENT)
        assert lost.value.closed.cause is Cause.PROTOCOL or lost.value.closed.detail == "greeting"
        assert trio.current_time() < 20


@pytest.mark.catalogue("G5")
async def test_server_that_takes_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async def serve(script: Script) -> None:
        await obliging(until=5, last=b"354 go\r\n")(script)
        await trio.sleep_forever()

    async with talking(serve, config=ClientConfig(timeouts=ClientTimeouts(block=20))) as (client, _):
        start = trio.current_time()
        assert fates(await client.send(envelope(), BIG * 100)) == ["UNSENT", "UNSENT"]
        assert client.closed is not None
        assert (client.closed.cause, client.closed.detail) == (Cause.TIMED_OUT, "block")
        assert 20 <= trio.current_time() - start < 22


@pytest.mark.catalogue("C7")
@pytest.mark.parametrize("mode", [TlsMode.OPPORTUNISTIC, TlsMode.IMPLICIT])
async def test_handshake_stalls(mode: TlsMode, autojump_clock: trio.testing.MockClock) -> None:
    point = 0 if mode is TlsMode.IMPLICIT else 3
    async with between(stalling(point, OFFERED)) as (here, _):
        with pytest.raises(Disconnected) as lost:
            await converse(here, NAME, tls=mode, config=PATIENT)
        assert (lost.value.closed.cause, lost.value.closed.detail) == (Cause.TIMED_OUT, "tls")
        assert 18 <= trio.current_time() < 20
        assert here.fileno() == -1


class Lazy(AsyncIterator[bytes]):
    """Takes its time, in which the engine's time runs out."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.given = 0

    async def __anext__(self) -> bytes:
        await trio.sleep(self.seconds)
        self.given += 1
        return b"x\r\n"


async def test_session_ends_while_the_message_is_made(autojump_clock: trio.testing.MockClock) -> None:
    config = ClientConfig(timeouts=ClientTimeouts(session=100))
    async with talking(obliging(), config=config) as (client, _):
        lazy = Lazy(30)
        assert fates(await client.send(envelope(), lazy)) == ["UNSENT", "UNSENT"]
        assert client.closed is not None
        assert (client.closed.cause, client.closed.detail) == (Cause.TIMED_OUT, "session")
        assert lazy.given < 6


# --- servers that break the protocol -----------------------------------------------------------------------


@pytest.mark.catalogue("C2")
@pytest.mark.parametrize("forged", [b"250 forged\r\n", b"250-AUTH PLAIN\r\n", b"x"])
async def test_octets_behind_starttls(forged: bytes) -> None:
    replies = {**OFFERED, b"STARTTLS": b"220 go\r\n" + forged}
    async with between(obliging(replies)) as (here, script):
        with pytest.raises(Disconnected) as lost:
            await converse(here, NAME, tls=TlsMode.OPPORTUNISTIC)
        assert lost.value.closed.violation is Violation.OCTETS_BEFORE_TLS
    assert script.heard[-1] == b"STARTTLS"


@pytest.mark.catalogue("C4")
@pytest.mark.parametrize("garbage", [b"", b"250 forged\r\n", b"\x15\x03\x03\0\2\2\x28"])
@pytest.mark.parametrize("mode", [TlsMode.OPPORTUNISTIC, TlsMode.REQUIRED])
async def test_handshake_fails(mode: TlsMode, garbage: bytes) -> None:
    heard = []

    async def serve(script: Script) -> None:
        await obliging(OFFERED, until=2)(script)  # as far as STARTTLS
        await script.say(b"220 go\r\n")
        heard.append(await script.stream.receive_some(3))
        if garbage:
            await script.say(garbage)
        else:
            await script.stream.send_eof()
        with contextlib.suppress(trio.BrokenResourceError):
            while octets := await script.stream.receive_some():
                heard.append(octets)

    async with between(serve) as (here, _):
        with pytest.raises(Disconnected) as lost:
            await converse(here, NAME, tls=mode)
        assert lost.value.closed.cause is Cause.TLS_FAILED
        assert isinstance(lost.value.__cause__, ssl.SSLError)
    assert heard[0] == b"\x16\x03\x01"  # RFC 8446 5.1: a handshake
    assert b"EHLO" not in b"".join(heard)


@pytest.mark.parametrize("garbage", [b"", b"220 mx.example.org ready\r\n"])
async def test_begins_without_tls(garbage: bytes) -> None:
    async with between(obliging(until=0, last=garbage)) as (here, _):
        with pytest.raises(Disconnected) as lost:
            await converse(here, NAME, tls=TlsMode.IMPLICIT)
        assert lost.value.closed.cause is Cause.TLS_FAILED
        assert here.fileno() == -1


@pytest.mark.catalogue("F11")
async def test_surplus_reply() -> None:
    async with talking(obliging({b"DATA": b"354 go\r\n250 stored\r\n"})) as (client, _):
        assert fates(await client.send(envelope(), MESSAGE)) in (["UNSENT"] * 2, ["UNKNOWN"] * 2)
        assert client.closed is not None
        assert client.closed.violation is not None


@pytest.mark.catalogue("F12")
async def test_no_reply() -> None:
    async with between(obliging({b"": b"HTTP/1.1 400 Bad Request\r\n"})) as (here, _):
        with pytest.raises(Disconnected, match="no reply line") as lost:
            await converse(here, NAME)
        assert lost.value.closed.violation is Violation.MALFORMED_REPLY


# --- what the caller does ----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunking", [False, True])
async def test_message_that_must_not_be_sent(chunking: bool) -> None:
    config = ClientConfig(prefer_chunking=chunking)
    async with serving() as host, await connect("127.0.0.1", port(host.listener), config=config) as client:
        for message in (b"x\n", b"x\0\r\n", b"\xff\r\n"):
            with pytest.raises(LocalProtocolError):
                await client.send(envelope(), message)
            # Where there is a way to take it back, the connection lives on.
            assert (client.closed is None) is chunking
            if not chunking:
                break
        if chunking:
            assert fates(await client.send(envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]
            assert (await client.noop()).code == 250
        else:
            assert client.transaction is not None
            assert fates(client.transaction.outcomes) == ["UNSENT", "UNSENT"]
    assert host.sessions[0].messages == [MESSAGE] * chunking


async def test_policy_of_the_config() -> None:
    config = ClientConfig(stray=Stray.NORMALISE)
    async with serving() as host, await connect("127.0.0.1", port(host.listener), config=config) as client:
        params = MailParams(body=Body.EIGHT_BIT_MIME)
        assert fates(await client.send(envelope(params=params), b"x\n\xff\n")) == ["ACCEPTED", "ACCEPTED"]
    assert host.sessions[0].messages == [b"x\r\n\xff\r\n"]


class Failing(AsyncIterator[bytes]):
    def __init__(self) -> None:
        self.pieces = [b"x" * 400_000 + b"\r\n"]

    async def __anext__(self) -> bytes:
        if self.pieces:
            return self.pieces.pop()
        raise ValueError("no more of it")


@pytest.mark.parametrize("chunking", [False, True])
async def test_message_that_cannot_be_read(chunking: bool) -> None:
    config = ClientConfig(prefer_chunking=chunking)
    async with serving() as host, await connect("127.0.0.1", port(host.listener), config=config) as client:
        with pytest.raises(ValueError, match="no more of it"):
            await client.send(envelope(), Failing())
        assert (client.closed is None) is chunking
        await host.empty() if not chunking else await client.quit()
    assert host.sessions[0].messages == []


async def test_no_address_is_parsed() -> None:
    async with talking(obliging()) as (client, script):
        with pytest.raises(LocalProtocolError):
            await client.send(from_text("a@example.org"), MESSAGE)
        with pytest.raises(LocalProtocolError):
            await client.hello("a b")
        with pytest.raises(TypeError):
            await client.send(envelope(), cast(Any, "a message"))
        assert (await client.noop()).code == 250
        assert not any(line.startswith(b"MAIL") for line in script.heard)


def from_text(text: Any) -> Envelope:
    return Envelope(text, envelope().recipients)


async def test_one_task_at_a_time() -> None:
    async with talking(stalling(2)) as (client, _), trio.open_nursery() as nursery:
        nursery.start_soon(client.noop)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await client.noop()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("point", POINTS)
async def test_cancellation_closes(point: int) -> None:
    """Wherever it comes."""
    clients: list[SMTPClient] = []

    async def act(here: Any) -> None:
        clients.append(await converse(here, NAME, tls=TlsMode.NONE))
        await clients[0].send(envelope(), MESSAGE)
        await clients[0].quit()
        raise AssertionError("the server has answered")

    async with between(stalling(point)) as (here, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(act, here)
            await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel()
        assert here.fileno() == -1
        for client in clients:
            assert client.closed is not None
            assert client.closed.cause is Cause.ABORTED
            assert client.transaction is not None
            expected = "UNSENT" if point < 6 else "UNKNOWN" if point == 6 else "ACCEPTED"
            assert fates(client.transaction.outcomes) == [expected] * 2
            client.close()  # again
    assert len(clients) == (point > 1)


async def test_cancellation_while_the_message_is_made(autojump_clock: trio.testing.MockClock) -> None:
    async with talking(obliging()) as (client, _):
        with trio.move_on_after(100) as scope:
            await client.send(envelope(), Lazy(30))
        assert scope.cancelled_caught
        assert client.closed is not None
        assert client.transaction is not None
        assert fates(client.transaction.outcomes) == ["UNSENT", "UNSENT"]


async def test_error_in_the_block_closes_without_quit() -> None:
    async with between(obliging()) as (here, script):
        with pytest.raises(ZeroDivisionError):
            async with await converse(here, NAME, tls=TlsMode.NONE):
                raise ZeroDivisionError
        assert here.fileno() == -1
    assert b"QUIT" not in script.heard


@pytest.mark.parametrize("point", [2, 6])
async def test_closed_by_another_task(point: int) -> None:
    async with talking(stalling(point)) as (client, _):
        ended: list[str] = []

        async def send() -> None:
            ended.extend(fates(await client.send(envelope(), MESSAGE)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            client.close()
        assert ended == (["UNSENT"] * 2 if point == 2 else ["UNKNOWN"] * 2)
        with pytest.raises(Disconnected):
            await client.reset()


async def test_closed_by_another_task_in_a_command() -> None:
    async with talking(stalling(2)) as (client, _), trio.open_nursery() as nursery:

        async def noop() -> None:
            with pytest.raises(Disconnected, match="the application closed"):
                await client.noop()

        nursery.start_soon(noop)
        await trio.testing.wait_all_tasks_blocked()
        client.close()


def test_names() -> None:
    """Every name that the package says it has is there, and says so to type checkers, too."""
    for name in smtpcore_trio.__all__:
        assert getattr(smtpcore_trio, name) is not None
    assert set(smtpcore_trio._HOMES) == set(smtpcore_trio.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        smtpcore_trio.__getattr__("nothing")
