"""Admission: each limit at n and at n + 1, over real sockets; what it costs; and who it leaves alone."""

import contextlib
import errno
import resource
import socket
import ssl
import subprocess
import sys
import textwrap
from collections import Counter
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, strategies as st
from linearity import assert_linear
from trio_play import CONFIG, LOOPBACK, Client, Host, Taker, deliver, serving, until

from smtpcore import STANDARD, Peer, ServerConfig
from smtpcore.extensions import STARTTLS
from smtpcore_trio import Admission, Port, TlsContext, listen_tcp, serve
from smtpcore_trio.admission import Full, Gate, Tally, descriptors, within
from smtpcore_trio.observe import NOBODY, BaseObserver, SessionFacts

TLS_CONFIG = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS))
HERE = "127.0.0.1"
ELSEWHERE = "127.0.0.2"

TOO_MANY = b"421 Too many connections, try again later\r\n"
TOO_MANY_OF_YOURS = b"421 Too many connections from your address, try again later\r\n"


class Noting(BaseObserver):
    """Keeps what is said of limits."""

    def __init__(self) -> None:
        self.refusals: list[tuple[str, str | None]] = []
        self.gauges: dict[str, list[float]] = {}

    def refused(self, limit: str, peer: Peer, session: SessionFacts | None = None) -> None:
        self.refusals.append((limit, peer.address))

    def gauge(self, limit: str, value: float, session: SessionFacts | None = None) -> None:
        self.gauges.setdefault(limit, []).append(value)


async def client_from(host: Host, address: str) -> Client:
    where = host.listener.socket.getsockname()
    return Client(await trio.open_tcp_stream(*where[:2], local_address=address))


# --- over sockets -------------------------------------------------------------------------------------


@pytest.mark.catalogue("G6")
async def test_connections() -> None:
    noting = Noting()
    async with serving(admission=Admission(connections=2), observer=noting) as host:
        async with await host.client() as one, await host.client() as two:
            await one.greet()
            await two.greet()
            for _ in range(5):
                async with await host.client() as more:
                    assert await more.rest() == TOO_MANY
            assert host.server.connections == 2
            assert (await one.ask("NOOP")).startswith("250")
        await host.empty()
        async with await host.client() as six:
            await six.greet()
        await host.empty()
    assert noting.refusals == [("connections", HERE)] * 5
    assert noting.gauges["connections"] == [1, 2, 1, 0, 1, 0]
    assert len(host.sessions) == 3


async def test_early_talker_hears_the_refusal() -> None:
    """Octets that nobody has read would reset the connection."""
    async with serving(admission=Admission(connections=1)) as host, await host.client() as one:
        await one.greet()
        left, right = socket.socketpair()
        with right:
            right.sendall(b"EHLO a.example\r\n")
            host.server._let_in(host.server.ports[0], left)
            assert right.recv(1000) == TOO_MANY
            assert right.recv(1000) == b""


async def test_refused_client_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(admission=Admission(connections=1)) as host, await host.client() as one:
        await one.greet()
        left, right = socket.socketpair()
        right.close()
        host.server._let_in(host.server.ports[0], left)
        assert left.fileno() == -1


async def test_silence() -> None:
    admission = Admission(connections=1, silent=True)
    async with serving(admission=admission) as host, await host.client() as one, await host.client() as two:
        await one.greet()
        assert await two.rest() == b""


async def test_connections_that_would_begin_with_tls(tls_context: TlsContext) -> None:
    options: dict[str, Any] = {"tls_context": tls_context, "implicit_tls": True, "admission": Admission(connections=1)}
    async with serving(**options) as host, await host.client():
        await until(lambda: host.server.connections)
        async with await host.client() as two:
            assert await two.rest() == b""


