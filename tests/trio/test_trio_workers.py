"""Servers of several processes, which are real ones."""

import contextlib
import multiprocessing
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
import trustme
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from trio_play import LOOPBACK, Client
from workers_play import CONFIG, Breaking, Pid, new_pid

from smtpcore import LMTP, STANDARD, SUBMISSION, Secret, ServerConfig
from smtpcore.extensions import AUTH, STARTTLS
from smtpcore.sasl import PLAIN, Scram
from smtpcore_trio import (
    Admission,
    Facts,
    Port,
    TlsContext,
    Unsendable,
    WorkerFailed,
    Workers,
    listen_tcp,
    listen_unix,
    serve,
)

PROGRAM = Path(__file__).with_name("workers_play.py")
OPEN = Admission(exempt=(LOOPBACK,))
# Attempts until each of two workers has had a connection: one in a billion fails.
TRIES = 30


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


@asynccontextmanager
async def working(ports: list[Port], new_session: Any = Pid, **options: Any) -> AsyncIterator[Workers]:
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            options = {"admission": OPEN, "workers": 2, **options}
            server: Workers = await nursery.start(partial(serve, ports, new_session, **options))
            yield server
            server.drain(0)


async def until(holds: Callable[[], object]) -> None:
    """Wait for what happens without any sign, also where that takes a process to start on a busy machine."""
    for _ in range(1200):
        if holds():
            return
        await trio.sleep(0.05)
    raise TimeoutError


async def a_port(**options: Any) -> Port:
    return Port(listeners=await listen_tcp("127.0.0.1", 0, reuse_port=True), **{"config": CONFIG, **options})


async def connected(port: Port, which: int = 0) -> Client:
    address = port.addresses[which]
    if address.startswith("/"):
        return Client(await trio.open_unix_socket(address))
    host, _, number = address.rpartition(":")
    return Client(await trio.open_tcp_stream(host.strip("[]"), int(number)))


async def pid_of(port: Port, which: int = 0) -> int:
    async with await connected(port, which) as client:
        return int((await client.reply()).split()[1])


async def pids_of(port: Port) -> set[int]:
    return {await pid_of(port) for _ in range(TRIES)}


def queues(port: Port) -> int:
    """How many sockets listen on the first address of *port*, which is of IPv4."""
    number = int(port.addresses[0].rpartition(":")[2])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return sum(row[1].endswith(f":{number:04X}") and row[3] == "0A" for row in rows)


async def both(port: Port) -> dict[int, Client]:
    """A client of each worker; its greeting is read."""
    clients: dict[int, Client] = {}
    for _ in range(TRIES):
        client = await connected(port)
        pid = int((await client.reply()).split()[1])
        if clients.setdefault(pid, client) is not client:
            await client.__aexit__()
        if len(clients) == 2:
            return clients
    raise AssertionError("one had them all")


