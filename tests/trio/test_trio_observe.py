"""Real sessions, and what is told of them: everything once, and nothing that is secret."""

import contextlib
import re
import ssl
from typing import Any

import pytest
import trio
import trio.testing
from observe_play import AUTH_CONFIG, BODY_SECRET, Choosy, Recorder, observed, shown, tell_secrets
from trio_play import CONFIG, MESSAGE, Client, deliver

from smtpcore import (
    LMTP,
    Authenticated,
    AuthFailed,
    BodyBegin,
    BodyEnd,
    Cause,
    Closed,
    Connected,
    Hello,
    Limits,
    MailFrom,
    PasswordCheck,
    Peer,
    Quit,
    RcptTo,
    Refused,
    Replies,
    Reply,
    Reset,
    Secret,
    SecretWanted,
    ServerConfig,
    ServerConnection,
    StartTls,
    Timeouts,
    TokenCheck,
)
from smtpcore.extensions import STANDARD, STARTTLS
from smtpcore_trio import TlsContext
from smtpcore_trio._conversation import Conversation, ServerPump
from smtpcore_trio.observe import (
    NOBODY,
    BaseObserver,
    BodySize,
    Denied,
    Guarded,
    Observation,
    Secured,
    SessionFacts,
    Settled,
    Several,
    _read_kept,
    guarded,
    new_session_id,
)

FACTS = SessionFacts("id", Peer("192.0.2.1", 25), "mx")


async def test_a_session_is_told_wholly_and_in_order() -> None:
    recorder = Recorder()
    async with observed(recorder) as server, await server.client() as client:
        assert (await deliver(client)).startswith("250")
        assert (await client.ask("QUIT")).startswith("221")
        await client.rest()
        await server.empty()
    sessions = {each[1].session_id for each in recorder.heard}
    assert len(sessions) == 1
    assert recorder.heard[0][0] == "opened"
    assert recorder.heard[0][1].port == "mx"
    assert recorder.heard[0][1].peer.address == "127.0.0.1"
    assert recorder.heard[-1][0] == "closed"
    assert recorder.of("closed") == [Closed(Cause.QUIT)]
    kinds = [type(each) for each in recorder.of("event")]
    assert kinds == [
        Connected, Hello, MailFrom, RcptTo, BodyBegin, BodySize, BodyEnd, Settled, Quit, Closed
    ]  # fmt: skip
    (settled,) = recorder.told(Settled)
    assert settled.octets == len(MESSAGE)
    assert str(settled.envelope.reverse_path) == "a@example.org"
    assert [each.code for each in settled.verdicts] == [250]
    said = recorder.of("said")
    assert [each.code for each in said] == [220, 250, 250, 250, 354, 250, 221]
    assert said[0].text == "mx.example.org ESMTP ready"
    assert said[1].text.split("\n")[0] == "mx.example.org"
    assert "PIPELINING" in said[1].lines()
    assert str(said[2]) == "250 2.1.0 Sender ok"
    assert recorder.of("refused") == []


async def test_a_session_that_is_cut_is_closed_all_the_same() -> None:
    recorder = Recorder()
    async with contextlib.AsyncExitStack() as stack, observed(recorder) as server:
        client = await stack.enter_async_context(await server.client())
        await client.greet()
    assert recorder.heard[-1][0] == "closed"
    assert recorder.of("closed") == [None]


async def test_refusals_of_the_session() -> None:
    recorder = Recorder()
    async with observed(recorder) as server, await server.client() as client:
        await client.greet()
        await client.ask("MAIL FROM:<early@example.org>")
        assert (await client.ask("RCPT TO:<nobody@example.org>")).startswith("550")
        assert (await client.ask("RCPT TO:<b@example.org>", "DATA")).startswith("554")
        await client.ask("RSET", "MAIL FROM:<late@example.org>", "RCPT TO:<b@example.org>", "DATA")
        assert (await client.ask(MESSAGE + b".")).startswith("554")
        await client.ask("MAIL FROM:<midway@example.org>", "RCPT TO:<b@example.org>", "DATA")
        await client.send(MESSAGE)
        assert (await client.ask(".")).startswith("554")
    rejected = recorder.told(Denied)
    assert [type(each.question) for each in rejected] == [RcptTo, BodyBegin, BodyBegin]
    assert [str(each.reply) for each in rejected] == [
        "550 5.1.1 No such user here", "554 5.7.1 Not by you", "554 5.7.1 Not more of it"
    ]  # fmt: skip
    assert [each.verdicts[0].code for each in recorder.told(Settled)] == [554]
    assert len(recorder.told(Reset)) == 1


