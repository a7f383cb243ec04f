"""What a worker does, and how it is spoken with: in this process."""

import logging
import os
import pickle
import signal
import socket
import sys
import types
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry
from trio_play import CONFIG, Client, Taker, deliver
from workers_play import new_pid

from smtpcore import STANDARD, SUBMISSION, Limits, Secret, ServerConfig, Timeouts
from smtpcore.extensions import AUTH, BINARYMIME, DSN, LIMITS, MT_PRIORITY, REQUIRETLS, RRVS, STARTTLS, Extension
from smtpcore.sasl import LOGIN, PLAIN, Scram
from smtpcore_trio import NOBODY, Admission, Metrics, Port, TlsContext, listen_tcp, listen_unix, serve
from smtpcore_trio._worker import Channel, Letter, Order, Task, Unsendable, main, work
from smtpcore_trio.listening import another, reuses_port, waiting
from smtpcore_trio.metrics import _in_worker

MORE = (BINARYMIME, STARTTLS, AUTH, DSN, LIMITS, REQUIRETLS, RRVS, MT_PRIORITY)

Pair = tuple[Channel, Channel]


def order(*ports: Port, **options: Any) -> Order:
    given = {"new_session": new_pid, "admission": Admission(), "observer": NOBODY, "grace": 5.0, "auth_delay": 1.0}
    return Order(serve=serve, ports=ports, **{**given, **options})


def sent(of: Order, workers: int = 1) -> Task:
    """As a worker gets it."""
    task = pickle.loads(pickle.dumps(Letter(of, workers)))
    assert isinstance(task, Task)
    return task


@pytest.fixture
def pair() -> Iterator[Pair]:
    here, there = socket.socketpair()
    with here, there:
        yield Channel(here), Channel(there)


# --- what is sent -------------------------------------------------------------------------------------


async def test_letter(certificate_files: tuple[Path, Path]) -> None:
    """All that a config may hold; the engine's own objects are themselves there."""
    plus = Scram(name="SCRAM-SHA-256", hash_name="sha256", seed=Secret(b"seed"))
    config = ServerConfig(
        hostname="mx.example.org",
        extensions=(*STANDARD, *MORE),
        mechanisms=(plus, PLAIN, LOGIN),
        limits=Limits(message_octets=100_000),
        timeouts=Timeouts(body=7),
    )
    context = TlsContext.load(*certificate_files)
    listeners = await listen_tcp("127.0.0.1", 0)
    one = Port(listeners=listeners, config=config, dialect=SUBMISSION, tls_context=context, implicit_tls=True)
    other = Port(listeners=listeners, config=config, tls_context=context, name="other")
    task = sent(order(one, other), 2)
    first, second = task.ports
    assert first["config"] == config
    assert first["config"] is second["config"]
    assert first["config"].extensions[0] is STANDARD[0]
    assert first["config"].mechanisms[0].seed == Secret(b"seed")
    assert first["tls_context"] is second["tls_context"]
    assert first["tls_context"].bindings == context.bindings
    assert (first["dialect"], first["implicit_tls"], first["name"]) == (SUBMISSION, True, one.name)
    assert (second["name"], second["proxies"], second["unix_proxies"]) == ("other", (), False)
    assert task.options["observer"] is NOBODY
    assert task.options["new_session"] is new_pid
    assert task.serve is serve
    await listeners[0].aclose()


