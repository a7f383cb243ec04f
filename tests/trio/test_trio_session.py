"""Sessions: what they are asked, and what becomes of their answers."""

import logging
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
import trio
import trio.testing
from trio_play import CONFIG, MESSAGE, OK, Client, Taker, deliver, serving

from smtpcore import (
    LMTP,
    STANDARD,
    Abort,
    Limits,
    LocalProtocolError,
    PasswordCheck,
    Reply,
    Secret,
    SecretWanted,
    ServerConfig,
    StoredKey,
    TokenCheck,
    XClient,
)
from smtpcore.extensions import AUTH, xclient
from smtpcore.sasl import PLAIN, SCRAM_SHA_256, XOAUTH2
from smtpcore_trio import Aborted, BaseSession, Facts, Refuse

# --- messages -----------------------------------------------------------------------------------------


async def test_message() -> None:
    async with serving() as host, await host.client() as client:
        assert await deliver(client) == "250 2.0.0 Stored\r\n"
        assert await client.ask("RSET", "MAIL FROM:<>", "RSET") == "250 2.0.0 Ok\r\n"
        assert (await client.ask("QUIT")).startswith("221 ")
        assert await client.rest() == b""
        (session,) = host.sessions
        assert session.messages == [MESSAGE]
        assert session.said == ["connected", "hello", "mail", "rcpt", "data", "mail", "reset"]


async def test_facts() -> None:
    seen: list[Any] = []

    class Looker(BaseSession):
        async def data(self, body: AsyncIterator[bytes]) -> Reply:
            facts = self.facts
            seen.append((facts.hello, facts.envelope, facts.identity, facts.tls, facts.limits, facts.peer.address))
            return OK

    async with serving(Looker) as host, await host.client() as client:
        await deliver(client)
        ((hello, envelope, identity, tls, limits, address),) = seen
        assert str(hello.host) == "client.example"
        assert [str(each.path) for each in envelope.recipients] == ["b@example.org"]
        assert (identity, tls, limits, address) == (None, None, CONFIG.limits, "127.0.0.1")


async def test_many_sessions_at_once() -> None:
    async def one(number: int) -> None:
        async with await host.client() as client:
            assert await deliver(client, b"%d\r\n" % number) == "250 2.0.0 Stored\r\n"

    async with serving() as host:
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(one, number)
        stored = sorted(int(message) for session in host.sessions for message in session.messages)
        assert stored == list(range(50))


async def test_back_pressure() -> None:
    """A session that takes nothing stops the client, long before its message is sent."""
    go = trio.Event()

    class Slow(Taker):
        async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
            await anext(body)
            await go.wait()
            return await super().data(body)

    message = b"x" * 78 + b"\r\n"
    message *= 20_000_000 // len(message)
    sent = 0

    async def send() -> None:
        nonlocal sent
        for start in range(0, len(message), 65536):
            await client.send(message[start : start + 65536])
            sent += 65536
        await client.send(b".\r\n")

    async with serving(Slow) as host, await host.client() as client:
        await client.begin()
        await client.ask("DATA")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            before = -1
            while sent != before:
                before = sent
                await trio.sleep(0.2)
            assert sent < len(message)  # what is between is in the kernel's buffers
            go.set()
        assert await client.reply() == "250 2.0.0 Stored\r\n"
        assert len(host.sessions[0].messages[0]) > len(message) - 2 * 65536