async def test_verdicts_of_lmtp() -> None:
    class Divided(Choosy):
        async def data(self, body: Any) -> Any:
            async for _octets in body:
                pass
            return [Reply(250, "Yes"), Reply(550, "No")]

    recorder = Recorder()
    async with observed(recorder, CONFIG, Divided, dialect=LMTP) as server, await server.client() as client:
        assert (await client.reply()).startswith("220")
        await client.ask("LHLO c.example", "MAIL FROM:<>", "RCPT TO:<a@example.org>", "RCPT TO:<b@example.org>", "DATA")
        await client.send(MESSAGE + b".\r\n")
        assert [(await client.reply())[:3], (await client.reply())[:3]] == ["250", "550"]
    (settled,) = recorder.told(Settled)
    assert [each.code for each in settled.verdicts] == [250, 550]


async def test_tls_shows_in_the_facts(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    recorder = Recorder()
    config = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS))
    async with observed(recorder, config, tls_context=tls_context) as server, await server.client() as client:
        await client.greet()
        await client.ask("STARTTLS")
        await client.start_tls(client_tls)
        await client.ask("EHLO c.example")
    (secured,) = recorder.told(Secured)
    assert secured.tls.version.startswith("TLS")
    assert [each[1].tls for each in recorder.heard if isinstance(each[-1], StartTls)] == [None]
    assert recorder.heard[-1][1].tls == secured.tls


async def test_failed_handshake(tls_context: TlsContext) -> None:
    recorder = Recorder()
    config = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS))
    async with observed(recorder, config, tls_context=tls_context) as server, await server.client() as client:
        await client.greet()
        await client.ask("STARTTLS")
        await client.send(b"EHLO in.the.clear\r\n")
        await client.rest()
        await server.empty()
    assert recorder.told(Secured) == []
    assert [each.cause for each in recorder.of("closed")] == [Cause.TLS_FAILED]


# --- secrets -------------------------------------------------------------------------------------


@pytest.mark.catalogue("J1")
async def test_no_secret_is_told() -> None:
    recorder = Recorder()
    async with observed(recorder) as server:
        await tell_secrets(server.client)
        await server.empty()
    assert shown(repr(recorder.heard)) == []
    assert shown("\n".join(str(each) for each in recorder.of("said"))) == []
    assert {(each.mechanism, each.username) for each in recorder.told(AuthFailed)} == {("PLAIN", "tim")}
    assert [each.mechanism for each in recorder.told(Authenticated)] == ["LOGIN", "OAUTHBEARER"]
    assert [each.text for each in recorder.of("said") if each.code == 334] == ["***", "***"]
    lines = [each.line for each in recorder.told(Refused)]
    assert b"QUIT ***" in lines
    assert b"***" in lines
    assert sum(each.octets for each in recorder.told(BodySize)) == len(f"Subject: x\r\n\r\n{BODY_SECRET}\r\n") + 5


@pytest.mark.parametrize(
    "question",
    [PasswordCheck("PLAIN", "tim", Secret("x")), TokenCheck("XOAUTH2", "tim", Secret("x")), SecretWanted("X", "tim")],
)
def test_of_auth_the_outcome_is_told_alone(question: Any) -> None:
    recorder = Recorder()
    watch = observation(recorder)
    watch.happened(question)
    watch.rejected(question, Reply(535, "No"))
    assert recorder.heard == []


def test_challenges_are_not_kept() -> None:
    recorder = Recorder()
    _read_kept.cache_clear()
    watch = observation(recorder)
    watch.sent(b"250 a\r\n334 c2VjcmV0\r\n")
    watch.sent(b"250 " + b"x" * 509 + b"\r\n")
    assert _read_kept.cache_info().currsize == 0
    watch.sent(b"250 a\r\n")
    assert _read_kept.cache_info().currsize == 1


async def test_what_is_not_hidden() -> None:
    """A refused line is shown where it can be no secret."""
    recorder = Recorder()
    async with observed(recorder) as server, await server.client() as client:
        await client.greet()
        await client.ask("FROBNICATE now", "MAIL FROM:bad")
        await client.ask("AUTH PLAIN", "*", "NOSUCH thing", "MAIL FROM:hidden")
        await client.ask("EHLO again.example", "MAIL FROM:worse", "NOSUCH thing")
    assert [each.line for each in recorder.told(Refused)] == [
        b"FROBNICATE now", b"MAIL FROM:bad", b"***", b"MAIL ***", b"MAIL FROM:worse", b"***"
    ]  # fmt: skip


