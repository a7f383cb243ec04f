"""Methods of a session that are plain functions: they are answered while the connection's task sleeps."""

import asyncio
import contextlib
import contextvars
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest
import trio
import trio.testing
from trio_play import OK, Client, Host, Taker, serving

from smtpcore import Reply
from smtpcore_trio import BaseSession, Facts, Refuse, _hub, server

NO = Reply(550, "Not you", "5.7.1")
EHLO = "EHLO client.example"
MAIL = "MAIL FROM:<a@example.org>"
RCPT = "RCPT TO:<b@example.org>"
DIALOGUE = {"hello": (EHLO,), "mail": (EHLO, MAIL), "rcpt": (EHLO, MAIL, RCPT)}
QUESTIONS = {"hello": "Hello", "mail": "MailFrom", "rcpt": "RcptTo"}
METHODS = pytest.mark.parametrize("method", DIALOGUE)


@pytest.fixture(params=["hub", "none"], autouse=True)
def watched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Every connection is watched, or waits for itself: it is the same to a session."""
    watching: bool = request.param == "hub"
    if watching:
        if _hub.new_hub() is None:
            pytest.skip("there is no hub")
    else:
        monkeypatch.setattr(server, "new_hub", lambda: None)
    return watching


def plain(**methods: Callable[..., Any]) -> type[Taker]:
    """A Taker with other methods."""
    return type("Plain", (Taker,), {name: staticmethod(method) for name, method in methods.items()})


async def reach(client: Client, method: str) -> str:
    """The reply to what asks *method*."""
    await client.reply()
    return await client.ask(*DIALOGUE[method])


# --- in whose time ------------------------------------------------------------------------------------------


class Steps(trio.abc.Instrument):
    """Counts how often the tasks of connections go on."""

    def __init__(self) -> None:
        self.taken = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.taken += task.name.endswith("._serve_one")


@contextlib.contextmanager
def counting() -> Generator[Steps]:
    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    try:
        yield steps
    finally:
        trio.lowlevel.remove_instrument(steps)


def yes(_event: object) -> None:
    return None


async def yes_later(_event: object) -> None:
    return None


@pytest.mark.parametrize(
    ("make", "woken"),
    [(BaseSession, False), (plain(hello=yes, mail=yes, rcpt=yes), False), (Taker, True)],
    ids=["stock", "plain", "coroutines"],
)
async def test_task_sleeps(make: Callable[[Facts], BaseSession], woken: bool, watched: bool) -> None:
    async with serving(make) as host, await host.client() as client:
        await client.reply()
        await trio.testing.wait_all_tasks_blocked()
        with counting() as steps:
            await client.ask(EHLO, MAIL, RCPT, "NOOP", "RSET", MAIL)
        # What RSET reports is for the task, as every method but those three.
        assert steps.taken >= 5 if woken or not watched else steps.taken == 1


async def test_group_in_one_go() -> None:
    """Answers are in their order, whoever gives them."""
    said: list[str] = []

    def mail(event: object) -> None:
        said.append("mail")

    async def rcpt(event: object) -> None:
        await trio.lowlevel.checkpoint()
        said.append("rcpt")

    async with serving(plain(mail=mail, rcpt=rcpt)) as host, await host.client() as client:
        await client.greet()
        lines = [MAIL, RCPT, RCPT, "RSET", MAIL, "NOOP", RCPT, "RSET"] * 5
        await client.send("\r\n".join([*lines, "QUIT", ""]).encode())
        replies = [(await client.reply())[:9] for _ in range(len(lines) + 1)]
        sender, recipient, ok = "250 2.1.0", "250 2.1.5", "250 2.0.0"
        assert replies == [sender, recipient, recipient, ok, sender, ok, recipient, ok] * 5 + ["221 2.0.0"]
    assert said == ["mail", "rcpt", "rcpt", "mail", "rcpt"] * 5


# --- what they answer ---------------------------------------------------------------------------------------


@METHODS
async def test_other_words(method: str) -> None:
    async with serving(plain(**{method: lambda _: Reply(250, "As you say")})) as host, await host.client() as client:
        assert "As you say" in await reach(client, method)


@METHODS
@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("code", [550, 421])
async def test_refusal(method: str, raises: bool, code: int) -> None:
    no = Reply(code, "Not you", f"{code // 100}.7.1")

    def answer(_event: object) -> Reply:
        if raises:
            raise Refuse(no)
        return no

    async with serving(plain(**{method: answer})) as host, await host.client() as client:
        assert await reach(client, method) == no.encode(enhanced=method != "hello").decode()
        if code == 421:
            assert await client.rest() == b""
        else:
            assert (await client.ask("NOOP")).startswith("250")


def fall(_event: object) -> None:
    raise ZeroDivisionError("secret")


@METHODS
@pytest.mark.parametrize("answer", [fall, lambda _: Reply(354, "Go on"), lambda _: 5, lambda _: "no"])
async def test_error(method: str, answer: Callable[[object], Any], caplog: pytest.LogCaptureFixture) -> None:
    """One line in the log, and the client goes on."""
    async with serving(plain(**{method: answer})) as host, await host.client() as client:
        apology = "421 Local error" if method == "hello" else "451 4.3.0 Local error"
        assert (await reach(client, method)).startswith(apology)
        if method != "hello":
            assert (await client.ask("NOOP")).startswith("250")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert f"failed at {QUESTIONS[method]}" in caplog.text


@METHODS
@pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit])
async def test_error_of_another_kind(method: str, kind: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    """It ends the session that it is of, and no other."""

    def answer(_event: object) -> None:
        raise kind("secret")

    makers = [plain(**{method: answer}), Taker]

    def make(facts: Facts) -> Taker:
        made: Taker = makers.pop()(facts)
        return made

    async with serving(make) as host, await host.client() as other:
        await other.greet()
        async with await host.client() as client:
            with pytest.raises(EOFError):
                await reach(client, method)
        assert (await other.ask("NOOP")).startswith("250")
    assert len(caplog.records) == 1
    assert f"the session {host.sessions[1].facts.session_id} was lost by an error" in caplog.text


@METHODS
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_end_of_everything(method: str, kind: type[BaseException]) -> None:
    def answer(_event: object) -> None:
        raise kind

    with pytest.RaisesGroup(kind, flatten_subgroups=True):
        async with serving(plain(**{method: answer})) as host, await host.client() as client:
            with contextlib.suppress(EOFError):
                await reach(client, method)
            await trio.sleep_forever()


# --- what they put off -----------------------------------------------------------------------------------------


class Later:
    """Awaitable, and no coroutine."""

    def __await__(self) -> Generator[Any, Any, Reply]:
        return (yield from later().__await__())


async def later() -> Reply:
    await trio.lowlevel.checkpoint()
    return NO


@METHODS
@pytest.mark.parametrize("make", [later, Later])
async def test_what_is_awaited(method: str, make: Callable[[], Awaitable[Reply]], watched: bool) -> None:
    """By the task, which is that of the connection. It is asked once."""
    asked: list[object] = []

    def answer(event: object) -> Awaitable[Reply]:
        asked.append(event)
        return make()

    async with serving(plain(**{method: answer})) as host, await host.client() as client:
        assert (await reach(client, method)).endswith("Not you\r\n")
        assert len(asked) == 1
        assert (await client.ask("NOOP")).startswith("250")


async def test_where_it_is_awaited() -> None:
    tasks: list[str] = []

    async def tell() -> None:
        tasks.append(trio.lowlevel.current_task().name)

    async with serving(plain(mail=lambda _: tell())) as host, await host.client() as client:
        await client.greet()
        await client.ask(MAIL)
    assert tasks[0].endswith("._serve_one")


async def test_what_is_never_awaited(caplog: pytest.LogCaptureFixture) -> None:
    """A method has cancelled the task in which its answer was to be awaited: no warning says that it never was."""
    scopes: list[trio.CancelScope] = []
    answers: list[Coroutine[Any, Any, Reply]] = []

    def hello(_event: object) -> Coroutine[Any, Any, Reply] | None:
        if scopes:
            scopes[0].cancel()
            answers.append(later())
        return answers[0] if answers else None

    async def data(body: AsyncIterator[bytes]) -> None:
        with trio.CancelScope() as scope:
            scopes.append(scope)
            async for _ in body:
                pass
        raise asyncio.CancelledError  # which ends the session

    async with serving(plain(hello=hello, data=data)) as host, await host.client() as client:
        await client.begin()
        await client.send(b"BDAT 2\r\nab")
        await client.reply()
        await client.send(EHLO.encode() + b"\r\n")
        assert await client.rest() == b""
        await host.empty()
    assert inspect.getcoroutinestate(answers[0]) == inspect.CORO_CLOSED
    assert len(caplog.records) == 1


@pytest.mark.parametrize("verdict", [OK, NO])
async def test_what_is_awaited_after_all(verdict: Reply) -> None:
    """The same, and the session goes on to its verdict: the question is answered, once and in its turn."""
    scopes: list[trio.CancelScope] = []
    asked: list[object] = []

    def hello(event: object) -> Coroutine[Any, Any, Reply] | None:
        asked.append(event)
        if not scopes:
            return None
        scopes[0].cancel()
        return later()

    async def data(body: AsyncIterator[bytes]) -> Reply:
        with trio.CancelScope() as scope:
            scopes.append(scope)
            async for _ in body:
                pass
        return verdict

    async with serving(plain(hello=hello, data=data)) as host, await host.client() as client:
        await client.begin()
        await client.send(b"BDAT 2\r\nab")
        await client.reply()
        await client.send(EHLO.encode() + b"\r\n")
        # The task of the session without a hub is cancelled where it awaits the answer.
        assert await client.reply() in ("550 Not you\r\n", "451 Local error in processing\r\n")
        await client.send(b"BDAT 2 LAST\r\ncd")
        assert await client.reply() == verdict.encode(enhanced=True).decode()
        assert (await client.ask("NOOP")).startswith("250")
    assert len(asked) == 2


async def test_between_chunks() -> None:
    """`data` sleeps meanwhile."""
    answers = iter([None, NO, None])

    async with serving(plain(hello=lambda _: next(answers))) as host, await host.client() as client:
        await client.begin()
        await client.send(b"BDAT 2\r\nab" + EHLO.encode() + b"\r\n")
        assert [(await client.reply())[:3] for _ in range(2)] == ["250", "550"]
        await client.send(b"BDAT 2\r\ncd")
        assert (await client.reply()).startswith("250 2.0.0 2 octets")
        assert (await client.ask(EHLO)).startswith("250")  # which ends the transaction
        assert (await client.ask("BDAT 0 LAST")).startswith("503")
    assert host.sessions[0].said[-2:] == ["data", "reset"]
    assert host.sessions[0].messages == []


# --- what they may do -------------------------------------------------------------------------------------------


async def test_context() -> None:
    """That of the connection's task, in which `connected` may have left something."""
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")
    seen: list[str] = []

    def make(facts: Facts) -> Taker:
        async def connected(_peer: object) -> None:
            name.set(facts.session_id)

        def mail(_event: object) -> None:
            seen.append(name.get())
            name.set("changed")

        return plain(connected=connected, mail=mail, rcpt=lambda _: seen.append(name.get()))(facts)

    async with serving(make) as host, await host.client() as one, await host.client() as two:
        for client in (one, two):
            await client.begin()
    assert seen == [each for session in host.sessions for each in (session.facts.session_id, "changed")]


