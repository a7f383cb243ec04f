"""The pool, against our server and against servers that go away at every point."""

import contextlib
import io
import socket
import ssl
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import attrs
import pytest
import trio
import trio.testing
from client_play import MESSAGE, REPLIES, Script, Serve, envelope, fates, obliging
from trio_play import Taker, serving, until

from smtpcore import (
    STANDARD,
    LocalProtocolError,
    PasswordCheck,
    Secret,
    SecretWanted,
    ServerConfig,
    StoredKey,
    TokenCheck,
)
from smtpcore.extensions import AUTH, STARTTLS
from smtpcore.sasl import PLAIN, PlainClient
from smtpcore_trio import (
    Destination,
    Pool,
    PoolFull,
    PoolLimits,
    Rejected,
    SMTPClient,
    TlsContext,
    TlsMode,
)
from smtpcore_trio.pool import PROBE_SECONDS

RESET = b"\1\0\0\0\0\0\0\0"


@attrs.define
class Site:
    """A server that does what a test wants, and the connections it had."""

    port: int
    scripts: list[Script] = attrs.field(factory=list)
    live: int = 0
    most: int = 0

    def to(self, **options: Any) -> Destination:
        return Destination("127.0.0.1", self.port, **{"tls": TlsMode.NONE, **options})

    @property
    def messages(self) -> list[int]:
        """How many came over each connection."""
        return [len(each.messages) for each in self.scripts]

    def heard(self, number: int = 0) -> list[bytes]:
        """The verbs."""
        return [line.partition(b" ")[0].partition(b":")[0] for line in self.scripts[number].heard]