async def test_letter_with_an_extension_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes by the name that it has in its module; one that has none is not sent."""
    own = Extension("XOWN", 0, offer=lambda _facts: "")
    config = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, own))
    (listener,) = await listen_tcp("127.0.0.1", 0)
    port = Port(listeners=(listener,), config=config)
    with pytest.raises(Unsendable) as raised:
        sent(order(port))
    assert raised.value.argument == "ports[0].config"
    module = types.ModuleType("an_application")
    module.OWN = own  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "an_application", module)
    assert sent(order(port)).ports[0]["config"].extensions[-1] is own
    await listener.aclose()


async def test_tls_context_goes_by_name(
    certificate_files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No key is sent; and it is found from wherever the receiver is."""
    certificate, key = certificate_files
    monkeypatch.chdir(certificate.parent)
    named = {"mx.example.net": (Path(certificate.name), Path(key.name)), "alone": (certificate, None)}
    combined = tmp_path / "both.pem"
    combined.write_bytes(certificate.read_bytes() + key.read_bytes())
    named["alone"] = combined, None
    octets = pickle.dumps(TlsContext.load(Path(certificate.name), Path(key.name), others=named))
    assert b"PRIVATE" not in octets
    monkeypatch.chdir("/")
    loaded = pickle.loads(octets)
    assert loaded.bindings == TlsContext.load(*certificate_files).bindings
    loaded.reload()
    with pytest.raises(TypeError, match="not loaded from files"):
        pickle.dumps(TlsContext(loaded.context))


@pytest.mark.parametrize(("workers", "connections", "handshakes"), [(1, 10, 4), (2, 5, 2), (3, 4, 2), (20, 1, 1)])
def test_share(workers: int, connections: int, handshakes: int) -> None:
    admission = Admission(connections=10, handshakes=4, per_address=3, handshakes_per_address=2)
    share = order(admission=admission).share(workers)
    assert (share.connections, share.handshakes) == (connections, handshakes)
    assert (share.per_address, share.handshakes_per_address, share.rate) == (3, 2, admission.rate)


class Once:
    """Can be sent, but not at first."""

    def __init__(self) -> None:
        self.tried = 0

    def __reduce__(self) -> tuple[object, ...]:
        self.tried += 1
        if self.tried == 1:
            raise ValueError("not yet")
        return Once, ()


def test_letter_that_cannot_be_sent_for_a_reason_that_has_gone() -> None:
    with pytest.raises(ValueError, match="not yet"):
        sent(order(new_session=Once()))


def test_metrics_are_sent_for_several_processes_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    of_its_own = Metrics(CollectorRegistry())
    for _ in range(2):
        with pytest.raises(Unsendable, match="observer cannot be sent to workers: Metrics can count in workers with "):
            sent(order(observer=of_its_own))
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr("smtpcore_trio.metrics.REGISTRY", of_its_own._registry)
    assert of_its_own.__reduce__() == (_in_worker, ())


