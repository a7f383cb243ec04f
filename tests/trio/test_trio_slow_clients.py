"""500 clients that do next to nothing, at each place where a client may take its time: the others do not notice.

Of two servers that are alike one has the slow clients. Whole sessions with either take turns, and are compared: so
whatever else the machine does hits both, and the ratio stays near 1 where the times themselves vary by ten. Where
clients do wait for each other it is for times that are hundreds of times as long. So what fails is twice the
time, of the median or of the nineth tenth, and only in each of several rounds.
"""

import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from load_play import Blocking, ServerProcess, SlowClients, enough_descriptors, times_as_long, whole_session

COUNT = 500
FACTOR = 2.0
ROUNDS = 5
SESSIONS = 60
DESCRIPTORS = 1200


@pytest.fixture(scope="module")
def servers(certificate_files: tuple[Path, Path]) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    admission = {"handshakes": COUNT + 10}
    with (
        enough_descriptors(DESCRIPTORS),
        ServerProcess(admission=admission, certificate=certificate_files) as one,
        ServerProcess(admission=admission, certificate=certificate_files) as other,
    ):
        yield one, other


@pytest.mark.catalogue("G1", "G2", "C7")
@pytest.mark.parametrize("stage", ["command", "body", "chunk", "tls", "starttls", "sasl"])
def test_slow_clients_keep_nobody_waiting(
    servers: tuple[ServerProcess, ServerProcess], stage: str, client_tls: ssl.SSLContext
) -> None:
    server = servers[0]
    port, quiet = (each.port("smtps" if stage == "tls" else "smtp") for each in servers)
    beside, alone = (partial(whole_session, number, stage, client_tls) for number in (port, quiet))
    with SlowClients(port, stage, COUNT) as slow:
        assert slow.first == COUNT
        server.until("connections", COUNT)
        ratios: list[float] = []
        while not ratios or (min(ratios) > FACTOR and len(ratios) < ROUNDS):
            ratios.append(times_as_long(beside, alone, SESSIONS))
        assert min(ratios) <= FACTOR, ratios
        # None was cut for what the others were to gain by it.
        assert slow.ask("count") == {"there": COUNT}
        assert server.ask("handshakes") == (COUNT if stage in ("tls", "starttls") else 0)
    server.until("connections", 0)


@pytest.mark.catalogue("C7", "G6")
@pytest.mark.parametrize(("stage", "reason"), [("tls", "silence"), ("starttls", "454")])
def test_limit_of_handshakes(
    stage: str, reason: str, certificate_files: tuple[Path, Path], client_tls: ssl.SSLContext
) -> None:
    """The 101st is turned away, and served once there is room; whoever shakes no hands is served all the while."""
    with (
        enough_descriptors(DESCRIPTORS),
        ServerProcess(admission={"handshakes": 100}, certificate=certificate_files) as server,
    ):
        port = server.port("smtps" if stage == "tls" else "smtp")
        with SlowClients(port, stage, COUNT) as slow:
            slow.until("count", {"there": 100, reason: COUNT - 100})
            assert server.ask("handshakes") == 100
            with Blocking(port) as one_more:
                if stage == "starttls":
                    one_more.reply()
                    one_more.ask("EHLO client.example")
                    assert one_more.say("STARTTLS").startswith("454 ")
                else:
                    assert one_more.reply() == ""
            whole_session(server.port(), "", None)
        server.until("handshakes", 0)
        whole_session(port, stage, client_tls)
