"""What a client and a pool tell of their work: everything once, and nothing that is secret."""

import socket
import ssl
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from client_play import MESSAGE, NAME, REPLIES, between, envelope, fates, obliging, talking
from observe_play import AUTH_CONFIG, PASSWORD, Choosy, base64, shown
from trio_play import Host, serving, until

from smtpcore import (
    AuthDone,
    Cause,
    ClientConfig,
    ClientTimeouts,
    Closed,
    Envelope,
    Fate,
    Greeting,
    HelloDone,
    LocalProtocolError,
    Secret,
    TransactionDone,
)
from smtpcore.extensions import STARTTLS
from smtpcore.sasl import PlainClient
from smtpcore_trio import (
    BaseClientObserver,
    ClientError,
    ClientFacts,
    Destination,
    Disconnected,
    NotOffered,
    Pool,
    PoolFull,
    PoolLimits,
    Rejected,
    Sent,
    SeveralClient,
    TlsContext,
    TlsMode,
    connect,
    converse,
)
from smtpcore_trio.observe_client import REASONS, guarded_client, reason_of

FACTS = ClientFacts("id", NAME, 25)


class Recorder:
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def hear(*arguments: Any) -> None:
            self.heard.append((name, *arguments))

        return hear

    def of(self, kind: str) -> list[Any]:
        """What was told by one method, without the session where that is first."""
        return [each[1] if each[0] in ("refused", "gauge") else each[2] for each in self.heard if each[0] == kind]

    def calls(self) -> list[str]:
        """The methods in their order, without the many."""
        return [each[0] for each in self.heard if each[0] not in ("event", "gauge")]

    def gauges(self, limit: str) -> list[int]:
        return [each[2] for each in self.heard if each[:2] == ("gauge", limit)]


def to(host: Host, **options: Any) -> Destination:
    return Destination("127.0.0.1", host.listener.socket.getsockname()[1], **{"tls": TlsMode.NONE, **options})