def test_metrics_of_who_has_died(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What it was full of is over; what it has counted stays."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr("smtpcore_trio.metrics.Metrics", NoMetrics)
    dead = 2**31 - 1
    for name in (f"gauge_livesum_{dead}", f"gauge_livemax_{dead}", f"counter_{dead}", f"gauge_livesum_{os.getpid()}"):
        (tmp_path / f"{name}.db").touch()
    assert isinstance(_in_worker(), NoMetrics)
    assert {path.stem for path in tmp_path.iterdir()} == {f"counter_{dead}", f"gauge_livesum_{os.getpid()}"}


def test_metrics_of_who_has_died_and_whose_number_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By a process of somebody else's, which may not be asked."""

    def kill(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr("smtpcore_trio.metrics.Metrics", NoMetrics)
    monkeypatch.setattr(os, "kill", kill)
    (tmp_path / "gauge_livesum_1.db").touch()
    assert isinstance(_in_worker(), NoMetrics)
    assert list(tmp_path.iterdir()) == []


class NoMetrics:
    pass


# --- between the processes ----------------------------------------------------------------------------


async def test_channel(pair: Pair) -> None:
    """Messages are told apart, whole, and nobody is waited for."""
    here, there = pair
    here.tell(drain=1.5)
    here.tell(errors=["x\ny", "ü" * 5000])
    assert await there.hear() == {"drain": 1.5}
    assert await there.hear() == {"errors": ["x\ny", "ü" * 5000]}
    for _ in range(100_000):  # more than the system holds
        here.tell(connections=1)
    here.close()
    heard = 0
    while await there.hear() is not None:
        heard += 1
    assert 100 < heard < 100_000
    there.tell(drain=0.0)
    there.tell(drain=0.0)


async def test_channel_that_is_reset(pair: Pair) -> None:
    here, there = pair
    there.tell(drain=1.0)  # which nobody reads
    there.tell(drain=1.0)
    here.close()
    assert await there.hear() is None


# --- in a worker --------------------------------------------------------------------------------------


class Desk:
    """A worker in this process, and the end of the pair that it is told by."""

    def __init__(self, port: Port, channel: Channel) -> None:
        self.port = port
        self.channel = channel

    async def client(self) -> Client:
        host, _, number = self.port.addresses[0].rpartition(":")
        return Client(await trio.open_tcp_stream(host, int(number)))

    async def told(self) -> dict[str, Any]:
        message = await self.channel.hear()
        assert message is not None
        return message


@asynccontextmanager
async def desk(**options: Any) -> AsyncIterator[Desk]:
    (listener,) = await listen_tcp("127.0.0.1", 0, reuse_port=True)
    port = Port(listeners=(listener,), config=CONFIG, **options)
    mine = another(listener.socket)
    await listener.aclose()
    here, there = socket.socketpair()
    with trio.fail_after(20), here:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work, sent(order(port)), [[mine]], there)
            channel = Channel(here)
            assert await channel.hear() == {"connections": 0, "handshakes": 0, "cut": 0}
            yield Desk(port, channel)
    assert there.fileno() == mine.fileno() == -1


async def test_work() -> None:
    """It tells what it has, and ends when it is told to."""
    async with desk() as at, await at.client() as client:
        await client.greet()
        assert (await at.told())["connections"] == 1
        await client.ask("MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "DATA")
        at.channel.tell(drain=5.0)
        await client.send(b"x\r\n.\r\n")
        assert (await client.reply()).startswith("250 ")
        assert (await client.rest()).startswith(b"421 ")
        assert await at.told() == {"connections": 0, "handshakes": 0, "cut": 0}


async def test_work_that_is_cut() -> None:
    async with desk() as at, await at.client() as client:
        await client.begin()
        await client.ask("DATA")
        at.channel.tell(drain=5.0)
        at.channel.tell(drain=0.0)
        while (message := await at.channel.hear()) is not None:
            last = message
        assert last == {"connections": 0, "handshakes": 0, "cut": 1}


@pytest.mark.parametrize("by_signal", [False, True])
async def test_work_ends_by_itself(by_signal: bool) -> None:
    """By SIGTERM, or when nobody is there to tell it anything."""
    async with desk() as at, await at.client() as client:
        await client.greet()
        if by_signal:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            at.channel.close()
        assert (await client.rest()).startswith(b"421 ")


async def test_work_reloads(certificate_files: tuple[Path, Path], tmp_path: Path) -> None:
    copies = [tmp_path / path.name for path in certificate_files]
    for copy, path in zip(copies, certificate_files, strict=True):
        copy.write_bytes(path.read_bytes())
    async with desk(tls_context=TlsContext.load(*copies), implicit_tls=True) as at:
        at.channel.tell(reload=True)
        assert await at.told() == {"errors": []}
        copies[0].unlink()
        at.channel.tell(reload=True)
        (error,) = (await at.told())["errors"]
        assert "No such file" in error
        at.channel.close()


def test_main() -> None:
    """It heeds none of a terminal's signals."""
    made = socket.create_server(("127.0.0.1", 0))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    here, there = socket.socketpair()
    signal.pthread_sigmask(signal.SIG_BLOCK, before)
    try:
        here.close()
        port = {"config": CONFIG}
        options = {"new_session": Taker, "grace": 0.0}
        main(Task(serve, [port], options), [[made]], there)
        assert {signal.getsignal(number) for number in before} == {signal.SIG_IGN}
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, before)
        for number, handler in before.items():
            signal.signal(number, handler)
    assert made.fileno() == there.fileno() == -1


# --- listeners ----------------------------------------------------------------------------------------


async def test_reuse_port(tmp_path: Path) -> None:
    """Ours is the port alone until it is shared, and then with who wants to share it."""
    (alone,) = await listen_tcp("127.0.0.1", 0)
    number = alone.socket.getsockname()[1]
    with pytest.raises(OSError, match="in use"):
        await listen_tcp("127.0.0.1", number, reuse_port=True)
    await alone.aclose()
    (shared,) = await listen_tcp("127.0.0.1", number, reuse_port=True)
    (six,) = await listen_tcp("::1", 0, reuse_port=True)
    (local,) = listen_unix(tmp_path / "socket")
    assert [reuses_port(each) for each in (shared, six, local)] == [True, True, False]
    for listener in (shared, six):
        with another(listener.socket) as made:
            assert made.getsockname() == listener.socket.getsockname()
            assert not made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            made.listen()
    with pytest.raises(OSError, match="in use"):
        await listen_tcp("127.0.0.1", number)
    for listener in (shared, six, local):
        await listener.aclose()


async def test_who_waits_hears_of_the_drain(caplog: pytest.LogCaptureFixture) -> None:
    """Connections that nobody has accepted yet are not just dropped."""
    caplog.set_level(logging.ERROR)
    (listener,) = await listen_tcp("127.0.0.1", 0)
    port = Port(listeners=(listener,), config=CONFIG)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve, [port], Taker)
            where = listener.socket.getsockname()
            late = [socket.create_connection(where) for _ in range(3)]
            server.drain()
            for each in late:
                stream = trio.SocketStream(trio.socket.from_stdlib_socket(each))
                async with Client(stream) as client:
                    assert (await client.rest()).startswith(b"421 ")
    assert server.cut == 0
    assert caplog.records == []