@pytest.mark.catalogue("G6")
async def test_per_address() -> None:
    """Who has enough does not keep others out."""
    noting = Noting()
    async with serving(admission=Admission(per_address=2), observer=noting) as host:
        async with await host.client() as one, await host.client() as two:
            await one.greet()
            await two.greet()
            async with await host.client() as three, await client_from(host, ELSEWHERE) as other:
                assert await three.rest() == TOO_MANY_OF_YOURS
                assert (await deliver(other)).startswith("250")
        await host.empty()
        async with await host.client() as four:
            await four.greet()
    assert noting.refusals == [("per_address", HERE)]


async def test_rate() -> None:
    noting = Noting()
    async with serving(admission=Admission(rate=(3, 3.0)), observer=noting) as host:
        for _ in range(3):
            async with await host.client() as client:
                await client.greet()
        async with await host.client() as four, await client_from(host, ELSEWHERE) as other:
            assert await four.rest() == TOO_MANY_OF_YOURS
            await other.greet()
        # One may come a second later.
        assert noting.refusals == [("rate", HERE)]
        for _ in range(100):
            async with await host.client() as five:
                if (await five.line()).startswith(b"220"):
                    break
            await trio.sleep(0.1)
        else:
            raise AssertionError("it stays out for ever")
    assert len(noting.refusals) > 1


@pytest.mark.catalogue("C7")
@pytest.mark.parametrize(("limit", "others"), [("handshakes", b""), ("handshakes_per_address", b"220 ")])
async def test_handshakes(tls_context: TlsContext, client_tls: ssl.SSLContext, limit: str, others: bytes) -> None:
    noting = Noting()
    options: dict[str, Any] = {"tls_context": tls_context, "implicit_tls": True}
    options |= {"admission": Admission(**{limit: 2}), "observer": noting}
    async with serving(**options) as host:
        async with await host.client(), await host.client():
            await until(lambda: host.server.handshakes == 2)
            async with await host.client() as three:
                assert await three.rest() == b""
            async with await client_from(host, ELSEWHERE) as other:
                if others:
                    await other.start_tls(client_tls)
                    assert (await other.line()).startswith(others)
                else:
                    assert await other.rest() == b""
        await until(lambda: host.server.handshakes == 0)
        async with await host.client() as four:
            await four.start_tls(client_tls)
            assert (await deliver(four)).startswith("250")
    assert noting.refusals[0] == (limit, HERE)
    assert noting.gauges["handshakes"][:2] == [1, 2]
    assert noting.gauges["handshakes"][-1] == 0


@pytest.mark.parametrize("limit", ["handshakes", "handshakes_per_address"])
async def test_handshakes_after_starttls(tls_context: TlsContext, client_tls: ssl.SSLContext, limit: str) -> None:
    options: dict[str, Any] = {"tls_context": tls_context, "admission": Admission(**{limit: 1})}
    async with serving(Taker, TLS_CONFIG, **options) as host, await host.client() as one, await host.client() as two:
        await one.greet()
        await two.greet()
        assert (await one.ask("STARTTLS")).startswith("220")
        await until(lambda: host.server.handshakes == 1)
        # RFC 3207 4: "454 TLS not available due to temporary reason"
        assert (await two.ask("STARTTLS")).startswith("454")
        await one.start_tls(client_tls)
        await one.ask("EHLO a.example")
        assert (await two.ask("STARTTLS")).startswith("220")
        await two.start_tls(client_tls)
        assert (await deliver_again(two)).startswith("250")