# --- limits and deadlines ------------------------------------------------------------------------

LIMITS = Limits(
    command_octets=512, swallowed_octets=12800, recipients=100, message_octets=65536, discard_octets=70000, chunks=2,
    transactions=1, errors=3, junk_commands=2, unknown_before_hello=1, auth_attempts=1,
)  # fmt: skip
BEGIN = ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>")


HELLO = ("EHLO c.example",)
DATA = (*HELLO, *BEGIN, "DATA")
LONG = b"x" * 78 + b"\r\n"


async def converse(client: Client, *lines: str | bytes) -> None:
    """Say *lines*, each when the one before was answered, as long as there are answers."""
    await client.reply()
    try:
        await client.ask(*lines)
        await client.ask("QUIT")
        await client.rest()
    except (EOFError, trio.BrokenResourceError):
        pass


@pytest.mark.parametrize(
    ("limits", "lines"),
    [
        (["command_octets"], (*HELLO, b"NOOP " + b"x" * 600)),
        (["auth_octets"], (*HELLO, "AUTH PLAIN", b"x" * 12288)),
        (["auth_octets"], (*HELLO, b"AUTH PLAIN " + b"x" * 12288)),
        (["command_octets", "errors"], (*HELLO, *["NOSUCH"] * 3, b"NOOP " + b"x" * 600)),
        (["swallowed_octets"], (*HELLO, b"x" * 13000)),
        (["swallowed_octets"], (*HELLO, "AUTH PLAIN", b"x" * 13000)),
        (["recipients"], (*HELLO, BEGIN[0], *[f"RCPT TO:<{n}@example.org>" for n in range(101)])),
        (["message_octets"], (*DATA, LONG * 820 + b".")),
        (["message_octets"], (*HELLO, f"{BEGIN[0]} SIZE=65537")),
        (["message_octets"], (*HELLO, *BEGIN, b"BDAT 65537 LAST\r\n" + b"x" * 65535 + b"\r\n" + b"NOOP")),
        (["message_octets"], (*HELLO, *BEGIN, b"BDAT 1\r\nxBDAT 65536 LAST\r\n" + b"x" * 65536 + b"NOOP", "NOOP")),
        (["message_octets", "discard_octets"], (*DATA, LONG * 900 + b".")),
        (["discard_octets"], (*HELLO, *BEGIN, "BDAT 70001")),
        (["chunks"], (*HELLO, *BEGIN, *[b"BDAT 2\r\n"] * 3)),
        (["transactions"], (*DATA, MESSAGE + b".", BEGIN[0])),
        (["errors"], (*HELLO, *["NOSUCH"] * 5)),
        (["junk_commands"], (*HELLO, *["NOOP"] * 4)),
        (["unknown_before_hello"], ("NOSUCH", "NOSUCH")),
        (["auth_attempts"], (*HELLO, "AUTH PLAIN", "*", "AUTH PLAIN")),
        ([], (*HELLO, "GET / HTTP/1.1")),
        ([], (*HELLO, "AUTH PLAIN", "*")),
        ([], (*DATA, b"a\nb\r\n.")),
        ([], (*HELLO, "RSET", *BEGIN, "RSET")),
    ],
)
async def test_each_limit_is_told_once_by_its_name(limits: list[str], lines: tuple[str | bytes, ...]) -> None:
    recorder = Recorder()
    config = ServerConfig(
        hostname="mx.example.org", extensions=AUTH_CONFIG.extensions, mechanisms=AUTH_CONFIG.mechanisms,
        cleartext_auth=True, limits=LIMITS,
    )  # fmt: skip
    async with observed(recorder, config) as server:
        async with await server.client() as client:
            await converse(client, *lines)
        await server.empty()
    assert recorder.of("refused") == limits
    assert all(each[1] == recorder.heard[0][1] for each in recorder.heard if each[0] == "refused")


async def test_limit_whose_reply_closes() -> None:
    """The reply of a limit may be a 421; `Closed` names no limit then."""
    recorder = Recorder()
    config = ServerConfig(
        hostname="mx.example.org", limits=LIMITS, replies=Replies(too_long_line=Reply(421, "Too long", "4.7.0"))
    )
    async with observed(recorder, config) as server:
        async with await server.client() as client:
            await converse(client, *HELLO, b"NOOP " + b"x" * 600)
        await server.empty()
    assert recorder.of("refused") == ["command_octets"]