@asynccontextmanager
async def site(*serves: Serve) -> AsyncIterator[Site]:
    """The first connection is served by the first of *serves*, and so on; the last serves all others."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    made = Site(listeners[0].socket.getsockname()[1])

    async def handle(stream: trio.SocketStream) -> None:
        script = Script(stream)
        made.scripts.append(script)
        made.live += 1
        made.most = max(made.most, made.live)
        try:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await serves[min(len(made.scripts), len(serves)) - 1](script)
        finally:
            made.live -= 1

    jumps = isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
    with trio.fail_after(10_000 if jumps else 20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, handle, listeners)
            yield made
            nursery.cancel_scope.cancel()


def patient(gate: trio.Event, replies: dict[bytes, bytes] | None = None) -> Serve:
    """Says no verdict before *gate* is open."""

    async def serve(script: Script) -> None:
        say = script.say

        async def wait_and_say(octets: bytes) -> None:
            if octets == REPLIES[b"."]:
                await gate.wait()
            await say(octets)

        cast(Any, script).say = wait_and_say
        await obliging(replies or {})(script)

    return serve


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked(0.02)


# --- connections are kept --------------------------------------------------------------------------------


async def test_connection_is_kept() -> None:
    async with serving() as host, Pool() as pool:
        destination = Destination("127.0.0.1", host.listener.socket.getsockname()[1])
        for _ in range(3):
            assert fates(await pool.send(destination, envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]
            assert (pool.connections, pool.idle, pool.waiting) == (1, 1, 0)
    assert [session.messages for session in host.sessions] == [[MESSAGE] * 3]
    assert pool.connections == pool.idle == 0


async def test_end_is_polite() -> None:
    async with site(obliging()) as server:
        async with Pool() as pool:
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(pool.send, server.to(), envelope(), MESSAGE)
            assert pool.idle == 3
        assert [server.heard(number)[-1] for number in range(3)] == [b"QUIT"] * 3
        await until(lambda: not server.live)


async def test_refused_message_does_not_cost_the_connection() -> None:
    async with site(obliging({b"RCPT": b"550 no\r\n"})) as server, Pool() as pool:
        for _ in range(3):
            assert fates(await pool.send(server.to(), envelope(), MESSAGE)) == ["REFUSED", "REFUSED"]
        assert len(server.scripts) == 1


async def test_equal_destinations_share() -> None:
    async with site(obliging()) as server, Pool() as pool:
        for _ in range(2):
            secret = PlainClient("tim", Secret("x"))
            assert server.to(hello="a.example") == server.to(hello="a.example")
            await pool.send(server.to(hello="a.example"), envelope(), MESSAGE)
            assert Destination("a", mechanisms=[secret]) == Destination(
                "a", mechanisms=[PlainClient("tim", Secret("x"))]
            )
        assert len(server.scripts) == 1


class Gate(Taker):
    async def authenticate(self, check: PasswordCheck | SecretWanted | TokenCheck) -> StoredKey | bool:
        return isinstance(check, PasswordCheck) and check.password == Secret("right")


SECURE = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS, AUTH), mechanisms=(PLAIN,))


async def test_nothing_is_shared_across_security(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    """Other credentials, another context, mode, name or pin: another connection."""
    async with serving(Gate, SECURE, tls_context=tls_context) as host, Pool() as pool:
        port = host.listener.socket.getsockname()[1]
        other = ssl.create_default_context()
        other.check_hostname = False
        other.verify_mode = ssl.CERT_NONE
        digest = next(iter(tls_context.bindings.values()))
        secure: Any = partial(Destination, "127.0.0.1", port, tls=TlsMode.REQUIRED)
        destinations = [
            Destination("127.0.0.1", port, tls=TlsMode.NONE),
            Destination("127.0.0.1", port),
            secure(context=client_tls),
            secure(context=other),
            secure(context=client_tls, server_name="mx.example.org"),
            secure(context=client_tls, pinned=[digest]),
            secure(pinned=[digest]),
            secure(context=client_tls, mechanisms=[PlainClient("tim", Secret("right"))]),
            secure(context=client_tls, mechanisms=[PlainClient("tom", Secret("right"))]),
            secure(context=client_tls, mechanisms=[PlainClient("tim", Secret("right"), "tom")]),
        ]
        pool.limits = PoolLimits(per_host=100, total=100)
        for count, destination in enumerate(destinations, 1):
            for _ in range(2):
                assert fates(await pool.send(destination, envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]
            assert len(host.sessions) == count
        assert [len(session.messages) for session in host.sessions] == [2] * len(destinations)
        said = [session.facts.identity for session in host.sessions]
        assert [each is not None for each in said] == [False] * 7 + [True] * 3


async def test_wrong_password(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    async with serving(Gate, SECURE, tls_context=tls_context, auth_delay=0) as host, Pool() as pool:
        destination = Destination(
            "127.0.0.1",
            host.listener.socket.getsockname()[1],
            tls=TlsMode.REQUIRED,
            context=client_tls,
            mechanisms=[PlainClient("tim", Secret("wrong"))],
        )
        with pytest.raises(Rejected, match="535"):
            await pool.send(destination, envelope(), MESSAGE)
        assert pool.connections == 0
        await host.empty()


# --- limits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(PoolLimits)])
def test_limits_are_above_0(name: str) -> None:
    lowest = 0 if name == "waiters" else 1
    assert getattr(PoolLimits(**{name: lowest}), name) == lowest
    with pytest.raises(ValueError, match="above 0"):
        PoolLimits(**{name: lowest - 1})


def test_pins_of_a_destination() -> None:
    with pytest.raises(ValueError, match="wants TLS"):
        Destination("a", pinned=[bytes(32)])


async def test_connections_to_a_host() -> None:
    gate = trio.Event()
    async with site(patient(gate)) as server, Pool(PoolLimits(per_host=2)) as pool:
        done: list[int] = []

        async def send(number: int) -> None:
            await pool.send(server.to(hello=f"a{number % 2}.example"), envelope(), MESSAGE)
            done.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(2):
                nursery.start_soon(send, number)
            await settle()
            assert (pool.connections, pool.waiting, server.live) == (2, 0, 2)
            nursery.start_soon(send, 2)
            await settle()
            assert (pool.connections, pool.waiting, server.live) == (2, 1, 2)
            gate.set()
        assert server.most == 2
        assert sorted(done) == [0, 1, 2]


async def test_connections_in_total() -> None:
    gate = trio.Event()
    async with site(patient(gate)) as one, site(patient(gate)) as other, Pool(PoolLimits(total=2)) as pool:
        async with trio.open_nursery() as nursery:
            for server in (one, other):
                nursery.start_soon(pool.send, server.to(), envelope(), MESSAGE)
            await settle()
            assert (pool.connections, pool.waiting) == (2, 0)
            nursery.start_soon(pool.send, one.to(hello="b.example"), envelope(), MESSAGE)
            await settle()
            assert (pool.connections, pool.waiting) == (2, 1)
            assert one.live + other.live == 2
            gate.set()
        assert sum(one.messages) == 2
        assert pool.connections <= 2


@pytest.mark.parametrize("total", [1, 5])
async def test_idle_connection_makes_room(total: int) -> None:
    """Of the same host where that is full, else the one that is idle longest; and it is gone before."""
    limits = PoolLimits(per_host=1, total=total)
    async with site(obliging()) as one, site(obliging()) as other, Pool(limits) as pool:
        await pool.send(one.to(hello="a.example"), envelope(), MESSAGE)
        await pool.send(one.to(hello="b.example"), envelope(), MESSAGE)
        assert one.heard()[-1] == b"QUIT"
        assert (one.most, pool.idle) == (1, 1)
        await pool.send(other.to(), envelope(), MESSAGE)
        assert pool.connections == pool.idle == min(total, 2)
        assert (b"QUIT" in one.heard(1)) is (total == 1)
        await pool.send(one.to(hello="b.example"), envelope(), MESSAGE)
        assert len(one.scripts) == (3 if total == 1 else 2)


async def test_messages_over_a_connection() -> None:
    async with site(obliging()) as server, Pool(PoolLimits(messages=2, per_host=1)) as pool:
        for _ in range(5):
            assert fates(await pool.send(server.to(), envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]
        assert server.messages == [2, 2, 1]
        assert server.most == 1
        assert server.heard()[-1] == b"QUIT"


@pytest.mark.parametrize("waiters", [0, 1])
async def test_waiters(waiters: int) -> None:
    gate = trio.Event()
    async with site(patient(gate)) as server, Pool(PoolLimits(per_host=1, waiters=waiters)) as pool:
        async with trio.open_nursery() as nursery:
            for _ in range(1 + waiters):
                nursery.start_soon(pool.send, server.to(), envelope(), MESSAGE)
            await settle()
            assert pool.waiting == waiters
            with pytest.raises(PoolFull):
                await pool.send(server.to(), envelope(), MESSAGE)
            gate.set()
        assert sum(server.messages) == 1 + waiters


async def test_too_many_wait_for_another_host() -> None:
    gate = trio.Event()
    async with site(patient(gate)) as server, Pool(PoolLimits(total=1, waiters=0)) as pool:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.send, server.to(), envelope(), MESSAGE)
            await settle()
            with pytest.raises(PoolFull):
                await pool.send(Destination("127.0.0.2"), envelope(), MESSAGE)
            gate.set()
        assert len(pool._homes) == 1


# --- turns -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("connections", [1, 3])
async def test_who_waits_longest_is_next(connections: int) -> None:
    async with site(obliging()) as server, Pool(PoolLimits(per_host=connections)) as pool:
        begun: list[int] = []

        async def send(number: int) -> None:
            class Body(AsyncIterator[bytes]):
                def __init__(self) -> None:
                    self.pieces = [MESSAGE]

                async def __anext__(self) -> bytes:
                    if not self.pieces:
                        raise StopAsyncIteration
                    begun.append(number)
                    return self.pieces.pop()

            await pool.send(server.to(hello=f"a{number % 3}.example"), envelope(), Body())

        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(send, number)
                await trio.testing.wait_all_tasks_blocked()
        if connections == 1:
            assert begun == list(range(12))
        assert sorted(begun) == list(range(12))
        assert server.most == connections


async def test_turns_across_hosts() -> None:
    """Where the total is what is short, a busy host does not keep another one's sender waiting."""
    async with site(obliging()) as one, site(obliging()) as other, Pool(PoolLimits(total=1)) as pool:
        done: list[str] = []

        async def send(name: str, server: Site) -> None:
            await pool.send(server.to(), envelope(), MESSAGE)
            done.append(name)

        async with trio.open_nursery() as nursery:
            for name, server in [("1", one), ("2", one), ("3", other), ("4", one), ("5", other)]:
                nursery.start_soon(send, name, server)
                await trio.testing.wait_all_tasks_blocked()
        assert done == ["1", "2", "3", "4", "5"]
        assert (one.most, other.most) == (1, 1)