async def to_data(client: Client) -> None:
    reply = await client.ask("EHLO a.example", "MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "DATA")
    assert reply.startswith("354")


# --- serving ------------------------------------------------------------------------------------------


async def test_all_serve(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By every kind of listener; and who is killed is replaced."""
    scram = Scram(name="SCRAM-SHA-256", hash_name="sha256", seed=Secret(b"seed"))
    secured = ServerConfig(
        hostname="a.example", extensions=(*STANDARD, AUTH), mechanisms=(scram, PLAIN), cleartext_auth=True
    )
    listeners = (*await listen_tcp("127.0.0.1", 0, reuse_port=True), *await listen_tcp("::1", 0, reuse_port=True))
    port = Port(listeners=listeners, config=secured, dialect=SUBMISSION, name="submission")
    shared = Port(listeners=await listen_tcp("127.0.0.1", 0), config=CONFIG)
    local = Port(listeners=listen_unix(tmp_path / "socket"), config=CONFIG, dialect=LMTP)
    async with working([port, shared, local], new_pid) as server:
        assert server.ports == (port, shared, local)
        pids = server.pids
        assert len(pids) == 2
        assert os.getpid() not in server.pids
        assert await pids_of(port) == set(server.pids)
        assert (queues(port), queues(shared)) == (2, 1)
        for which, of in ((1, port), (0, shared), (0, local)):
            assert await pid_of(of, which) in server.pids
        clients = await both(port)
        await until(lambda: server.connections == 2)
        assert server.handshakes == 0
        lost, kept = pids
        os.kill(lost, signal.SIGKILL)
        assert await clients[lost].rest() == b""
        assert (await clients[kept].ask("NOOP")).startswith("250")
        await until(lambda: len(server.pids) == 2 and lost not in server.pids)
        assert kept in server.pids
        assert queues(port) == 2
        assert await pids_of(port) == set(server.pids)
        await clients[lost].__aexit__()
        await clients[kept].__aexit__()
    assert server.draining
    assert not server.pids
    assert server.connections == server.cut == 0
    assert caplog.text.count("was ended by signal 9; it is replaced") == 1
    with pytest.raises(OSError, match=r"refused|all attempts"):
        await connected(port)


async def test_reload(authority: trustme.CA, client_tls: ssl.SSLContext, tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "certificate.pem"

    def issue() -> bytes:
        issued = authority.issue_cert("mx.example.org")
        path.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())

    async def shown() -> dict[int, bytes]:
        by_pid = {}
        for _ in range(TRIES):
            async with await connected(port) as client:
                stream = await client.start_tls(client_tls)
                by_pid[int((await client.reply()).split()[1])] = stream.getpeercert(binary_form=True)
        return by_pid

    first = issue()
    config = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS))
    context = TlsContext.load(path, others={"*.example.net": (path, None)})
    port = await a_port(tls_context=context, implicit_tls=True)
    async with working([port, await a_port(config=config, tls_context=context), await a_port()]) as server:
        assert await shown() == dict.fromkeys(server.pids, first)
        second = issue()
        assert await server.reload()
        assert await shown() == dict.fromkeys(server.pids, second)
        path.write_text("")
        assert not await server.reload()
        assert caplog.text.count("a certificate could not be read again: ") == 1
        assert await shown() == dict.fromkeys(server.pids, second)


# --- ends ---------------------------------------------------------------------------------------------


async def test_drain() -> None:
    """Messages that are coming in may end, in every worker; what does not is cut, and counted."""
    port = await a_port()
    async with working([port], grace=60) as server:
        clients = await both(port)
        ends, stays = clients.values()
        third = await connected(port)
        for client in (ends, stays, third):
            await to_data(client) if client is not third else await third.reply()
        server.drain()
        server.drain(2)
        assert (await third.rest()).startswith(b"421 ")
        await ends.send(b"x\r\n.\r\n")
        assert (await ends.reply()).startswith("250 ")
        assert (await ends.rest()).startswith(b"421 ")
        with contextlib.suppress(trio.BrokenResourceError):
            await stays.rest()
        for client in (ends, stays, third):
            await client.__aexit__()
    assert server.cut == 1


async def test_one_that_hangs_is_killed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("SIGN", str(tmp_path / "sign"))
    monkeypatch.setattr("smtpcore_trio.workers._ALLOWANCE", 1.0)
    port = await a_port()
    async with working([port], workers=1) as server, await connected(port) as client:
        await client.reply()
        await client.ask("EHLO a.example", "MAIL FROM:<a@b.c>")
        await until(lambda: server.connections)
        await client.send(b"RCPT TO:<sleep@e.f>\r\n")
        await until((tmp_path / "sign").exists)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.reload)  # which does not wait for it for ever
            await trio.testing.wait_all_tasks_blocked()
            server.drain(0.1)
        with contextlib.suppress(trio.BrokenResourceError):
            assert await client.rest() == b""
    assert server.cut == 1
    assert "worker 0 does not end, and is killed" in caplog.text


async def test_worker_that_is_told_to_end() -> None:
    """It drains, and another comes."""
    port = await a_port()
    async with working([port], workers=1) as server, await connected(port) as client:
        await client.reply()
        await to_data(client)
        (pid,) = server.pids
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):  # which have no effect, but the last
            os.kill(pid, number)
        await client.send(b"x\r\n.\r\n")
        assert (await client.reply()).startswith("250 ")
        assert (await client.rest()).startswith(b"421 ")
        await until(lambda: server.pids not in ((pid,), ()))
    assert server.cut == 0


async def test_cancelled_while_they_start() -> None:
    port = await a_port()
    with trio.fail_after(30), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(serve, [port], Pid, workers=2))
            await until(multiprocessing.active_children)
            scope.cancel()
    assert port.listeners[0].socket.fileno() == -1


def program(*, killed: bool, **environment: str) -> tuple[bytes, bytes, list[bytes]]:
    """Run it, and end it by SIGKILL or as Ctrl-C in its terminal does, while a message is coming in."""
    with subprocess.Popen(
        [sys.executable, str(PROGRAM)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | environment,
    ) as process:
        try:
            assert process.stdout is not None
            address, *_pids = process.stdout.readline().decode().split()
            host, number = address.split(":")
            with socket.create_connection((host, int(number)), timeout=20) as client, client.makefile("rb") as replies:
                assert replies.readline().startswith(b"220 ")
                for line in (b"HELO a.example", b"MAIL FROM:<a@b.c>", b"RCPT TO:<d@e.f>", b"DATA"):
                    client.sendall(line + b"\r\n")
                    assert replies.readline()[:1] in b"23"
                if killed:
                    process.kill()
                else:
                    os.killpg(process.pid, signal.SIGINT)
                client.sendall(b"x\r\n.\r\n")
                heard = replies.readlines()
            # The workers have these open as well: they end only when all are gone.
            output, errors = process.communicate(timeout=30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return output, errors, [line[:4] for line in heard]


def test_death_of_the_program() -> None:
    """Without a word to them: they drain."""
    assert program(killed=True) == (b"", b"", [b"250 ", b"421 "])


def test_ctrl_c() -> None:
    """The workers, too, get the signal of the terminal; what it means the program says."""
    assert program(killed=False) == (b"drained 0\n", b"", [b"250 ", b"421 "])


def test_metrics(tmp_path: Path) -> None:
    """The workers' are one."""
    (tmp_path / "gauge_livesum_2147483647.db").write_bytes(b"of one that has died")
    output, errors, _ = program(killed=False, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    assert (output, errors) == (b"drained 0\n", b"")
    registry = CollectorRegistry()
    collector: Any = MultiProcessCollector
    collector(registry, str(tmp_path))
    values = {metric.name: [each.value for each in metric.samples] for metric in registry.collect()}
    assert values["smtp_limit_connections"] == values["smtp_sessions"] == [0]
    assert values["smtp_sessions_opened"] == values["smtp_messages"] == [1]


# --- beginnings that fail -----------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["new_session", "observer", "ports[1].tls_context", "ports[1].config"])
async def test_what_cannot_be_sent(argument: str, tls_context: TlsContext) -> None:
    """It is named, and nothing was started."""

    def nested(facts: Facts) -> Pid:
        return Pid(facts)

    config, context, new_session, options = CONFIG, tls_context, new_pid, {}
    match argument:
        case "new_session":
            new_session = nested
        case "observer":
            options["observer"] = type("Local", (), {})()
        case "ports[1].tls_context":
            context = TlsContext(tls_context.context)
        case _:
            mechanism: Any = type("Local", (), {"name": "LOCAL", "initial": False})()
            config = ServerConfig(hostname="a.example", extensions=(*STANDARD, AUTH), mechanisms=(mechanism,))
    ports = [await a_port(), await a_port(config=config, tls_context=context, implicit_tls=True)]
    with trio.fail_after(20), pytest.raises(Unsendable) as raised:
        await serve(ports, new_session, workers=2, **options)
    assert raised.value.argument == argument
    assert str(raised.value).startswith(f"{argument} cannot be sent to workers: ")
    assert multiprocessing.active_children() == []
    assert all(listener.socket.fileno() == -1 for port in ports for listener in port.listeners)


async def test_worker_that_does_not_start(capfd: pytest.CaptureFixture[str]) -> None:
    port = await a_port()
    with trio.fail_after(30), pytest.raises(WorkerFailed, match=r"worker \d ended with status 1, before it was ready"):
        await serve([port], Pid, observer=Breaking(), workers=2)
    assert "ValueError: cannot be read" in capfd.readouterr().err


async def test_no_worker() -> None:
    port = await a_port()
    with pytest.raises(ValueError, match="no worker"):
        await serve([port], Pid, workers=0)
    await port.listeners[0].aclose()
