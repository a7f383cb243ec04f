"""Whatever a session raises or answers, wherever: one line in the log, a word to its client, nothing to the others."""

import logging
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from fault_play import nothing_left
from observe_play import Recorder
from trio_play import OK, Client, Host, Taker, deliver, serving, until

from smtpcore import STANDARD, Reply, ServerConfig, StoredKey
from smtpcore.extensions import AUTH, ETRN, xclient
from smtpcore.sasl import PLAIN, SCRAM_SHA_256, XOAUTH2
from smtpcore_trio import BaseObserver, Facts, Refuse

SECRET = "the key is under the mat\r\n250 2.0.0 Not a reply"
CONFIG = ServerConfig(
    hostname="mx.example.org",
    extensions=(*STANDARD, AUTH, ETRN, xclient(lambda _: True)),
    mechanisms=(PLAIN, SCRAM_SHA_256, XOAUTH2),
    cleartext_auth=True,
    verify=True,
)

# --- where a session may fall -------------------------------------------------------------------------

Step = bytes | Callable[[str], bytes]
"""What a client sends before it waits for a reply; it may have to do with the last one."""


@attrs.frozen
class Hook:
    """A call of a session.

    Args:
        method: which one.
        steps: how a client comes there after the greeting; the last reply is of it.
        reply: what it is where the session has fallen; 421 closes the connection.
        where: `data` falls before the body, in the "middle" of it, or "after" it.
        spared: so many calls before the one that falls.
    """

    method: str
    steps: tuple[Step, ...] = ()
    reply: str = "451 4.3.0 Local error in processing\r\n"
    where: str = ""
    spared: int = 0

    def session(self, facts: Facts, act: Callable[[], Any]) -> Taker:
        """One that does *act* there."""
        if self.method == "constructor":
            made: Taker = act()
            return made
        session = Taker(facts)
        usual = getattr(session, self.method)
        left = self.spared

        async def answer(*asked: Any) -> Any:
            nonlocal left
            left -= 1
            if left >= 0:
                return await usual(*asked)
            if self.where == "middle":
                await anext(asked[0])
            elif self.where == "after":
                await usual(*asked)
            result = act()
            return await result if isinstance(result, Awaitable) else result

        setattr(session, self.method, answer)
        return session

    async def reach(self, client: Client) -> str:
        """The last reply."""
        reply = await client.reply()
        for step in self.steps:
            if reply[0] in "45":  # it has fallen before the client's last word
                break
            await client.send(step if isinstance(step, bytes) else step(reply))
            reply = await client.reply()
        return reply


def scram_final(reply: str) -> bytes:
    challenge = b64decode(reply.removeprefix("334 "))
    return b64encode(b"c=biws," + challenge.partition(b",")[0] + b",p=" + b64encode(b"x" * 32)) + b"\r\n"


CLOSES = "421 Local error, closing connection\r\n"
LATER = "454 4.7.0 Temporary authentication failure\r\n"
EHLO = b"EHLO a.example\r\n"
BEGUN = (EHLO, b"MAIL FROM:<a@b.c>\r\n", b"RCPT TO:<d@e.f>\r\n")
SENT = (*BEGUN, b"DATA\r\n", b"Subject: x\r\n\r\nbody\r\n.\r\n")
BEARER = b64encode(b"user=tim\1auth=Bearer abc\1\1")
HOOKS = {
    "constructor": Hook("constructor", (), CLOSES),
    "connected": Hook("connected", (), CLOSES),
    "EHLO": Hook("hello", (EHLO,), CLOSES),
    "HELO": Hook("hello", (b"HELO a.example\r\n",), CLOSES),
    "EHLO again": Hook("hello", (EHLO, EHLO), CLOSES, spared=1),
    "EHLO among chunks": Hook("hello", (*BEGUN, b"BDAT 2\r\nxy", EHLO), CLOSES, spared=1),
    "MAIL": Hook("mail", BEGUN[:2]),
    "RCPT": Hook("rcpt", BEGUN),
    "DATA": Hook("data", SENT[:-1]),
    "body": Hook("data", SENT, where="middle"),
    "verdict": Hook("data", SENT, where="after"),
    "BDAT": Hook("data", (*BEGUN, b"BDAT 3\r\nabc")),
    "chunk": Hook("data", (*BEGUN, b"BDAT 3\r\nabc"), where="middle"),
    "chunks": Hook("data", (*BEGUN, b"BDAT 3\r\nabc", b"BDAT 2 LAST\r\nde"), where="after"),
    "password": Hook("authenticate", (EHLO, b"AUTH PLAIN AHRpbQBzM2NyZXQ=\r\n"), LATER),
    "key": Hook("authenticate", (EHLO, b"AUTH SCRAM-SHA-256 biwsbj10aW0scj1hYmM=\r\n", scram_final), LATER),
    "token": Hook("authenticate", (EHLO, b"AUTH XOAUTH2 " + BEARER + b"\r\n", b"\r\n"), LATER),
    "VRFY": Hook("extended", (EHLO, b"VRFY tim\r\n")),
    "EXPN": Hook("extended", (EHLO, b"EXPN all\r\n")),
    "ETRN": Hook("extended", (EHLO, b"ETRN e.example\r\n")),
    "XCLIENT": Hook("extended", (EHLO, b"XCLIENT NAME=a.example\r\n")),
    "VRFY among chunks": Hook("extended", (*BEGUN, b"BDAT 2\r\nxy", b"VRFY tim\r\n")),
    "RSET": Hook("reset", (*BEGUN, b"RSET\r\n"), "250 2.0.0 Ok\r\n"),
}