@pytest.mark.parametrize("deadline", ["command", "body", "tls", "session"])
async def test_each_deadline_is_told_once_by_its_name(deadline: str, tls_context: TlsContext) -> None:
    recorder = Recorder()
    timeouts: Any = {"command": 5.0, "body": 5.0, "tls": 5.0, "session": 5.0} | {deadline: 0.1}
    config = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS), timeouts=Timeouts(**timeouts))
    lines = {"body": ("EHLO c.example", *BEGIN, "DATA"), "tls": ("EHLO c.example", "STARTTLS")}
    async with observed(recorder, config, tls_context=tls_context) as server, await server.client() as client:
        await client.reply()
        await client.ask(*lines.get(deadline, ("EHLO c.example",)))
        await client.rest()
        await server.empty()
    assert recorder.of("refused") == [deadline]
    assert [each.detail for each in recorder.of("closed")] == [deadline]


async def test_peer_that_does_not_read() -> None:
    recorder = Recorder()
    config = ServerConfig(
        hostname="mx.example.org", limits=Limits(junk_commands=1_000_000), timeouts=Timeouts(write=0.2)
    )
    async with observed(recorder, config, buffer=4096) as server:
        async with await server.client() as client:
            await client.greet()
            with contextlib.suppress(trio.BrokenResourceError):
                while True:
                    await client.send(b"HELP\r\n" * 10_000)
        await server.empty()
    assert recorder.of("refused") == ["write"]


async def test_deadline_behind_the_last_event() -> None:
    """A session that has ended, and whose last reply nobody takes."""

    class Stuck:
        def __init__(self) -> None:
            self.woken = trio.Event()

        def put(self, octets: bytes) -> bool:
            return False

        async def drain(self) -> None:
            await self.woken.wait()
            raise trio.ClosedResourceError

        def wake(self) -> None:
            self.woken.set()

        def close(self, *, reset: bool = False) -> None:
            assert reset

    recorder = Recorder()
    connection = ServerConnection(CONFIG, peer=FACTS.peer)
    watch = Observation(recorder, FACTS, connection)
    transport: Any = Stuck()
    pump = ServerPump(connection, transport, observation=watch)
    with trio.fail_after(5):
        connected = await pump.next_event()
        assert isinstance(connected, Connected)
        connection.accept(connected)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump.next_event)
            await trio.testing.wait_all_tasks_blocked()
            connection.receive_data(b"QUIT\r\n", trio.current_time())
            pump.shut_down(trio.current_time())
            for _ in range(3):
                pump.tick(trio.current_time() + CONFIG.timeouts.write + 1)
    assert recorder.of("refused") == ["write"]
    assert [each.cause for each in recorder.told(Closed)] == [Cause.SHUTDOWN]


# --- observers -----------------------------------------------------------------------------------

CALLS: Any = [
    ("opened", (FACTS,)),
    ("event", (FACTS, Quit())),
    ("said", (FACTS, Reply(250, "Ok"))),
    ("closed", (FACTS, None)),
    ("refused", ("errors", FACTS.peer, FACTS)),
    ("gauge", ("connections", 3)),
    ("gauge", ("recipients", 3, FACTS)),
]


class Broken(BaseObserver):
    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return super().__getattribute__(name)

        def fail(*_: object) -> None:
            raise ZeroDivisionError(f"at {name}\r\n\x1b[31mred")

        return fail


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_nobody(method: str, arguments: Any) -> None:
    assert getattr(NOBODY, method)(*arguments) is None


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_an_exception_of_an_observer_is_one_line(method: str, arguments: Any, caplog: pytest.LogCaptureFixture) -> None:
    before, after = Recorder(), Recorder()
    several = Several(before, Broken(), after)
    for _ in range(3):
        getattr(several, method)(*arguments)
    for each in (before, after):
        assert len(each.heard) + len(each.most.get("recipients", [])) == 3
    (record,) = caplog.records
    assert record.exc_info is None
    assert record.getMessage() == (
        f"the observer Broken failed at {method}: ZeroDivisionError: at {method}\\x{{0D}}\\x{{0A}}\\x{{1B}}[31mred"
    )