async def test_hosts_do_not_block_each_other() -> None:
    """Though the senders to the one that does not answer wait longer."""
    gate = trio.Event()
    async with site(patient(gate)) as slow, site(obliging()) as fast, Pool(PoolLimits(per_host=2)) as pool:
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(pool.send, slow.to(), envelope(), MESSAGE)
            await settle()
            assert pool.waiting == 4
            async with trio.open_nursery() as quick:
                for _ in range(10):
                    quick.start_soon(pool.send, fast.to(), envelope(), MESSAGE)
            assert sum(fast.messages) == 10
            assert sum(slow.messages) == 2
            gate.set()
        assert sum(slow.messages) == 6


# --- time ------------------------------------------------------------------------------------------------


async def test_idle_connection_expires(autojump_clock: trio.testing.MockClock) -> None:
    async with site(obliging()) as server, Pool(PoolLimits(idle=30)) as pool:
        await pool.send(server.to(), envelope(), MESSAGE)
        await trio.sleep(29)
        await pool.send(server.to(), envelope(), MESSAGE)
        await trio.sleep(29)
        assert (pool.connections, len(server.scripts)) == (1, 1)
        await trio.sleep(1.5)
        assert (pool.connections, server.live) == (0, 0)
        assert server.heard()[-1] == b"QUIT"
        await pool.send(server.to(), envelope(), MESSAGE)
        assert server.messages == [2, 1]
        await trio.sleep(10)
        await pool.send(server.to(hello="b.example"), envelope(), MESSAGE)
        await trio.sleep(25)  # one of two
        assert pool.idle == 1
        await trio.sleep(10)
        assert pool.connections == 0