async def test_nobody_waits_when_all_is_cut() -> None:
    (listener,) = await listen_tcp("127.0.0.1", 0)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve, [Port(listeners=(listener,), config=CONFIG)], Taker)
            with socket.create_connection(listener.socket.getsockname()) as late:
                server.drain(0)
                await trio.lowlevel.wait_readable(late)
    assert server.connections == 0


async def test_another_of_what_is_not_shared() -> None:
    (alone,) = await listen_tcp("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        another(alone.socket)
    await alone.aclose()


async def test_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smtpcore_trio.listening.BACKLOG", 2)
    (listener,) = await listen_tcp("127.0.0.1", 0)
    late = [socket.create_connection(listener.socket.getsockname()) for _ in range(3)]
    accepted = list(waiting(listener))
    assert len(accepted) == 2
    for each in (*late, *accepted):
        each.close()
    await listener.aclose()


async def test_waiting() -> None:
    (listener,) = await listen_tcp("127.0.0.1", 0)
    assert list(waiting(listener)) == []
    with socket.create_connection(listener.socket.getsockname()) as there:
        (here,) = waiting(listener)
        assert here.getpeername() == there.getsockname()
        here.close()
    await listener.aclose()
    assert list(waiting(listener)) == []


# --- one process --------------------------------------------------------------------------------------


async def test_reload_of_a_server(certificate_files: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    """As of workers."""
    context = TlsContext.load(*certificate_files)
    ports = [
        Port(listeners=await listen_tcp("127.0.0.1", 0), config=CONFIG, tls_context=each, implicit_tls=each is not None)
        for each in (context, context, TlsContext(context.context), None)
    ]
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve, ports[:2], Taker)
            before = context.context
            assert await server.reload()
            assert context.context is not before
            server.drain()
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve, ports[2:], Taker)
            assert not await server.reload()
            async with Client(await trio.testing.open_stream_to_socket_listener(ports[3].listeners[0])) as client:
                assert (await deliver(client)).startswith("250")
            server.drain()
    assert caplog.text.count("could not be read again: that of 127.0.0.1:") == 1
    assert caplog.text.count(": a context that was not loaded cannot be loaded again") == 1
