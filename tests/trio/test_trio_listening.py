"""Ports: where a server listens, and what it is there."""

import os
import socket
import stat
from functools import partial
from pathlib import Path

import pytest
import trio
from trio_play import CONFIG, LOOPBACK, Client, Taker, deliver

from smtpcore import LMTP, STANDARD, SUBMISSION, Limits, LocalProtocolError, Peer, Reply, ServerConfig
from smtpcore.extensions import STARTTLS
from smtpcore_trio import Admission, Facts, Port, Server, TlsContext, listen_inherited, listen_tcp, listen_unix, serve
from smtpcore_trio.listening import address_of


def address(port: Port) -> tuple[str, int]:
    host, _, number = port.addresses[0].rpartition(":")
    return host.strip("[]"), int(number)


# --- ports --------------------------------------------------------------------------------------------


async def test_ports_that_cannot_be() -> None:
    """That is a mistake of ours, and is said before anybody connects."""
    listeners = await listen_tcp("127.0.0.1", 0)
    offering = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS))
    with pytest.raises(ValueError, match="a listener"):
        Port(listeners=(), config=CONFIG)
    with pytest.raises(ValueError, match="tls_context"):
        Port(listeners=listeners, config=offering)
    with pytest.raises(ValueError, match="tls_context"):
        Port(listeners=listeners, config=CONFIG, implicit_tls=True)
    with pytest.raises(LocalProtocolError, match="AUTH"):
        Port(listeners=listeners, config=CONFIG, dialect=SUBMISSION)
    with pytest.raises(ValueError, match="a port"):
        await serve([], Taker)
    await listeners[0].aclose()


async def test_names(tmp_path: Path) -> None:
    listeners = (*await listen_tcp("127.0.0.1", 0), *await listen_tcp("::1", 0), *listen_unix(tmp_path / "socket"))
    port = Port(listeners=listeners, config=CONFIG)
    numbers = [each.socket.getsockname()[1] for each in listeners[:2]]
    assert port.addresses == (f"127.0.0.1:{numbers[0]}", f"[::1]:{numbers[1]}", str(tmp_path / "socket"))
    assert port.name == port.addresses[0]
    assert Port(listeners=listeners, config=CONFIG, name="mx").name == "mx"
    for listener in listeners:
        await listener.aclose()


async def test_several_ports(tls_context: TlsContext, tmp_path: Path) -> None:
    """Each has its own dialect, limits, extensions and TLS; a session knows where it came in."""
    limits = Limits(message_octets=100_000)
    submission = ServerConfig(hostname="mail.example.org", limits=limits)
    secure = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS))
    ports = [
        Port(listeners=await listen_tcp("127.0.0.1", 0), config=secure, tls_context=tls_context, name="mx"),
        Port(listeners=await listen_tcp("::1", 0), config=submission),
        Port(listeners=listen_unix(tmp_path / "lmtp"), config=CONFIG, dialect=LMTP, name="lmtp"),
    ]
    seen: list[tuple[str, str, Peer]] = []

    class Looker(Taker):
        async def connected(self, peer: Peer) -> Reply | None:
            seen.append((self.facts.port, self.facts.session_id, peer))
            return None

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(partial(serve, ports, Looker, admission=Admission(exempt=(LOOPBACK,))))
            assert server.ports == tuple(ports)
            async with (
                Client(await trio.open_tcp_stream(*address(ports[0]))) as mx,
                Client(await trio.open_tcp_stream(*address(ports[1]))) as other,
                Client(await trio.open_unix_socket(str(tmp_path / "lmtp"))) as lmtp,
            ):
                assert (await mx.reply()).startswith("220 mx.example.org")
                assert "STARTTLS" in await mx.ask("EHLO a.example")
                assert (await other.reply()).startswith("220 mail.example.org")
                assert "SIZE 100000\r\n" in await other.ask("EHLO a.example")
                await lmtp.reply()
                assert (await lmtp.ask("LHLO a.example")).startswith("250")
                assert server.connections == 3
            server.drain()
    assert {name: peer.address for name, _, peer in seen} == {
        "mx": "127.0.0.1",
        ports[1].addresses[0]: "::1",
        "lmtp": None,
    }
    assert len({identifier for _, identifier, _ in seen}) == 3


# --- listeners ----------------------------------------------------------------------------------------


async def test_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    (first,) = listen_unix(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with pytest.raises(OSError, match="in use"):
        listen_unix(path)
    await first.aclose()
    # Nobody listens on that any more.
    (second,) = listen_unix(path, 0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert address_of(second) == str(path)
    await second.aclose()


def test_unix_socket_where_there_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for name in ("file", "none/socket"):
        with pytest.raises(OSError, match=r"in use|No such"):
            listen_unix(tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"


def test_unix_socket_that_is_busy(tmp_path: Path) -> None:
    """It is somebody's, though it takes no connection now."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as one:
        busy.bind(path)
        busy.listen(0)
        one.connect(path)
        with pytest.raises(BlockingIOError):
            listen_unix(Path(path))


async def test_inherited_socket() -> None:
    """It is ours alone from then on."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        number = made.getsockname()[1]
        descriptor = os.dup(made.fileno())
    os.set_inheritable(descriptor, True)
    port = Port(listeners=listen_inherited(descriptor), config=CONFIG)
    assert not os.get_inheritable(descriptor)
    assert port.addresses == (f"127.0.0.1:{number}",)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(serve, [port], Taker)
            async with Client(await trio.open_tcp_stream("127.0.0.1", number)) as client:
                assert (await deliver(client)).startswith("250")
            server.drain()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_inherited_what_is_no_listener() -> None:
    with socket.socket() as idle:
        with pytest.raises(ValueError, match="listening"):
            listen_inherited(idle.fileno())
        os.fstat(idle.fileno())  # it is still there
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="socket"):
            listen_inherited(reading)
    finally:
        os.close(reading)
        os.close(writing)


async def test_facts_are_of_one_connection(tmp_path: Path) -> None:
    kept: list[Facts] = []

    def make(facts: Facts) -> Taker:
        kept.append(facts)
        return Taker(facts)

    path = tmp_path / "socket"
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(serve, [Port(listeners=listen_unix(path), config=CONFIG)], make)
            for _ in range(3):
                async with Client(await trio.open_unix_socket(str(path))) as client:
                    assert (await deliver(client)).startswith("250")
            server.drain()
    assert len({facts.session_id for facts in kept}) == 3
    assert {facts.port for facts in kept} == {str(path)}