def test_guarded_once() -> None:
    guard = guarded(Recorder())
    several = Several()
    assert isinstance(guard, Guarded)
    assert guarded(guard) is guard
    assert guarded(several) is several
    assert guarded(NOBODY) is NOBODY


@pytest.mark.parametrize("kind", [BaseException, KeyboardInterrupt])
def test_what_is_no_error_of_an_observer_passes(kind: type[BaseException]) -> None:
    class Interrupted(BaseObserver):
        def opened(self, session: SessionFacts) -> None:
            raise kind

    with pytest.raises(kind):
        guarded(Interrupted()).opened(FACTS)


async def test_a_broken_observer_harms_no_session(caplog: pytest.LogCaptureFixture) -> None:
    async with observed(Broken()) as server:
        for _ in range(3):
            async with await server.client() as client:
                assert (await deliver(client)).startswith("250")
                assert (await client.ask("QUIT")).startswith("221")
                await client.rest()
        await server.empty()
    assert sorted(each.getMessage().split()[5] for each in caplog.records) == [
        "closed:", "event:", "gauge:", "opened:", "said:"
    ]  # fmt: skip


async def test_nobody_observes() -> None:
    async with observed() as server, await server.client() as client:
        assert (await deliver(client)).startswith("250")
        assert [each.observation for each in server.living] == [None]
        await client.ask("RCPT TO:<early@example.org>", "MAIL FROM:<late@example.org>", "RCPT TO:<b@example.org>")
        await client.ask("DATA")
        assert (await client.ask(MESSAGE + b".")).startswith("554")


def test_session_ids() -> None:
    ids = [new_session_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert len({each.partition("-")[0] for each in ids}) == 1
    assert all(re.fullmatch("[0-9a-f]{8}-[0-9a-f]+", each) for each in ids)


def observation(recorder: Recorder) -> Observation:
    return Observation(recorder, FACTS, ServerConnection(CONFIG, peer=FACTS.peer))


@pytest.mark.parametrize(
    ("octets", "replies"),
    [
        (b"", []),
        (b"250 Ok\r\n", [Reply(250, "Ok")]),
        (b"250 2.1.0 Ok\r\n", [Reply(250, "Ok", "2.1.0")]),
        (b"250 2.1.0\r\n", [Reply(250, "", "2.1.0")]),
        (b"250-5.1.1 odd\r\n250 \r\n", [Reply(250, "5.1.1 odd\n")]),
        (b"550-5.1.1 a\r\n550 5.1.1 b\r\n250 c\r\n", [Reply(550, "a\nb", "5.1.1"), Reply(250, "c")]),
        (b"334 c2VjcmV0\r\n", [Reply(334, "***")]),
        ("252 ä\u202e\r\n".encode(), [Reply(252, "ä\\x{202E}")]),
    ],
)
def test_replies_as_they_leave(octets: bytes, replies: list[Reply]) -> None:
    recorder = Recorder()
    observation(recorder).sent(octets)
    assert recorder.of("said") == replies


def test_what_comes_in_is_told_as_events_alone() -> None:
    recorder = Recorder()
    observation(recorder).received(b"octets")
    assert recorder.heard == []


async def test_what_a_session_fails_at_is_logged_with_its_id(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Choosy):
        async def mail(self, event: MailFrom) -> Reply | None:
            raise ZeroDivisionError

        async def reset(self) -> None:
            raise ZeroDivisionError

    recorder = Recorder()
    async with observed(recorder, CONFIG, Failing) as server, await server.client() as client:
        await client.greet()
        assert (await client.ask("MAIL FROM:<a@example.org>")).startswith("451")
    (record,) = caplog.records
    assert recorder.heard[0][1].session_id in record.getMessage()
    assert [each.reply.code for each in recorder.told(Denied)] == [451]


async def test_a_no_that_nobody_waits_for_is_not_told() -> None:
    """The connection was closed while the application thought about it."""
    recorder = Recorder()
    connection = ServerConnection(CONFIG, peer=FACTS.peer)
    watch = Observation(recorder, FACTS, connection)
    nothing: Any = None
    pump = ServerPump(connection, nothing, observation=watch)
    talk = Conversation(pump, Choosy(nothing), refusal=None, starttls=lambda: False, auth_delay=0, observation=watch)
    connected = connection.next_event()
    assert isinstance(connected, Connected)
    connection._close(Cause.SHUTDOWN)
    talk.reject(connected, Reply(421, "Go away"))
    assert recorder.heard == []