async def deliver_again(client: Client) -> str:
    """A message after STARTTLS, when nobody greets any more."""
    await client.ask("EHLO a.example", "MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "DATA")
    return await client.ask("x\r\n.")


async def test_handshakes_that_begin_at_once(tls_context: TlsContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both were told to begin before the first had; the second is one too many all the same."""
    monkeypatch.setattr("smtpcore_trio.server.Handshaker.free", lambda _: True)
    options: dict[str, Any] = {"tls_context": tls_context, "admission": Admission(handshakes=1)}
    async with serving(Taker, TLS_CONFIG, **options) as host, await host.client() as one, await host.client() as two:
        for client in (one, two):
            await client.greet()
            assert (await client.ask("STARTTLS")).startswith("220")
        with contextlib.suppress(trio.BrokenResourceError):
            assert await two.rest() == b""
        assert host.server.handshakes == 1


async def test_limit_that_is_no_limit(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    admission = Admission(per_address=None, rate=None, handshakes_per_address=None)
    async with (
        serving(tls_context=tls_context, implicit_tls=True, admission=admission) as host,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(70):
            await stack.enter_async_context(await host.client())
        await until(lambda: host.server.handshakes == 70)


async def test_error_of_ours_ends_one_connection_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as host:
        with monkeypatch.context() as patch:
            patch.setattr(Gate, "enter", lambda *_: 1 / 0)
            async with await host.client() as lost:
                assert await lost.rest() == b""
        async with await host.client() as client:
            assert (await deliver(client)).startswith("250")
    assert caplog.text.count("a connection was lost by an error") == 1


# --- file descriptors ---------------------------------------------------------------------------------

STORM = """
    import logging, resource, socket, sys
    from functools import partial
    import trio
    from trio_play import CONFIG, Taker
    from smtpcore_trio import Admission, Port, listen_tcp, serve

    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))

    async def main(reserve):
        port = Port(listeners=await listen_tcp("127.0.0.1", 0), config=CONFIG)
        admission = Admission(per_address=None, rate=None, reserve_descriptors=reserve)
        async with trio.open_nursery() as nursery:
            server = await nursery.start(partial(serve, [port], Taker, admission=admission))
            print(port.addresses[0].rpartition(":")[2], flush=True)
            await trio.to_thread.run_sync(sys.stdin.readline)
            print(len(open("/proc/self/status").read()) > 0, flush=True)
            await trio.to_thread.run_sync(sys.stdin.readline)
            server.drain()
        print("drained", server.connections, flush=True)

    trio.run(main, int(sys.argv[1]))