async def test_old_connection_expires(autojump_clock: trio.testing.MockClock) -> None:
    async with site(obliging()) as server, Pool(PoolLimits(idle=30, age=100)) as pool:
        for _ in range(5):
            await pool.send(server.to(), envelope(), MESSAGE)
            await trio.sleep(24)
        assert server.messages == [5]
        await trio.sleep(6)
        assert pool.connections == 0
        await pool.send(server.to(), envelope(), MESSAGE)
        assert server.messages == [5, 1]


async def test_grows_old_at_work(autojump_clock: trio.testing.MockClock) -> None:
    gate = trio.Event()
    async with site(patient(gate)) as server, Pool(PoolLimits(age=40)) as pool, trio.open_nursery() as nursery:
        nursery.start_soon(pool.send, server.to(), envelope(), MESSAGE)
        await trio.sleep(41)
        gate.set()
        await trio.sleep(1)
        assert pool.connections == 0
        assert server.heard()[-1] == b"QUIT"


async def test_expired_connection_is_not_used(autojump_clock: trio.testing.MockClock) -> None:
    """Though the one who lets it go has not run yet."""
    async with site(obliging()) as server, Pool(PoolLimits(idle=30, per_host=1)) as pool:
        await pool.send(server.to(), envelope(), MESSAGE)
        (home,) = pool._homes.values()
        home.idle[0].expires = trio.current_time()
        await pool.send(server.to(), envelope(), MESSAGE)
        assert server.messages == [1, 1]
        assert (server.heard()[-1], server.most) == (b"QUIT", 1)


async def test_server_that_does_not_answer_quit(autojump_clock: trio.testing.MockClock) -> None:
    async with site(obliging(until=7, last=b"")) as server:
        async with Pool() as pool:
            await pool.send(server.to(), envelope(), MESSAGE)
        assert trio.current_time() < 7
        assert pool.connections == 0


# --- connections that died -------------------------------------------------------------------------------


async def leave(script: Script, how: str) -> None:
    """In which ways a server goes."""
    if how == "421":
        await script.say(b"421 4.4.2 idle for too long\r\n")
    elif how == "RST":
        assert isinstance(script.stream, trio.SocketStream)
        script.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    elif how == "unasked":
        await script.say(b"250 hello?\r\n")
    await script.stream.aclose()


