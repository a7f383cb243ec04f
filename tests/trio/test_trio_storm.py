"""More connections than there is room for: those that are open go on, and the server waits, turns away and recovers."""

import contextlib
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from load_play import HERE, Blocking, ServerProcess, enough_descriptors, whole_session

DESCRIPTORS = 80
STORM = 300
# Of the time that passes. Who waits takes next to none of it, and who turns round and round all, or half on a busy
# machine.
BUSY = 0.2


@contextlib.contextmanager
def storm(port: int, count: int = STORM, hosts: int = 1) -> Iterator[list[Blocking]]:
    """So many clients at once, of that many addresses, none of which says anything."""
    with enough_descriptors(count + 100), contextlib.ExitStack() as stack:
        yield [stack.enter_context(Blocking(port, f"127.0.0.{1 + number % hosts}")) for number in range(count)]


def served_again(port: int) -> None:
    """A whole session works out, once what was there before has gone."""
    end = time.monotonic() + 20
    while True:
        try:
            whole_session(port, "", None)
        except (AssertionError, OSError):
            assert time.monotonic() < end, "it does not recover"
            time.sleep(0.05)
        else:
            return


@pytest.mark.catalogue("G6")
def test_no_descriptor_is_left() -> None:
    """Whoever cannot be accepted waits; to try again and again would take all the processor time there is."""
    with (
        ServerProcess(admission={"reserve_descriptors": 0}, descriptors=DESCRIPTORS) as server,
        Blocking(server.port()) as before,
    ):
        before.reply()
        before.begin()
        with storm(server.port()):
            before.ask("NOOP")
            assert DESCRIPTORS / 2 <= server.ask("connections") <= DESCRIPTORS
            began, spent = time.monotonic(), server.cpu()
            time.sleep(1.0)
            assert server.cpu() - spent <= BUSY * (time.monotonic() - began)
            # The session that was there before does all that it would have done.
            assert before.send(1_000_000).startswith("250 ")
            before.begin()
            assert before.send(1_000_000, chunked=True).startswith("250 ")
        served_again(server.port())
        before.ask("QUIT")
        server.until("connections", 0)


@pytest.mark.catalogue("G6")
def test_storm_that_is_turned_away() -> None:
    """What is kept in reserve keeps the server answering; to turn somebody away takes less than to serve him."""
    with (
        ServerProcess(admission={"reserve_descriptors": 20}, descriptors=DESCRIPTORS) as server,
        Blocking(server.port()) as before,
    ):
        before.reply()
        before.begin()
        spent = server.cpu()
        for _ in range(STORM):
            whole_session(server.port(), "", None)
        serving = server.cpu() - spent
        with storm(server.port(), DESCRIPTORS) as clients:
            assert {client.reply()[:3] for client in clients} == {"220", "421"}
            full = server.ask("connections")
            spent = server.cpu()
            for _ in range(STORM):
                with Blocking(server.port()) as client:
                    assert client.reply().startswith("421 ")
            assert server.cpu() - spent <= serving
            assert server.ask("connections") == full < DESCRIPTORS - 20
            assert before.send(1_000_000).startswith("250 ")
        served_again(server.port())
        before.ask("QUIT")
        server.until("connections", 0)


@pytest.mark.catalogue("G6")
def test_total_in_a_storm() -> None:
    with ServerProcess(admission={"connections": 50}) as server:
        with storm(server.port()) as clients:
            replies = [client.reply()[:3] for client in clients]
            assert Counter(replies) == {"220": 50, "421": STORM - 50}
            assert server.ask("connections") == 50
            served = [client for client, reply in zip(clients, replies, strict=True) if reply == "220"]
            for client in served[:10]:
                client.socket.close()
            server.until("connections", 40)
            for client in served[10:]:
                client.ask("NOOP")
            with storm(server.port(), 30) as more:
                assert Counter(client.reply()[:3] for client in more) == {"220": 10, "421": 20}
        server.until("connections", 0)
        whole_session(server.port(), "", None)


@pytest.mark.catalogue("G6")
def test_addresses_in_a_storm() -> None:
    """Each has its own share, however many others come."""
    with ServerProcess(admission={"per_address": 20}) as server:
        with storm(server.port(), hosts=5) as clients:
            codes = [client.reply()[:3] for client in clients]
            for host in range(5):
                assert Counter(codes[host::5]) == {"220": 20, "421": STORM // 5 - 20}
            with Blocking(server.port(), "127.0.0.9") as other:
                assert other.reply().startswith("220 ")
                other.ask("NOOP")
        server.until("connections", 0)
        whole_session(server.port(), "", None)


def test_those_who_have_gone_already() -> None:
    """Connections that are reset before they are looked at, or just after, leave nothing behind."""
    with ServerProcess() as server, Blocking(server.port()) as before:
        before.reply()
        for _ in range(2 * STORM):
            with socket.create_connection((HERE, server.port())) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.until("connections", 1)
        before.begin()
        assert before.send(100_000).startswith("250 ")
