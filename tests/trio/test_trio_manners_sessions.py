"""Sessions of plain functions, sessions that answer what is no answer, and the end of a session."""

import functools
import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio_play import CONFIG, OK, Taker, deliver, serving, until

from smtpcore import STANDARD, Cause, Closed, PasswordCheck, Reply, SecretWanted, TokenCheck
from smtpcore._value import evolve
from smtpcore.extensions import AUTH
from smtpcore.sasl import CRAM_MD5, PLAIN
from smtpcore_trio import BaseSession, Facts, Refuse

LOGIN = evolve(CONFIG, extensions=(*STANDARD, AUTH), mechanisms=(PLAIN, CRAM_MD5), cleartext_auth=True)
CREDENTIALS = b64encode(b"\0user\0password").decode()
DIGEST = b64encode(b"user " + 32 * b"0").decode()


class Plain:
    """A session of functions, but for `data`; it inherits nothing."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.said: list[object] = []

    def connected(self, peer: object) -> Reply | None:
        return None

    def hello(self, event: object) -> Reply | None:
        return None

    def authenticate(self, check: PasswordCheck | SecretWanted | TokenCheck) -> bool:
        self.said.append(type(check))
        return isinstance(check, PasswordCheck) and check.password.text() == "password"

    def mail(self, event: object) -> Reply | None:
        return None

    def rcpt(self, event: object) -> Reply | None:
        return None

    async def data(self, body: AsyncIterator[bytes]) -> Reply:
        async for _octets in body:
            pass
        return OK

    def reset(self) -> None:
        self.said.append("reset")

    def extended(self, question: object) -> Reply | None:
        return None


async def test_plain_functions(caplog: pytest.LogCaptureFixture) -> None:
    """They may answer all but `data`, and none of them needs more."""
    async with serving(Plain, LOGIN, auth_delay=0) as host, await host.client() as client:
        await client.greet()
        assert (await client.ask("AUTH CRAM-MD5")).startswith("334")
        assert (await client.ask(DIGEST)).startswith("535")
        assert (await client.ask(f"AUTH PLAIN {CREDENTIALS}")).startswith("235")
        assert (await client.ask("MAIL FROM:<a@example.org>", "RSET")).startswith("250")
        assert (await client.ask("QUIT")).startswith("221")
    assert host.sessions[0].said == [SecretWanted, PasswordCheck, "reset"]
    async with serving(Plain) as host, await host.client() as client:
        assert (await deliver(client)).startswith("250")
    assert not caplog.records


# --- what is no answer ----------------------------------------------------------------------------------


async def body_read(body: AsyncIterator[bytes], verdict: object) -> object:
    async for _octets in body:
        pass
    return verdict


def answering(method: str, answer: object, waits: bool) -> type[Taker]:
    """A Taker, one method of which answers so."""

    async def later(_self: Taker, _event: object) -> object:
        return answer

    async def data(_self: Taker, body: AsyncIterator[bytes]) -> object:
        return await body_read(body, answer)

    def now(_self: Taker, _event: object) -> object:
        return answer

    return type("Answering", (Taker,), {method: data if method == "data" else later if waits else now})


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize(
    ("method", "answer", "told", "apology"),
    [
        ("connected", 0, "Session.connected returned int 0, not a Reply or None", "421"),
        ("hello", "x" * 200, "Session.hello returned str 'xxx", "421"),
        ("mail", True, "Session.mail returned bool True, not a Reply or None", "451"),
        ("rcpt", "250 OK", "Session.rcpt returned str '250 OK', not a Reply or None", "451"),
        ("extended", False, "Session.extended returned bool False, not a Reply or None", "451"),
        ("data", None, "Session.data returned None, not a Reply", "451"),
        ("data", "250 OK", "Session.data returned str '250 OK', not a Reply", "451"),
        ("data", [], "1 verdicts are wanted, not 0", "451"),
        ("data", [OK, None], "Session.data returned list [Reply(", "451"),
    ],
)
async def test_what_is_no_answer(
    method: str, answer: object, told: str, apology: str, waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said which method gave what, and the client hears of a local error."""
    config = evolve(CONFIG, verify=True)
    replies = []
    async with serving(answering(method, answer, waits), config) as host, await host.client() as client:
        replies.append(await client.reply())
        lines = ["EHLO a.example", "VRFY b", "MAIL FROM:<a@b.c>", "RCPT TO:<b@b.c>", "DATA", "x\r\n."]
        for line in lines if replies[0].startswith("220") else ():
            replies.append(await client.ask(line))
            if replies[-1].startswith("421") or (replies[-1].startswith("451") and method != "extended"):
                break
    assert any(reply.startswith(apology) for reply in replies)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert told in caplog.text
    assert "x" * 150 not in caplog.text


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize(
    ("answer", "line", "told"),
    [
        ("pass-word", f"AUTH PLAIN {CREDENTIALS}", "returned str for a PasswordCheck, not a bool"),
        (None, f"AUTH PLAIN {CREDENTIALS}", "returned None for a PasswordCheck, not a bool"),
        (True, "AUTH CRAM-MD5", "returned bool for a SecretWanted, not a StoredKey or False"),
        ("pass-word", "AUTH CRAM-MD5", "returned str for a SecretWanted, not a StoredKey or False"),
    ],
)
async def test_what_admits_nobody(
    answer: object, line: str, told: str, waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """What was returned may be a secret, and is not shown."""
    session = answering("authenticate", answer, waits)
    async with serving(session, LOGIN, auth_delay=0) as host, await host.client() as client:
        await client.greet()
        reply = await client.ask(line)
        if reply.startswith("334"):
            reply = await client.ask(DIGEST)
        assert reply.startswith("454 4.7.0 ")
    assert f"Session.authenticate {told}" in caplog.text
    assert "pass-word" not in caplog.text


async def test_data_that_cannot_wait(caplog: pytest.LogCaptureFixture) -> None:
    """That is found when the session is made, and not only when there is a message."""

    class Wrong(Taker):
        def data(self, body: AsyncIterator[bytes]) -> Any:
            return OK

    async with serving(Wrong) as host, await host.client() as client:
        assert (await client.reply()).startswith("421 ")
    assert "Session.data must be a coroutine function" in caplog.text
    assert host.sessions[0].said == []


async def test_data_that_can_wait_for_all_it_looks_like() -> None:
    """As what a decorator has made of it, or as the session's alone."""

    class Wrapped(Taker):
        @functools.wraps(Taker.data)
        def data(self, body: AsyncIterator[bytes]) -> Any:
            return super().data(body)

    class Own(Plain):
        def __init__(self, facts: Facts) -> None:
            super().__init__(facts)
            self.store = functools.partial(Plain.data, self)

        def __getattribute__(self, name: str) -> Any:
            return super().__getattribute__("store" if name == "data" else name)

    for kind in (Wrapped, Own):
        async with serving(kind) as host, await host.client() as client:
            assert (await deliver(client)).startswith("250")


@pytest.mark.parametrize("given", ["550 no", None, 550])
def test_refusal_without_a_reply(given: Any) -> None:
    with pytest.raises(TypeError, match=f"Refuse takes a Reply, .* not {type(given).__name__}"):
        Refuse(given)


# --- the end --------------------------------------------------------------------------------------------


class Ending(BaseSession):
    """Takes note of its end."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.ends: list[Closed | None] = []
        self.asked = trio.Event()


class EndingNow(Ending):
    def closed(self, closed: Closed | None) -> None:
        self.ends.append(closed)


class EndingLater(Ending):
    async def closed(self, closed: Closed | None) -> None:
        await trio.lowlevel.checkpoint()
        self.ends.append(closed)

    async def rcpt(self, event: object) -> Reply | None:
        self.asked.set()
        await trio.sleep_forever()
        return None


@pytest.mark.parametrize("kind", [EndingNow, EndingLater])
async def test_end(kind: type[Ending]) -> None:
    """It is told once, however the session ends; None is of one that was cut."""
    async with serving(kind) as host:
        async with await host.client() as client:
            await client.greet()
            await client.ask("QUIT")
            await client.rest()
        async with await host.client() as client:
            await client.greet()
        await host.empty()
        quit_, lost = (session.ends for session in host.sessions)
        assert [closed.cause for closed in (*quit_, *lost)] == [Cause.QUIT, Cause.EOF]
        async with await host.client() as client:
            await client.greet()
            await client.ask("MAIL FROM:<a@example.org>")
            if kind is EndingLater:
                await client.send(b"RCPT TO:<b@example.org>\r\n")
                await host.sessions[2].asked.wait()
            host.server.drain(0)
            await host.empty()
    (closed,) = host.sessions[2].ends
    assert (closed and closed.cause) is (None if kind is EndingLater else Cause.SHUTDOWN)


async def test_end_of_one_that_was_never_told() -> None:
    """A session need not have the method, and what has its name need not be one."""

    class Odd(Plain):
        closed = True

    for kind in (Plain, Odd, Taker):
        async with serving(kind) as host, await host.client() as client:
            assert (await deliver(client)).startswith("250")


async def test_end_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(BaseSession):
        def closed(self, closed: Closed | None) -> None:
            raise RuntimeError("not released")

    async with serving(Failing) as host:
        async with await host.client() as client:
            await client.greet()
        await until(lambda: caplog.records)
        await host.empty()
    (record,) = caplog.records
    assert f"the session {host.sessions[0].facts.session_id} failed at closed" in record.getMessage()
    assert "not released" in caplog.text


async def test_end_that_takes_too_long(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not wait for it for good."""
    monkeypatch.setattr("smtpcore_trio.server._CLOSED_SECONDS", 0.05)

    class Hanging(BaseSession):
        async def closed(self, closed: Closed | None) -> None:
            await trio.sleep_forever()

    async with serving(Hanging) as host:
        async with await host.client() as client:
            await client.greet()
        await host.empty()
    assert f"the session {host.sessions[0].facts.session_id} took too long at closed" in caplog.text