@pytest.mark.parametrize("octets", [0, 1_000_000])
@pytest.mark.parametrize(
    "verdict", [OK, Reply(550, "No", "5.7.1"), Reply(421, "Go", "4.7.0")], ids=["yes", "no", "close"]
)
@pytest.mark.parametrize("reads", [0, 1])
async def test_leaving_early(octets: int, verdict: Reply, reads: int) -> None:
    """The rest is discarded, and is never taken for commands."""

    class Leaver(BaseSession):
        async def data(self, body: AsyncIterator[bytes]) -> Reply:
            async for _ in body:
                break
            return verdict

    message = b"RSET\r\n" * (octets // 6 + 1)
    async with serving(Leaver) as host, await host.client() as client:
        assert await deliver(client, message) == verdict.encode(enhanced=True).decode()
        if verdict.code == 421:
            assert await client.rest() == b""
        else:
            assert await client.ask("NOOP") == "250 2.0.0 Ok\r\n"


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("verb", ["DATA", "BDAT"])
async def test_refused_before_it_is_sent(raises: bool, verb: str) -> None:
    no = Reply(550, "Not today", "5.7.1")

    class Refuser(BaseSession):
        async def data(self, body: AsyncIterator[bytes]) -> Reply:
            if raises:
                raise Refuse(no)
            return no

    async with serving(Refuser) as host, await host.client() as client:
        await client.begin()
        await client.send(b"DATA\r\n" if verb == "DATA" else b"BDAT 6 LAST\r\nRSET\r\n")
        assert await client.reply() == "550 5.7.1 Not today\r\n"
        assert (await client.ask("NOOP")).startswith("250 ")


async def test_taken_unread() -> None:
    class Blind(BaseSession):
        async def data(self, body: AsyncIterator[bytes]) -> Reply:
            return OK

    async with serving(Blind) as host, await host.client() as client:
        assert await deliver(client) == "250 2.0.0 Stored\r\n"


async def test_stock_session_takes_no_message() -> None:
    async with serving(BaseSession) as host, await host.client() as client:
        await client.begin()
        assert await client.ask("DATA") == "554 5.3.2 No message is taken here\r\n"


async def test_chunks() -> None:
    async with serving() as host, await host.client() as client:
        await client.begin()
        await client.send(b"BDAT 4\r\nab\r\nNOOP\r\nFOO\r\nBDAT 0\r\nBDAT 4 LAST\r\n.\r\n!")
        replies = [(await client.reply())[:3] for _ in range(5)]
        assert replies == ["250", "250", "500", "250", "250"]
        assert host.sessions[0].messages == [b"ab\r\n.\r\n!"]


@pytest.mark.catalogue("F2", "F9")
@pytest.mark.parametrize("line", ["RSET", "EHLO again.example"])
async def test_reset_between_chunks(line: str) -> None:
    reasons: list[Abort] = []

    class Watcher(Taker):
        async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
            for _ in range(2):  # and it stays aborted
                try:
                    await super().data(body)
                except Aborted as aborted:
                    reasons.append(aborted.reason)
            return OK

    async with serving(Watcher) as host, await host.client() as client:
        await client.begin()
        await client.send(b"BDAT 4\r\nab\r\n" + line.encode() + b"\r\n")
        assert (await client.reply()).startswith("250 2.0.0 4 octets")
        assert (await client.reply()).startswith("250")
        assert (await client.ask("BDAT 0 LAST")).startswith("503 ")
        assert reasons == [Abort.RESET, Abort.RESET]
        assert host.sessions[0].messages == []
        assert host.sessions[0].said[-1] == "reset"


async def test_too_big() -> None:
    reasons: list[Abort] = []

    class Watcher(Taker):
        async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
            try:
                return await super().data(body)
            except Aborted as aborted:
                reasons.append(aborted.reason)
                raise

    config = ServerConfig(hostname="mx.example.org", limits=Limits(message_octets=65536))
    async with serving(Watcher, config) as host, await host.client() as client:
        assert (await deliver(client, b"x" * 70_000 + b"\r\n")).startswith("552 5.3.4")
        assert reasons == [Abort.TOO_BIG]
        assert (await client.ask("NOOP")).startswith("250 ")


async def test_one_verdict_for_each_recipient() -> None:
    class Each(BaseSession):
        async def data(self, body: AsyncIterator[bytes]) -> Sequence[Reply]:
            return [OK, Reply(452, "Full", "4.2.2")]

    async with serving(Each, dialect=LMTP) as host, await host.client() as client:
        await client.reply()
        await client.ask("LHLO a.example", "MAIL FROM:<>", "RCPT TO:<a@b.c>", "RCPT TO:<d@e.f>", "DATA")
        await client.send(b"x\r\n.\r\n")
        assert [await client.reply(), await client.reply()] == ["250 2.0.0 Stored\r\n", "452 4.2.2 Full\r\n"]


# --- answers ------------------------------------------------------------------------------------------

DIALOGUE = {
    "connected": (),
    "hello": ("EHLO a.example",),
    "mail": ("EHLO a.example", "MAIL FROM:<a@b.c>"),
    "rcpt": ("EHLO a.example", "MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>"),
    "data": ("EHLO a.example", "MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "DATA"),
}


async def answer_at(method: str, client: Client) -> str:
    """What the client hears when *method* is asked."""
    reply = await client.reply()
    return await client.ask(*DIALOGUE[method]) if DIALOGUE[method] else reply


def overriding(method: str, answer: Callable[[], Awaitable[Any]]) -> Callable[[Facts], Taker]:
    """Sessions whose *method* is replaced."""

    def make(facts: Facts) -> Taker:
        session = Taker(facts)

        async def replacement(*_: object) -> Any:
            return await answer()

        setattr(session, method, replacement)
        return session

    return make


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("method", DIALOGUE)
async def test_refusal(method: str, raises: bool) -> None:
    no = Reply(554, "Not you", "5.7.1")

    async def answer() -> Reply:
        if raises:
            raise Refuse(no)
        return no

    async with serving(overriding(method, answer)) as host, await host.client() as client:
        reply = await answer_at(method, client)
        assert reply == ("554 Not you\r\n" if method in ("connected", "hello") else "554 5.7.1 Not you\r\n")
        if method == "connected":
            assert await client.rest() == b""
        else:
            assert (await client.ask("NOOP")).startswith("250")


@pytest.mark.parametrize("method", ["connected", "hello", "mail", "rcpt"])
async def test_other_words(method: str) -> None:
    async def answer() -> Reply:
        return Reply(220 if method == "connected" else 250, "As you say")

    async with serving(overriding(method, answer)) as host, await host.client() as client:
        assert "As you say" in await answer_at(method, client)


def test_refuse_says_no() -> None:
    assert str(Refuse(Reply(550, "No", "5.7.1"))) == "550 5.7.1 No"
    with pytest.raises(ValueError, match="refuses nothing"):
        Refuse(OK)


class Broken(Exception):
    """Not for the client to see."""


@pytest.mark.catalogue("H19")
@pytest.mark.parametrize("method", DIALOGUE)
async def test_exception(method: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, and tells the client nothing; others do not notice."""

    async def answer() -> Reply:
        raise Broken("secret")

    makers = iter([Taker, overriding(method, answer)])

    def make(facts: Facts) -> Taker:
        return next(makers)(facts)

    async with serving(make) as host, await host.client() as other, await host.client() as client:
        await other.greet()
        reply = await answer_at(method, client)
        if method in ("connected", "hello"):
            assert reply.startswith("421 ")
            assert reply.endswith("Local error, closing connection\r\n")
            assert await client.rest() == b""
        else:
            assert reply == "451 4.3.0 Local error in processing\r\n"
            assert (await client.ask("NOOP")).startswith("250")
        assert (await other.ask("NOOP")).startswith("250")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], Broken)


@pytest.mark.parametrize("reads", [0, 1, 100])
async def test_exception_in_the_body(reads: int, caplog: pytest.LogCaptureFixture) -> None:
    class Falls(BaseSession):
        async def data(self, body: AsyncIterator[bytes]) -> Reply:
            for _ in range(reads):
                await anext(body, b"")
            raise Broken("secret")

    async with serving(Falls) as host, await host.client() as client:
        await client.begin()
        if reads:
            await client.ask("DATA")
            await client.send(b"x" * 200_000 + b"\r\n.\r\n")
        else:
            await client.send(b"DATA\r\n")
        assert await client.reply() == "451 4.3.0 Local error in processing\r\n"
        assert (await client.ask("RSET", "MAIL FROM:<a@b.c>")).startswith("250")
    assert len(caplog.records) == 1


async def test_exception_in_reset(caplog: pytest.LogCaptureFixture) -> None:
    async def answer() -> None:
        raise Broken("secret")

    async with serving(overriding("reset", answer)) as host, await host.client() as client:
        await client.begin()
        assert await client.ask("RSET") == "250 2.0.0 Ok\r\n"
    assert len(caplog.records) == 1


@pytest.mark.parametrize("verdict", [Reply(354, "Go on"), [OK, OK], [], None])
async def test_no_verdict(verdict: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def answer() -> Any:
        return verdict

    async with serving(overriding("data", answer)) as host, await host.client() as client:
        assert await deliver(client) == "451 4.3.0 Local error in processing\r\n"
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], TypeError if verdict is None else LocalProtocolError)


async def test_no_session(caplog: pytest.LogCaptureFixture) -> None:
    def make(_: Facts) -> Taker:
        raise Broken("secret")

    async with serving(make) as host, await host.client() as client:
        assert await client.rest() == b"421 Local error, closing connection\r\n"
    assert len(caplog.records) == 1


async def test_error_of_our_own(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even so the others go on."""

    async def run(self: object) -> None:
        raise Broken("oops")

    async with serving() as host, await host.client() as other:
        await other.greet()
        monkeypatch.setattr("smtpcore_trio.server.Conversation.run", run)
        async with await host.client() as client:
            assert await client.rest() == b""
        assert (await other.ask("NOOP")).startswith("250")
    assert len(caplog.records) == 1
    assert caplog.messages[0] == f"the session {host.sessions[1].facts.session_id} was lost by an error"


async def test_extended() -> None:
    asked: list[object] = []

    class Trusting(BaseSession):
        async def extended(self, question: object) -> Reply | None:
            asked.append(question)
            return None

    config = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, xclient(lambda _: True)), verify=True)
    for make, code in ((BaseSession, "502"), (Trusting, "2")):
        async with serving(make, config) as host, await host.client() as client:
            await client.greet()
            assert (await client.ask("VRFY someone")).startswith(code)
            assert (await client.ask("XCLIENT ADDR=192.0.2.1")).startswith(code)
    assert [type(each).__name__ for each in asked] == ["Verify", "XClient"]
    assert isinstance(asked[1], XClient)


# --- AUTH ---------------------------------------------------------------------------------------------

AUTH_CONFIG = ServerConfig(
    hostname="mx.example.org",
    extensions=(*STANDARD, AUTH),
    mechanisms=(PLAIN, SCRAM_SHA_256, XOAUTH2),
    cleartext_auth=True,
)
PLAIN_TIM = "AUTH PLAIN AHRpbQBzM2NyZXQ="  # tim, s3cret
SCRAM_TIM = "AUTH SCRAM-SHA-256 biwsbj10aW0scj1hYmM="  # n,,n=tim,r=abc


def answering(answer: Any) -> Callable[[Facts], BaseSession]:
    class Knows(BaseSession):
        async def authenticate(self, check: PasswordCheck | SecretWanted | TokenCheck) -> StoredKey | bool:
            if isinstance(answer, Exception):
                raise answer
            given: StoredKey | bool = answer
            return given

    return Knows


@pytest.mark.parametrize(
    ("line", "answer", "reply"),
    [
        (PLAIN_TIM, True, "235 2.7.0 "),
        (PLAIN_TIM, False, "535 5.7.8 "),
        (PLAIN_TIM, Refuse(Reply(432, "Later", "4.7.12")), "432 4.7.12 Later"),
        (PLAIN_TIM, Broken("secret"), "454 4.7.0 Temporary authentication failure"),
        (PLAIN_TIM, StoredKey(), "454 4.7.0 Temporary"),
        (PLAIN_TIM, None, "454 4.7.0 Temporary"),
        (SCRAM_TIM, StoredKey(b"salt", 4096, Secret(b"x" * 32), Secret(b"y" * 32)), "334 cj1hYm"),
        (SCRAM_TIM, False, "334 cj1hYm"),
    ],
)
async def test_authenticate(line: str, answer: object, reply: str) -> None:
    async with serving(answering(answer), AUTH_CONFIG, auth_delay=0) as host, await host.client() as client:
        await client.greet()
        assert (await client.ask(line)).startswith(reply)


@pytest.mark.parametrize("answer", [True, None, Broken("secret")])
async def test_no_key(answer: object) -> None:
    """The exchange goes on, so that it tells nothing, to the reply that it then has."""
    async with serving(answering(answer), AUTH_CONFIG, auth_delay=0) as host, await host.client() as client:
        await client.greet()
        challenge = b64decode((await client.ask(SCRAM_TIM)).removeprefix("334 "))
        final = b"c=biws," + challenge.partition(b",")[0] + b",p=" + b64encode(b"x" * 32)
        assert (await client.ask(b64encode(final))).startswith("454 4.7.0 Temporary")


async def test_stock_session_knows_nobody() -> None:
    async with serving(BaseSession, AUTH_CONFIG, auth_delay=0) as host, await host.client() as client:
        await client.greet()
        assert (await client.ask(PLAIN_TIM)).startswith("535 ")


@pytest.mark.catalogue("D3")
async def test_failure_takes_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    sleep = trio.sleep

    async def spy(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    async with serving(BaseSession, AUTH_CONFIG, auth_delay=17) as host, await host.client() as client:
        await client.greet()
        monkeypatch.setattr("smtpcore_trio._conversation.trio.sleep", spy)
        await client.ask(PLAIN_TIM)
        monkeypatch.undo()
        assert 17 in slept