def serves(messages: int, how: str, gone: trio.Event) -> Serve:
    """As many messages; and then it goes, as *how* says."""

    async def serve(script: Script) -> None:
        await obliging(until=2 + 5 * messages - 1, last=REPLIES[b"."])(script)
        await leave(script, how)
        gone.set()

    return serve


@pytest.mark.parametrize("how", ["FIN", "421", "RST", "unasked"])
async def test_died_while_idle(how: str) -> None:
    gone = trio.Event()
    async with site(serves(1, how, gone), obliging()) as server, Pool() as pool:
        assert fates(await pool.send(server.to(), envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]
        await gone.wait()
        assert fates(await pool.send(server.to(), envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]
        assert server.messages == [1, 1]
        assert b"MAIL" not in server.heard()[server.heard().index(b"DATA") :]
        assert (pool.connections, pool.idle) == (1, 1)


async def test_all_died_while_idle() -> None:
    """As when the server was restarted: nobody tries the others first."""
    gone = trio.Event()
    async with site(*[serves(1, "FIN", gone)] * 3, obliging()) as server, Pool() as pool:
        for count in (3, 3):
            async with trio.open_nursery() as nursery:
                for _ in range(count):
                    nursery.start_soon(pool.send, server.to(), envelope(), MESSAGE)
            await settle()
        assert server.messages == [1] * 6


# EHLO was answered, and a message; then MAIL, RCPT, RCPT, DATA and the dot are answered by `point` replies.
POINTS = range(5)


@pytest.mark.parametrize("kind", ["bytes", "file", "pipe", "iterator", "iterable"])
@pytest.mark.parametrize("last", [b"", b"421 4.3.2 bye\r\n"])
@pytest.mark.parametrize("point", POINTS)
async def test_dies_at_work(point: int, last: bytes, kind: str) -> None:
    """Sent again where that is certain to be no second time, and the message is there again."""
    async with site(obliging(until=7 + point, last=last), obliging()) as server, Pool() as pool:
        await pool.send(server.to(), envelope(), MESSAGE)
        outcomes = await pool.send(server.to(), envelope(), body(kind))
        if point < 4:
            assert fates(outcomes) == ["ACCEPTED", "ACCEPTED"]
            assert server.messages == [1, 1]
            assert server.scripts[1].messages == [b"Subject: x\r\n\r\n..body\r\n"]
        else:
            # The dot was answered by nothing or by 421: whatever that is, it is said as it is.
            assert fates(outcomes) == ["REFUSED" if last else "UNKNOWN"] * 2
            assert len(server.scripts) == 1
        assert pool.connections == pool.idle == (point < 4)


class Pieces(AsyncIterator[bytes]):
    def __init__(self, octets: bytes) -> None:
        self.pieces = [octets]

    async def __anext__(self) -> bytes:
        if not self.pieces:
            raise StopAsyncIteration
        return self.pieces.pop(0)


class Again(AsyncIterable[bytes]):
    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    def __aiter__(self) -> AsyncIterator[bytes]:
        return Pieces(self.octets)


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


def body(kind: str, octets: bytes = MESSAGE) -> Any:
    if kind == "file":
        file = io.BytesIO(b"before" + octets)
        file.seek(6)
        return file
    return {"bytes": bytes, "pipe": Pipe, "iterator": Pieces, "iterable": Again}[kind](octets)


@pytest.mark.parametrize(
    ("kind", "again"), [("bytes", True), ("file", True), ("pipe", False), ("iterator", False), ("iterable", True)]
)
async def test_dies_in_the_message(kind: str, again: bool) -> None:
    """What was begun, and cannot begin anew, is not sent again."""

    async def serve(script: Script) -> None:
        await obliging(until=10, last=b"354 go\r\n")(script)
        await script.stream.receive_some(1000)

    big = (b"x" * 998 + b"\r\n") * 5000
    async with site(serve, obliging()) as server, Pool() as pool:
        await pool.send(server.to(), envelope(), MESSAGE)
        outcomes = await pool.send(server.to(), envelope(), body(kind, big))
        assert fates(outcomes) == (["ACCEPTED", "ACCEPTED"] if again else ["UNSENT", "UNSENT"])
        assert server.messages == ([1, 1] if again else [1])
        if again:
            assert server.scripts[1].messages == [big]


async def test_new_connection_that_dies_is_no_reason_to_try_again() -> None:
    async with site(obliging(until=3)) as server, Pool() as pool:
        assert set(fates(await pool.send(server.to(), envelope(), MESSAGE))) == {"UNSENT"}
        assert (len(server.scripts), pool.connections) == (1, 0)


async def test_dies_when_some_are_refused() -> None:
    """What is decided is not asked again."""

    async def picky(script: Script) -> None:
        await obliging(until=7, last=b"250 ok\r\n")(script)
        await script.line()
        await script.say(b"550 no such user\r\n")

    async with site(picky, obliging()) as server, Pool() as pool:
        await pool.send(server.to(), envelope(), MESSAGE)
        outcomes = await pool.send(server.to(), envelope(), MESSAGE)
        assert fates(outcomes) == ["REFUSED", "ACCEPTED"]
        assert [line for line in server.scripts[1].heard if line.startswith(b"RCPT")] == [b"RCPT TO:<c@example.org>"]


@pytest.mark.parametrize("refuses", [False, True])
async def test_server_does_not_come_back(refuses: bool) -> None:
    """Why, is said where nothing else is known; where it is, that is said."""

    async def gone(script: Script) -> None:
        await obliging(until=7, last=b"250 ok\r\n")(script)
        if refuses:
            await script.line()
            await script.say(b"550 no such user\r\n")

    async with site(gone, obliging({b"": b"554 no\r\n"})) as server, Pool() as pool:
        await pool.send(server.to(), envelope(), MESSAGE)
        if refuses:
            assert fates(await pool.send(server.to(), envelope(), MESSAGE)) == ["REFUSED", "UNSENT"]
        else:
            with pytest.raises(Rejected, match="554"):
                await pool.send(server.to(), envelope(), MESSAGE)
        assert pool.connections == 0


@pytest.mark.parametrize("reply", [b"250 ok\r\n", b"500 what\r\n"])
async def test_probe(reply: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something has come, but not for us: whatever NOOP is answered, the connection is there."""
    async with site(obliging({b"NOOP": reply})) as server, Pool() as pool:
        await pool.send(server.to(), envelope(), MESSAGE)
        monkeypatch.setattr(SMTPClient, "quiet", False)
        assert fates(await pool.send(server.to(), envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]
        assert server.messages == [2]
        assert b"NOOP" in server.heard()


async def test_probe_that_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async def serve(script: Script) -> None:
        await obliging(until=7)(script)
        await trio.sleep_forever()

    async with site(serve, obliging()) as server, Pool() as pool:
        await pool.send(server.to(), envelope(), MESSAGE)
        monkeypatch.setattr(SMTPClient, "quiet", False)
        start = trio.current_time()
        assert fates(await pool.send(server.to(), envelope(), MESSAGE)) == ["ACCEPTED", "ACCEPTED"]
        assert PROBE_SECONDS <= trio.current_time() - start < PROBE_SECONDS + 1
        assert server.messages == [1, 1]


# --- servers that limit (RFC 9422) -----------------------------------------------------------------------


def limiting(limits: bytes) -> dict[bytes, bytes]:
    return {b"EHLO": b"250-mx.example.org\r\n250-PIPELINING\r\n250 LIMITS " + limits + b"\r\n"}


@pytest.mark.parametrize(("kind", "expected"), [("bytes", 5), ("file", 5), ("iterator", 2)])
async def test_recipients_at_a_time(kind: str, expected: int) -> None:
    """One after the other, as far as the message can be given again."""
    async with site(obliging(limiting(b"RCPTMAX=2"))) as server, Pool() as pool:
        many = envelope(*(f"u{number}@example.org" for number in range(5)))
        outcomes = await pool.send(server.to(), many, body(kind))
        assert fates(outcomes) == ["ACCEPTED"] * expected + ["UNSENT"] * (5 - expected)
        assert [outcome.recipient for outcome in outcomes] == list(many.recipients)
        assert server.messages == [(expected + 1) // 2]


async def test_messages_at_a_time() -> None:
    async with site(obliging(limiting(b"RCPTMAX=1 MAILMAX=2"))) as server, Pool() as pool:
        many = envelope(*(f"u{number}@example.org" for number in range(5)))
        assert fates(await pool.send(server.to(), many, MESSAGE)) == ["ACCEPTED"] * 5
        assert server.messages == [2, 2, 1]
        assert fates(await pool.send(server.to(), envelope("a@example.org"), MESSAGE)) == ["ACCEPTED"]
        assert pool.idle == 0
        assert server.messages == [2, 2, 2]
        assert server.most == 1


async def test_limit_of_the_pool_holds_in_a_message() -> None:
    async with site(obliging(limiting(b"RCPTMAX=1"))) as server, Pool(PoolLimits(messages=2)) as pool:
        assert fates(await pool.send(server.to(), envelope(), MESSAGE)) == ["ACCEPTED"] * 2
        assert fates(await pool.send(server.to(), envelope(), MESSAGE)) == ["ACCEPTED"] * 2
        assert server.messages == [2, 2]


# --- messages that cannot be sent ------------------------------------------------------------------------


class Failing(AsyncIterable[bytes]):
    """Can be read *times*."""

    def __init__(self, times: int) -> None:
        self.times = times

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.times -= 1
        yield MESSAGE
        if self.times < 0:
            raise ZeroDivisionError


async def test_message_that_cannot_be_read() -> None:
    async with site(obliging()) as server, Pool() as pool:
        with pytest.raises(ZeroDivisionError):
            await pool.send(server.to(), envelope(), Failing(0))
        assert pool.connections == 0
        with pytest.raises(LocalProtocolError):
            await pool.send(server.to(), envelope(), b"x\0\r\n")
        assert pool.connections == 0


async def test_message_that_can_be_read_once() -> None:
    """Who has got it is told."""
    async with site(obliging(limiting(b"RCPTMAX=1"))) as server, Pool() as pool:
        assert fates(await pool.send(server.to(), envelope(), Failing(1))) == ["ACCEPTED", "UNSENT"]
        assert pool.connections == 0


# --- connections that cannot be made ---------------------------------------------------------------------


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    async with Pool(PoolLimits(per_host=1)) as pool:

        async def send() -> None:
            with pytest.raises(OSError, match="all attempts to connect"):
                await pool.send(Destination("127.0.0.1", port), envelope(), MESSAGE)

        async with trio.open_nursery() as nursery:
            for _ in range(3):  # each of whom gets the turn
                nursery.start_soon(send)
        assert (pool.connections, pool.waiting) == (0, 0)
        assert not pool._homes


# --- the end, and cancellation ---------------------------------------------------------------------------


async def test_not_open() -> None:
    pool = Pool()
    with pytest.raises(trio.ClosedResourceError):
        await pool.send(Destination("127.0.0.1"), envelope(), MESSAGE)
    async with pool:
        pass
    with pytest.raises(trio.ClosedResourceError):
        await pool.send(Destination("127.0.0.1"), envelope(), MESSAGE)


async def test_closed_before_its_senders() -> None:
    """Whoever waits hears of it; whoever sends has a connection yet."""
    gate = trio.Event()
    done: list[str] = []
    async with site(patient(gate)) as server, trio.open_nursery() as nursery:
        pool = Pool(PoolLimits(per_host=1))

        async def send(name: str) -> None:
            try:
                done.extend(fates(await pool.send(server.to(), envelope("a@example.org"), MESSAGE)))
            except trio.ClosedResourceError:
                done.append(name)

        async with pool:
            for name in ("1", "2", "3"):
                nursery.start_soon(send, name)
                await settle()
        await settle()
        assert sorted(done) == ["2", "3"]
        gate.set()
        await until(lambda: len(done) == 3)
        assert "ACCEPTED" in done
        assert (pool.connections, pool.waiting) == (0, 0)
        await until(lambda: not server.live)


async def test_error_in_the_block_is_not_in_a_group() -> None:
    pool = Pool()

    async def fail(server: Site) -> None:
        async with pool:
            await pool.send(server.to(), envelope(), MESSAGE)
            raise ZeroDivisionError

    async with site(obliging()) as server:
        with pytest.raises(ZeroDivisionError):
            await fail(server)
        assert pool.connections == 0
        await until(lambda: not server.live)


async def test_cancelled_block() -> None:
    async with site(obliging()) as server:
        with trio.CancelScope() as scope:
            async with Pool() as pool:
                await pool.send(server.to(), envelope(), MESSAGE)
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert pool.connections == 0
        await until(lambda: not server.live)


class Step(trio.abc.Instrument):
    """Cancels a scope when a task is about to take its step number *count*."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.scope = trio.CancelScope()
        self.task: trio.lowlevel.Task | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.count -= 1
            if not self.count:
                self.scope.cancel()

    async def run(self, pool: Pool, destination: Destination) -> None:
        self.task = trio.lowlevel.current_task()
        trio.lowlevel.add_instrument(self)
        try:
            with self.scope:
                await pool.send(destination, envelope(), Pieces(MESSAGE))
        finally:
            trio.lowlevel.remove_instrument(self)


@pytest.mark.parametrize("kept", ["none", "own", "another's", "dead"])
@pytest.mark.parametrize("waits", [False, True])
async def test_cancelled_at_every_step(waits: bool, kept: str) -> None:
    """No socket, no place and no waiter is left behind, and others go on."""
    gone = trio.Event()
    for count in range(1, 100):
        gate = trio.Event()
        first = serves(1, "FIN", gone) if kept == "dead" else obliging()
        async with site(first if kept != "none" else patient(gate), patient(gate)) as server:
            limits = PoolLimits(per_host=1)
            async with Pool(limits) as pool:
                if kept != "none":
                    name = "b.example" if kept == "another's" else "a.example"
                    await pool.send(server.to(hello=name), envelope(), MESSAGE)
                    await settle()
                step = Step(count)

                async with trio.open_nursery() as nursery:
                    if waits:
                        nursery.start_soon(pool.send, server.to(hello="c.example"), envelope(), MESSAGE)
                        await trio.testing.wait_all_tasks_blocked()
                    nursery.start_soon(step.run, pool, server.to(hello="a.example"))
                    await trio.testing.wait_all_tasks_blocked()
                    nursery.start_soon(pool.send, server.to(hello="d.example"), envelope(), MESSAGE)
                    await trio.testing.wait_all_tasks_blocked()
                    gate.set()
                assert pool.waiting == 0
                assert pool.connections == pool.idle == 1
                await until(lambda: server.live == 1)
            await until(lambda: not server.live)
            assert not pool._homes
        if step.count > 0:
            break
    assert not step.scope.cancel_called
    assert count > (2 if kept == "own" else 5)


@pytest.mark.parametrize("point", range(8))
async def test_cancelled_wherever_the_server_stops(point: int) -> None:
    async def stall(script: Script) -> None:
        await obliging(until=point)(script)
        await script.line()
        while await script.line() is not None:
            pass

    async with site(stall, obliging()) as server, Pool(PoolLimits(per_host=1)) as pool:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.send, server.to(), envelope(), MESSAGE)
            await settle()
            nursery.cancel_scope.cancel()
        assert pool.connections == (point > 6)
        assert fates(await pool.send(server.to(), envelope(), MESSAGE))[0] == "ACCEPTED" if point < 7 else True


async def test_cancelled_waiter() -> None:
    gate = trio.Event()
    async with site(patient(gate)) as server, Pool(PoolLimits(per_host=1, total=1)) as pool:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.send, server.to(), envelope(), MESSAGE)
            await settle()
            for destination in (server.to(), Destination("127.0.0.2", 9)):
                with trio.move_on_after(0.01) as scope:
                    await pool.send(destination, envelope(), MESSAGE)
                assert scope.cancelled_caught
                assert (pool.waiting, len(pool._homes)) == (0, 1)
            gate.set()
        assert server.messages == [1]