async def test_a_connection_is_told_wholly_and_in_order() -> None:
    recorder = Recorder()
    async with serving() as host:
        destination = to(host)
        async with await connect(destination.host, destination.port, tls=TlsMode.NONE, observer=recorder) as client:
            assert fates(await client.send(envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]
    assert recorder.calls() == ["opened", "sent", "closed"]
    facts = recorder.heard[0][1]
    assert (facts.host, facts.port, facts.tls) == ("127.0.0.1", destination.port, None)
    assert {each[1] for each in recorder.heard} == {facts}
    kinds = [type(each) for each in recorder.of("event")]
    assert kinds[:2] == [Greeting, HelloDone]
    assert kinds[-1] is Closed
    assert kinds.count(TransactionDone) == 1
    (sent,) = recorder.of("sent")
    assert (sent.octets, sent.whole, fates(sent.outcomes)) == (len(MESSAGE), True, ["ACCEPTED", "ACCEPTED"])
    assert sent.envelope == envelope()
    assert sent.seconds > 0
    assert recorder.of("closed") == [Closed(Cause.QUIT, reply=recorder.of("closed")[0].reply)]


async def test_messages_of_every_form() -> None:
    recorder = Recorder()

    async def pieces() -> Any:
        yield MESSAGE
        yield MESSAGE

    async with serving(Choosy) as host, Pool(observer=recorder) as pool:
        for message in (MESSAGE, pieces()):
            await pool.send(to(host), envelope("nobody@example.org", "b@example.org"), message)
    assert [each.octets for each in recorder.of("sent")] == [len(MESSAGE), 2 * len(MESSAGE)]
    assert [fates(each.outcomes) for each in recorder.of("sent")] == [["REFUSED", "ACCEPTED"]] * 2


async def test_tls_shows_in_the_facts(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    for implicit in (False, True):
        recorder = Recorder()
        config = attrs.evolve(AUTH_CONFIG) if implicit else with_tls()
        options: Any = {"tls": TlsMode.IMPLICIT if implicit else TlsMode.REQUIRED, "context": client_tls}
        async with serving(config=config, tls_context=tls_context, implicit_tls=implicit) as host:
            destination = to(host)
            async with await connect("127.0.0.1", destination.port, observer=recorder, **options):
                pass
        (opened,) = [each[1] for each in recorder.heard if each[0] == "opened"]
        assert opened.tls.version.startswith("TLS")
        assert (recorder.heard[0][1].tls is None) is not implicit
        assert {each[1].session_id for each in recorder.heard} == {opened.session_id}


def with_tls() -> Any:
    return attrs.evolve(AUTH_CONFIG, extensions=(*AUTH_CONFIG.extensions, STARTTLS))


# --- no connection ---------------------------------------------------------------------------------


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.getsockname()[1]
    recorder = Recorder()
    with pytest.raises(OSError, match="all attempts"):
        await connect("127.0.0.1", number, observer=recorder)
    assert recorder.calls() == ["failed"]
    assert recorder.of("failed") == ["network"]


@pytest.mark.parametrize(
    ("replies", "options", "raises", "reason"),
    [
        ({b"": b"554 go away\r\n"}, {}, Rejected, "rejected"),
        ({b"": b"421 later\r\n"}, {}, ClientError, "rejected"),
        ({b"EHLO": b"550 no\r\n", b"HELO": b"550 no\r\n"}, {}, Rejected, "rejected"),
        ({b"": b"no reply\r\n"}, {}, Disconnected, "lost"),
        ({}, {"tls": TlsMode.REQUIRED}, NotOffered, "not_offered"),
        ({}, {"tls": TlsMode.IMPLICIT}, Disconnected, "tls_failed"),
    ],
)
async def test_server_that_will_not(replies: Any, options: Any, raises: type[Exception], reason: str) -> None:
    recorder = Recorder()
    async with between(obliging(replies)) as (here, _script):
        with pytest.raises(raises):
            await converse(here, NAME, observer=recorder, **{"tls": TlsMode.NONE, **options})
    assert recorder.calls() == ["failed"]
    assert recorder.of("failed") == [reason]


@pytest.mark.parametrize(("tls", "deadline"), [(TlsMode.NONE, "greeting"), (TlsMode.IMPLICIT, "tls")])
async def test_server_that_says_nothing(tls: TlsMode, deadline: str, autojump_clock: trio.testing.MockClock) -> None:
    recorder = Recorder()

    async def serve(_script: Any) -> None:
        await trio.sleep_forever()

    async with between(serve) as (here, _script):
        with pytest.raises(Disconnected):
            await converse(here, NAME, observer=recorder, tls=tls)
    assert recorder.calls() == ["refused", "failed"]
    assert recorder.of("refused") == [deadline]
    assert recorder.of("failed") == ["timed_out"]


async def test_no_connection_in_time(monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock) -> None:
    async def open_tcp_stream(*_: object, **__: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
    recorder = Recorder()
    with pytest.raises(TimeoutError):
        await connect(NAME, 25, observer=recorder)
    assert recorder.heard[0][:3] == ("refused", "connect_seconds", recorder.heard[1][1])
    assert recorder.of("failed") == ["timed_out"]


async def test_cancelled_while_connecting() -> None:
    recorder = Recorder()

    async def serve(_script: Any) -> None:
        await trio.sleep_forever()

    async with between(serve) as (here, _script):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: converse(here, NAME, tls=TlsMode.NONE, observer=recorder))
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
    assert recorder.of("failed") == ["cancelled"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(1, "x"), "name"),
        (ssl.SSLError(1, "x"), "network"),
        (ValueError("x"), "error"),
        (Disconnected(Closed(Cause.EOF)), "lost"),
        (Disconnected(Closed(Cause.TLS_FAILED)), "tls_failed"),
    ],
)
def test_reasons(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason
    assert reason in REASONS


# --- deadlines and limits --------------------------------------------------------------------------


async def test_deadline_of_a_message(autojump_clock: trio.testing.MockClock) -> None:
    async def serve(script: Any) -> None:
        for reply in (b"220 ready\r\n", REPLIES[b"EHLO"], b"250 ok\r\n"):
            await script.say(reply)
            await script.line()
        await trio.sleep_forever()

    recorder = Recorder()
    config = ClientConfig(timeouts=ClientTimeouts(rcpt=7.0))
    async with talking(serve, observer=recorder, config=config) as (client, _script):
        await client.send(envelope("b@example.org"), MESSAGE)
    assert recorder.calls() == ["opened", "refused", "closed", "sent"]
    assert recorder.of("refused") == ["rcpt"]
    (sent,) = recorder.of("sent")
    assert (fates(sent.outcomes), sent.octets, sent.whole) == (["UNSENT"], 0, True)
    assert 7.0 <= sent.seconds < 20.0


async def test_limits_of_a_pool() -> None:
    recorder = Recorder()
    gate = trio.Event()

    class Slow(Choosy):
        async def data(self, body: Any) -> Any:
            await gate.wait()
            return await super().data(body)

    limits = PoolLimits(per_host=2, total=3, waiters=2)
    async with serving(Slow) as one, serving(Slow) as two, Pool(limits, observer=recorder) as pool:

        async def send(host: Host) -> None:
            await pool.send(to(host), envelope("b@example.org"), MESSAGE)

        async with trio.open_nursery() as nursery:
            refusals: list[str] = []
            for host, refused in ((one, []), (one, []), (one, ["per_host"]), (two, []), (two, ["total"])):
                nursery.start_soon(send, host)
                await until(lambda: pool.connections + pool.waiting == len(nursery.child_tasks))
                refusals += refused
                assert recorder.of("refused") == refusals
            with pytest.raises(PoolFull):
                await send(one)
            assert recorder.of("refused") == [*refusals, "per_host", "waiters"]
            assert recorder.gauges("waiters") == [1, 2]
            assert recorder.gauges("total") == [1, 2, 3]
            assert recorder.gauges("per_host") == [1, 2, 2]
            gate.set()
    assert recorder.gauges("waiters")[-1] == recorder.gauges("total")[-1] == recorder.gauges("per_host")[-1] == 0


async def test_gauges_of_a_pool() -> None:
    recorder = Recorder()
    async with serving() as one, serving() as two, Pool(PoolLimits(total=1), observer=recorder) as pool:
        for host in (one, one, two):
            await pool.send(to(host), envelope("b@example.org"), MESSAGE)
    assert recorder.gauges("total") == [1, 0]
    assert recorder.gauges("per_host") == [1, 0, 1, 0]
    assert [name for name in recorder.calls() if name != "sent"] == ["opened", "reused", "closed", "opened", "closed"]
    assert recorder.of("refused") == []


async def test_message_that_cannot_be_read() -> None:
    async def pieces() -> Any:
        yield b"Subject: x\r\n"
        raise ZeroDivisionError

    recorder = Recorder()
    async with talking(obliging(), observer=recorder) as (client, _script):
        with pytest.raises(ZeroDivisionError):
            await client.send(envelope(), pieces())
    (sent,) = recorder.of("sent")
    assert (sent.octets, sent.whole) == (12, False)
    assert {each.fate for each in sent.outcomes} == {Fate.UNSENT}


async def test_message_that_is_none_is_not_sent() -> None:
    recorder = Recorder()
    async with talking(obliging(), observer=recorder) as (client, _script):
        await client.send(envelope(), MESSAGE)
        with pytest.raises(LocalProtocolError):
            await client.send(Envelope.parse("a@example.org", []), MESSAGE)
    assert len(recorder.of("sent")) == 1


# --- secrets, and observers ------------------------------------------------------------------------


@pytest.mark.parametrize(("password", "positive"), [(PASSWORD, True), ("wrong", False)])
async def test_of_auth_the_outcome_is_told_alone(password: str, positive: bool) -> None:
    recorder = Recorder()
    mechanisms = (PlainClient("tim", Secret(password)),)
    config = ClientConfig(cleartext_auth=True)
    async with serving(Choosy, AUTH_CONFIG, auth_delay=0) as host, Pool(observer=recorder) as pool:
        destination = to(host, mechanisms=mechanisms, config=config)
        if positive:
            await pool.send(destination, envelope("b@example.org"), MESSAGE)
        else:
            with pytest.raises(Rejected):
                await pool.send(destination, envelope("b@example.org"), MESSAGE)
    (done,) = [each for each in recorder.of("event") if isinstance(each, AuthDone)]
    assert (done.mechanism, done.reply.positive) == ("PLAIN", positive)
    assert recorder.calls() == ["opened", *["sent"] * positive, "closed"]
    text = repr(recorder.heard)
    assert shown(text) == []
    assert base64(f"\0tim\0{password}") not in text
    assert MESSAGE.decode().strip() not in text


CALLS: Any = [
    ("opened", (FACTS,)),
    ("failed", (FACTS, "error", ValueError())),
    ("event", (FACTS, Closed(Cause.EOF))),
    ("reused", (FACTS,)),
    ("sent", (FACTS, Sent(envelope(), 1, 1.0, ()))),
    ("closed", (FACTS, Closed(Cause.EOF))),
    ("refused", ("total",)),
    ("gauge", ("total", 1)),
]


class Broken(BaseClientObserver):
    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return super().__getattribute__(name)

        def fail(*_: object) -> None:
            raise ZeroDivisionError(f"at {name}\r\nforged")

        return fail


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_an_exception_of_an_observer_is_one_line(method: str, arguments: Any, caplog: pytest.LogCaptureFixture) -> None:
    before, after = Recorder(), Recorder()
    several = SeveralClient(before, Broken(), after)
    for _ in range(3):
        getattr(several, method)(*arguments)
        assert getattr(BaseClientObserver(), method)(*arguments) is None
    assert len(before.heard) == len(after.heard) == 3
    (record,) = caplog.records
    assert record.getMessage() == (
        f"the observer Broken failed at {method}: ZeroDivisionError: at {method}\\x{{0D}}\\x{{0A}}forged"
    )


def test_guarded_once() -> None:
    several = SeveralClient()
    assert guarded_client(several) is several
    assert guarded_client(None) is None
    assert isinstance(guarded_client(Recorder()), SeveralClient)


async def test_a_broken_observer_harms_no_message(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as host, Pool(observer=Broken()) as pool:
        for _ in range(2):
            assert fates(await pool.send(to(host), envelope("b@example.org"), MESSAGE)) == ["ACCEPTED"]
    told = {each.getMessage().split()[5] for each in caplog.records}
    assert {"opened:", "event:", "sent:", "reused:", "gauge:"} <= told


async def test_nobody_observes() -> None:
    async with serving() as host, Pool() as pool:
        await pool.send(to(host), envelope("b@example.org"), MESSAGE)
        await pool.send(to(host), envelope("b@example.org"), MESSAGE)
        assert pool._observer is None


# --- Unix sockets ----------------------------------------------------------------------------------


def test_destinations_by_a_path() -> None:
    one = Destination("/run/Lmtp.", tls=TlsMode.NONE)
    assert (one.unix, one.site) == (True, ("/run/Lmtp.", 0))
    assert not Destination("run.example").unix
    with pytest.raises(ValueError, match="source address"):
        Destination("/run/lmtp", source_address="127.0.0.1")


async def test_path_that_is_none(tmp_path: Path) -> None:
    recorder = Recorder()
    async with Pool(observer=recorder) as pool:
        with pytest.raises(FileNotFoundError):
            await pool.send(Destination(str(tmp_path / "none")), envelope(), MESSAGE)
    assert recorder.of("failed") == ["network"]