class Falls:
    """Lets sessions of a server fall, one after another, beside one that goes on."""

    def __init__(self, hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
        self.hook = hook
        self.caplog = caplog
        self.recorder = Recorder()
        self.host: Host
        self.other: Client
        self._act: Callable[[], Any] | None = None

    def make(self, facts: Facts) -> Taker:
        return Taker(facts) if self._act is None else self.hook.session(facts, self._act)

    async def __call__(self, act: Callable[[], Any], reply: str | None = None, logged: int = 1) -> BaseException | None:
        """Let one do *act*, and see what becomes of it and of others; what was logged.

        Args:
            act: raises, or answers.
            reply: what its client hears; by default that of the hook; where it is "" the connection just ends.
            logged: so many lines.
        """
        self.caplog.clear()
        self._act = act
        reply = self.hook.reply if reply is None else reply
        before = len(self.recorder.of("opened"))
        async with await self.host.client() as client:
            if reply:
                assert await self.hook.reach(client) == reply
            else:
                with pytest.raises(EOFError):
                    await self.hook.reach(client)
            if reply.startswith("421") or not reply or self.hook.method == "connected":
                assert await client.rest() == b""
            else:
                assert (await client.ask("NOOP")).startswith("250")
        self._act = None
        assert (await self.other.ask("NOOP")).startswith("250")
        async with await self.host.client() as the_next:
            assert (await deliver(the_next)).startswith("250")
        await until(lambda: self.host.server.connections == 1)
        assert len(self.recorder.of("opened")) - 1 == len(self.recorder.of("closed")) == before + 1
        assert len(self.caplog.records) == logged
        if not logged:
            return None
        (record,) = self.caplog.records
        assert record.levelno == logging.ERROR
        assert self.recorder.of("opened")[before].session_id in record.getMessage()
        assert record.exc_info is not None
        return record.exc_info[1]


@asynccontextmanager
async def falling(hook: Hook, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Falls]:
    falls = Falls(hook, caplog)
    async with nothing_left(), serving(falls.make, CONFIG, auth_delay=0, observer=falls.recorder) as falls.host:
        async with await falls.host.client() as falls.other:
            await falls.other.greet()
            yield falls
        await falls.host.empty()


# --- what it may do there -----------------------------------------------------------------------------


class Unprintable(Exception):
    def __str__(self) -> str:
        raise KeyError(SECRET)


ERRORS: tuple[Callable[[], Exception], ...] = (
    lambda: KeyError(SECRET),
    lambda: OSError(28, SECRET),
    lambda: StopAsyncIteration(SECRET),
    Unprintable,
    lambda: ExceptionGroup(SECRET, [KeyError(SECRET), Refuse(Reply(550, "No"))]),
    lambda: trio.BrokenResourceError(SECRET),
    lambda: trio.ClosedResourceError(SECRET),
    lambda: trio.BusyResourceError(SECRET),
    lambda: trio.TooSlowError(SECRET),
)


def answering(answer: object) -> Callable[[], Any]:
    return lambda: answer


def raising(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


@pytest.mark.catalogue("H19")
@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
async def test_exception(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    async with falling(hook, caplog) as fall:
        for make in ERRORS:
            error = make()
            assert await fall(raising(error)) is error


NO_REPLIES: tuple[Any, ...] = ("250 ok", 250, True, "", (), Reply(354, "Go on"))
NO_ANSWERS: dict[str, tuple[Any, ...]] = {
    "constructor": (None, "session"),
    "verdict": (None, "250 ok", 250, (), [OK, OK], ["250 ok"], [None], Reply(354, "Go on")),
    "password": (None, "yes", 1, StoredKey(), OK),
    "token": (None, "yes", 1, StoredKey(), OK),
    "key": (None, "key", True, OK),
}
NO_ANSWERS["body"] = NO_ANSWERS["verdict"]


@pytest.mark.parametrize("name", [name for name in HOOKS if name not in ("RSET", "DATA", "BDAT", "chunk", "chunks")])
async def test_no_answer(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """What a session must not answer."""
    async with falling(HOOKS[name], caplog) as fall:
        for answer in NO_ANSWERS.get(name, NO_REPLIES):
            assert isinstance(await fall(answering(answer)), Exception)


@pytest.mark.parametrize("name", [name for name in HOOKS if name not in ("constructor", "RSET")])
async def test_refusal(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is no error, so nothing is logged."""
    bare = HOOKS[name].method in ("connected", "hello")  # RFC 2034 4
    async with falling(HOOKS[name], caplog) as fall:
        for reply in (Reply(450, "Later", "4.7.1"), Reply(550, "Never", "5.7.1"), Reply(421, "Away", "4.7.1")):
            heard = reply.encode(enhanced=not bare).decode()
            await fall(raising(Refuse(reply)), heard, logged=0)


# --- what is not for a session to raise ---------------------------------------------------------------


async def stray_cancelled() -> None:
    """As it comes of keeping it and raising it again elsewhere."""
    kept: list[trio.Cancelled] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as cancelled:
            kept.append(cancelled)
    raise kept[0]


async def stray_group() -> None:
    try:
        await stray_cancelled()
    except trio.Cancelled as cancelled:
        raise BaseExceptionGroup(SECRET, [cancelled, KeyError(SECRET)]) from None


@pytest.mark.catalogue("H19")
@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
async def test_not_an_exception(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    """Only its own session is lost by it, and without a word."""
    async with falling(hook, caplog) as fall:
        for act in (stray_cancelled, stray_group, raising(GeneratorExit(SECRET))):
            if hook.method == "constructor":
                continue
            error = await fall(act, "")
            assert error is not None
            assert not isinstance(error, Exception)


async def test_cancelled_with_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """A session that falls where it is cut: draining ends as it would, and tells of it."""

    class Untidy(Taker):
        async def data(self, body: AsyncIterator[bytes]) -> Reply:
            async def clean_up() -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    raise KeyError(SECRET)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(clean_up)
                nursery.start_soon(trio.sleep_forever)
            raise AssertionError

    async with nothing_left(), serving(Untidy) as host, await host.client() as client:
        await client.begin()
        await client.send(b"DATA\r\n")
        await until(lambda: host.sessions)
        await trio.testing.wait_all_tasks_blocked()
        host.server.drain(0)
        await host.empty()
        assert host.server.cut == 1
    errors = [record for record in caplog.records if record.exc_info]
    assert [host.sessions[0].facts.session_id in record.getMessage() for record in errors] == [True]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_end_of_the_process(error: type[BaseException]) -> None:
    """That is not for one session alone."""
    hook = HOOKS["connected"]

    async def run() -> None:
        async with serving(lambda facts: hook.session(facts, raising(error()))) as host, await host.client() as client:
            await client.rest()
            await trio.sleep_forever()

    async with nothing_left():
        with pytest.raises(BaseExceptionGroup) as caught:
            await run()
    assert caught.value.subgroup(error) is not None


# --- observers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["opened", "event", "said", "closed", "refused", "gauge"])
async def test_observer_that_falls(method: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody notices but the log, and that once."""
    observer = BaseObserver()
    calls = 0

    def fall(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise trio.BrokenResourceError(SECRET)

    setattr(observer, method, fall)
    async with nothing_left(), serving(config=CONFIG, auth_delay=0, observer=observer) as host:
        for _ in range(2):
            async with await host.client() as client:
                assert (await deliver(client)).startswith("250")
                await client.send(b"NOOP " + b"x" * 3000 + b"\r\n")
                assert (await client.reply()).startswith("500")
                assert (await client.ask("AUTH PLAIN AHRpbQBzM2NyZXQ=")).startswith("535")
                assert (await client.ask("QUIT")).startswith("221")
                assert await client.rest() == b""
        await host.empty()
    assert calls > 1
    (record,) = caplog.records
    assert method in record.getMessage()
    assert "\n" not in record.getMessage()