"""


@contextlib.contextmanager
def storm(reserve: int) -> Any:
    """A server with 60 file descriptors."""
    command = [sys.executable, "-c", textwrap.dedent(STORM), str(reserve)]
    path = [*sys.path]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": ":".join(path)}
    ) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def greeted(connected: socket.socket) -> bool:
    connected.settimeout(20)
    return connected.recv(1000).startswith(b"220 ")


@pytest.mark.catalogue("G6")
def test_reserve_of_descriptors() -> None:
    """What is kept free stays so: the rest of the process can open files in the middle of a storm."""
    with storm(20) as (process, port), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection((HERE, port))) for _ in range(100)]
        served = [greeted(client) for client in clients]
        assert 20 < sum(served) < 40
        assert served == sorted(served, reverse=True)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "True\n"
        for client in clients:
            client.close()
        back_again(port)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.read().endswith("drained 0\n")


@pytest.mark.catalogue("G6")
def test_no_descriptor_is_left() -> None:
    """The server waits, and goes on; it is said once."""
    with storm(0) as (process, port), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection((HERE, port))) for _ in range(100)]
        assert greeted(clients[0])
        assert "cannot be accepted, trying on: [Errno 24]" in process.stdout.readline()
        for client in clients:
            client.close()
        back_again(port)
        process.stdin.write("\n\n")
        process.stdin.flush()
        rest = process.stdout.read()
        assert "Errno 24" not in rest
        assert rest.endswith("drained 0\n")


def back_again(port: int) -> None:
    """The server greets as before."""
    for _ in range(200):
        with socket.create_connection((HERE, port)) as client:
            if greeted(client):
                return
    raise AssertionError("it does not recover")


async def serve_badly(port: Port) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        await serve([port], Taker)


async def test_listener_that_fails_for_good() -> None:
    """The server drains first."""
    port = Port(listeners=await listen_tcp(HERE, 0), config=CONFIG)
    with trio.fail_after(10):
        client = Client(await trio.open_tcp_stream(*port.listeners[0].socket.getsockname()))
        async with client, trio.open_nursery() as nursery:
            nursery.start_soon(serve_badly, port)
            await client.greet()
            port.listeners[0].socket.shutdown(socket.SHUT_RDWR)
            assert (await client.rest()).startswith(b"421 ")


class Failing:
    """A socket whose `accept` fails at first."""

    def __init__(self, below: trio.socket.SocketType, times: int) -> None:
        self.below = below
        self.times = times

    async def accept(self) -> Any:
        if self.times:
            self.times -= 1
            raise ConnectionAbortedError(errno.ECONNABORTED, "somebody went")
        return await self.below.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)


async def test_listener_that_fails_for_now(caplog: pytest.LogCaptureFixture) -> None:
    """However often: it is said once in a while."""
    (listener,) = await listen_tcp(HERE, 0)
    port = Port(listeners=(listener,), config=CONFIG, name="mx")
    failing: Any = Failing(listener.socket, 3)
    listener.socket = failing
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve, [port], Taker)
            async with Client(await trio.open_tcp_stream(*listener.socket.getsockname())) as client:
                await client.greet()
            server.drain()
    assert failing.times == 0
    assert caplog.text.count("connections to mx cannot be accepted") == 1


def test_reserve_of_all_there_are() -> None:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert descriptors() == most


async def test_reserve_that_leaves_none() -> None:
    port = Port(listeners=await listen_tcp(HERE, 0), config=CONFIG)
    with pytest.raises(ValueError, match="reserve_descriptors"):
        await serve([port], Taker, admission=Admission(reserve_descriptors=int(descriptors())))
    await port.listeners[0].aclose()


def test_no_limit_of_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert Gate(Admission(), NOBODY).enter(Peer(None), 10**9)


# --- the gate itself ----------------------------------------------------------------------------------


def gate(**limits: Any) -> Gate:
    return Gate(Admission(**limits), NOBODY)


def test_descriptors_at_n() -> None:
    tight = gate(reserve_descriptors=64)
    first_kept = int(descriptors()) - 64
    assert tight.enter(Peer(None), first_kept - 1)
    with pytest.raises(Full, match="reserve_descriptors"):
        tight.enter(Peer(None), first_kept)


def test_leaving_twice_counts_once() -> None:
    room = gate(connections=1)
    seat = room.enter(Peer(None), 3)
    seat.leave()
    seat.leave()
    assert room.connections == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:0:ffff::1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "192.0.2.1", True),
    ],
)
def test_what_is_one_address(one: str, other: str, same: bool) -> None:
    room = gate()
    assert (room.address(Peer(one)) == room.address(Peer(other))) is same
    assert gate(ipv6_prefix=128).address(Peer("2001:db8::1")) != gate(ipv6_prefix=128).address(Peer("2001:db8::2"))


def test_exempt() -> None:
    networks = (LOOPBACK, IPv6Network("2001:db8::/32"))
    room = gate(exempt=networks, per_address=1)
    for address in ("127.0.0.1", "2001:db8::1", None):
        for _ in range(3):
            room.enter(Peer(address), 3).claim(Peer(address), 0.0)
    room.enter(Peer("192.0.2.1"), 3).claim(Peer("192.0.2.1"), 0.0)
    with pytest.raises(Full, match="per_address"):
        room.enter(Peer("192.0.2.1"), 3).claim(Peer("192.0.2.1"), 0.0)
    assert within("192.0.2.1", (IPv4Network("192.0.2.0/24"),))
    assert not within("2001:db8::1", (ip_network("0.0.0.0/0"),))


@pytest.mark.parametrize("rate", [(1, 1.0), (7, 60.0), (60, 60.0), (3, 0.1), (1000, 1.0)])
@pytest.mark.parametrize("now", [0.0, 12345.678, 1e6])
def test_bucket(rate: tuple[int, float], now: float) -> None:
    """As many as are said come at once, and then one in each part of the time; all of them again at its end."""
    most, seconds = rate
    room = gate(rate=rate)
    assert [room.within_rate("a", now) for _ in range(most + 1)] == [True] * most + [False]
    later = now + 1.01 * seconds / most
    assert [room.within_rate("a", later) for _ in range(2)] == [True, False]
    much_later = now + 3 * seconds
    assert [room.within_rate("a", much_later) for _ in range(most + 1)] == [True] * most + [False]


def test_what_is_kept_is_bounded() -> None:
    """Neither a flood of addresses nor time leaves anything behind."""
    room = gate(remembered=1000)
    for number in range(100_000):
        seat = room.enter(Peer(None), 3)
        seat.claim(Peer(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"), number * 1e-3)
        seat.leave()
        assert len(room.full_at) <= 1000
    assert not room.of_address
    # Each that comes later takes two with it that are over.
    for number in range(1001):
        room.within_rate("192.0.2.1", 1000.0 + 100 * number)
    assert list(room.full_at) == ["192.0.2.1"]


def test_flood_of_addresses_is_linear() -> None:
    """To forget one costs the same, however many there are."""

    def flood(count: int) -> None:
        room = gate(remembered=count // 4)
        for number in range(count):
            room.within_rate(str(number), 0.0)

    assert_linear(flood, int, 16_000)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=60))
def test_tally(steps: list[tuple[str, bool]]) -> None:
    tally, model = Tally(), Counter[str]()
    for address, more in steps:
        if more:
            tally.add(address)
            model[address] += 1
        elif model[address]:
            tally.remove(address)
            model[address] -= 1
        assert tally.most == max(model.values(), default=0)
        assert tally.count(address) == model[address]
        assert len(tally) == len(+model)
    assert set(tally._with) == set((+model).values())


def test_gauges() -> None:
    """Each says how much of its limit is in use."""
    noting = Noting()
    room = Gate(Admission(rate=(5, 60.0), reserve_descriptors=64), noting)
    first_kept = int(descriptors()) - 64
    seats = [room.enter(Peer(None), descriptor) for descriptor in (3, 4, first_kept - 1)]
    with pytest.raises(Full):
        room.enter(Peer(None), first_kept)
    assert noting.gauges == {"connections": [1, 2, 3], "reserve_descriptors": [0, 0, 0, 1]}
    for seat, address in zip(seats, ("192.0.2.1", "192.0.2.1", "192.0.2.2"), strict=True):
        seat.claim(Peer(address), 100.0)
    assert noting.gauges["per_address"] == [1, 2, 2]
    assert noting.gauges["rate"] == [1, 2, 1]
    with seats[0].handshake(), seats[1].handshake():
        pass
    assert noting.gauges["handshakes"] == noting.gauges["handshakes_per_address"] == [1, 2, 1, 0]
    for seat in seats:
        seat.leave()
    assert noting.gauges["per_address"] == [1, 2, 2, 1, 1, 0]
    assert set(noting.gauges) | {"reserve_descriptors"} == {field.name for field in attrs.fields(Admission)} - {
        "ipv6_prefix",
        "exempt",
        "silent",
        "remembered",
    }


def test_counts_go_with_the_connections() -> None:
    room = gate()
    seat = room.enter(Peer("192.0.2.1"), 3)
    seat.claim(Peer("192.0.2.1"), 0.0)
    with seat.handshake():
        assert (room.handshakes, room.handshakes_of_address.count("192.0.2.1")) == (1, 1)
    seat.leave()
    assert not room.of_address
    assert not room.handshakes_of_address
    assert (room.connections, room.handshakes) == (0, 0)
    local = room.enter(Peer(None), 3)
    with local.handshake():
        assert (room.handshakes, len(room.handshakes_of_address)) == (1, 0)
    assert room.handshakes == 0


@pytest.mark.parametrize(
    "limits",
    [
        {"connections": 0},
        {"per_address": 0},
        {"rate": (0, 1.0)},
        {"rate": (1, 0.0)},
        {"handshakes": 0},
        {"handshakes_per_address": 0},
        {"remembered": 0},
        {"reserve_descriptors": -1},
        {"ipv6_prefix": 129},
        {"ipv6_prefix": -1},
    ],
)
def test_limits_that_cannot_be(limits: Any) -> None:
    with pytest.raises(ValueError):
        Admission(**limits)