async def test_drain_from_inside() -> None:
    """Whoever asked has the answer, and then all hear that it is over."""
    hosts: list[Host] = []

    def rcpt(_event: object) -> None:
        hosts[0].server.drain()

    async with serving(plain(rcpt=rcpt)) as host, await host.client() as other, await host.client() as client:
        hosts.append(host)
        await other.greet()
        assert (await reach(client, "rcpt")).startswith("250 2.1.5")
        assert (await client.rest()).startswith(b"421 4.3.2")
        assert (await other.rest()).startswith(b"421 4.3.2")
        await host.empty()
        assert host.server.cut == 0


async def test_tasks_from_inside() -> None:
    done = trio.Event()
    hosts: list[Host] = []

    async def work() -> None:
        await trio.lowlevel.checkpoint()
        done.set()

    async with serving(plain(mail=lambda _: hosts[0].nursery.start_soon(work))) as host, await host.client() as client:
        hosts.append(host)
        assert (await reach(client, "mail")).startswith("250")
        await done.wait()


# --- whose they are -----------------------------------------------------------------------------------------------


@METHODS
@pytest.mark.parametrize("coroutine", [False, True])
@pytest.mark.parametrize("kind", [BaseSession, Taker])
async def test_of_an_object(method: str, coroutine: bool, kind: type[BaseSession]) -> None:
    """A session may have methods that its class has not."""

    async def answer_later(_event: object) -> Reply:
        return NO

    def make(facts: Facts) -> BaseSession:
        session = kind(facts)
        setattr(session, method, answer_later if coroutine else lambda _: NO)
        return session

    async with serving(make) as host, await host.client() as client:
        assert (await reach(client, method)).endswith("Not you\r\n")


@METHODS
async def test_patched(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when there has been a session of the class."""
    kind = type("Kind", (BaseSession,), {})
    async with serving(kind) as host, await host.client() as client:
        assert (await reach(client, method)).startswith("250")
        monkeypatch.setattr(kind, method, lambda self, event: NO, raising=False)
        async with await host.client() as other:
            assert (await reach(other, method)).endswith("Not you\r\n")


class Wrapped:
    """Passes everything on."""

    def __init__(self, facts: Facts) -> None:
        self._session = Taker(facts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


async def test_of_another_object() -> None:
    async with serving(Wrapped) as host, await host.client() as client:
        assert (await reach(client, "rcpt")).startswith("250")
    assert host.sessions[0].said == ["connected", "hello", "mail", "rcpt"]
