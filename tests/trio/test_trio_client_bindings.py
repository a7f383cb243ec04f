"""Metrics and lines of a client and a pool."""

import io
import json
from typing import Any

import attrs
import pytest
import structlog
from client_play import MESSAGE, envelope, fates
from observe_play import AUTH_CONFIG, PASSWORD, Choosy, shown
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from trio_play import Host, serving

from smtpcore import (
    AuthDone,
    Cause,
    ClientConfig,
    ClientTimeouts,
    Closed,
    Command,
    Fate,
    Outcome,
    Reply,
    Secret,
    TlsInfo,
)
from smtpcore._limits import ClientLimits, rows
from smtpcore.sasl import PlainClient
from smtpcore_trio import (
    ClientFacts,
    ClientLogs,
    ClientMetrics,
    Destination,
    Metrics,
    Pool,
    PoolFull,
    PoolLimits,
    Sent,
    SeveralClient,
    TlsMode,
)
from smtpcore_trio.metrics import CLIENT_LIMITS, POOL_LIMITS
from smtpcore_trio.observe_client import REASONS

FACTS = ClientFacts("id", "mx.example.org", 25)
EVIL = 'x\r\n{"event": "message sent"}\x1b[2J\x00\x9b\u202e\u2028' + "y" * 1000


def now(registry: CollectorRegistry) -> dict[str, float]:
    """The samples, by the name and the labels; times of creation left out."""
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                labels = "".join(f" {key}={value}" for key, value in sorted(sample.labels.items()))
                found[sample.name + labels] = sample.value
    return found


class Lines:
    """Lines that were written, and what writes them."""

    def __init__(self, renderer: Any = None) -> None:
        self.file = io.StringIO()
        self.logs = ClientLogs(
            structlog.wrap_logger(
                structlog.PrintLogger(self.file),
                processors=[structlog.processors.add_log_level, renderer or structlog.processors.JSONRenderer()],
                wrapper_class=structlog.make_filtering_bound_logger(0),
            )
        )

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.getvalue().splitlines()]


def to(host: Host, **options: Any) -> Destination:
    return Destination("127.0.0.1", host.listener.socket.getsockname()[1], **{"tls": TlsMode.NONE, **options})


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


# --- numbers ---------------------------------------------------------------------------------------


async def test_numbers_of_a_pool(registry: CollectorRegistry) -> None:
    lines = Lines()
    observer = SeveralClient(ClientMetrics(registry), lines.logs)
    async with serving(Choosy) as host:
        async with Pool(PoolLimits(waiters=1), observer=observer) as pool:
            for _ in range(2):
                outcomes = await pool.send(to(host), envelope("b@example.org", "nobody@example.org"), MESSAGE)
                assert fates(outcomes) == ["ACCEPTED", "REFUSED"]
            found = now(registry)
            assert found["smtp_client_connections"] == found["smtp_client_connections_opened_total"] == 1
            assert found["smtp_client_connections_reused_total"] == 1
            assert found["smtp_client_limit_total"] == found["smtp_client_limit_per_host"] == 1
            assert found["smtp_client_outcomes_total fate=accepted"] == 2
            assert found["smtp_client_outcomes_total fate=refused"] == 2
            assert found["smtp_client_outcomes_total fate=unsent"] == 0
            assert found["smtp_client_send_seconds_count"] == 2
            assert found["smtp_client_body_octets_total"] == 2 * len(MESSAGE)
        await host.empty()
    found = now(registry)
    assert found["smtp_client_connections"] == found["smtp_client_limit_total"] == 0
    assert found["smtp_client_connections_closed_total cause=quit"] == 1
    assert sum(value for name, value in found.items() if "_rejections" in name) == 0
    assert [line["event"] for line in lines.read()] == [
        "connection opened", "message sent", "message sent", "connection closed"
    ]  # fmt: skip


async def test_numbers_of_what_does_not_succeed(registry: CollectorRegistry, tmp_path: Any) -> None:
    lines = Lines()
    observer = SeveralClient(ClientMetrics(registry), lines.logs)
    async with serving() as host, Pool(PoolLimits(per_host=1, waiters=0), observer=observer) as pool:
        with pytest.raises(FileNotFoundError):
            await pool.send(Destination(str(tmp_path / "none")), envelope(), MESSAGE)

        async def pieces() -> Any:
            with pytest.raises(PoolFull):
                await pool.send(to(host), envelope(), MESSAGE)
            yield MESSAGE

        await pool.send(to(host), envelope("b@example.org"), pieces())
    found = now(registry)
    assert found["smtp_client_connections_failed_total reason=network"] == 1
    assert found["smtp_client_limit_per_host_rejections_total"] == 1
    assert found["smtp_client_limit_waiters_rejections_total"] == 1
    assert found["smtp_client_limit_total_rejections_total"] == 0
    events = [(line["event"], line.get("reason"), line.get("limit")) for line in lines.read()]
    assert events[0] == ("connection failed", "network", None)
    assert ("limit", None, "per_host") in events
    assert ("limit", None, "waiters") in events


def test_each_limit_has_a_counter_and_each_of_a_pool_a_gauge(registry: CollectorRegistry) -> None:
    metrics = ClientMetrics(registry)
    found = now(registry)
    for name in (*POOL_LIMITS, *CLIENT_LIMITS):
        assert found[f"smtp_client_limit_{name}_rejections_total"] == 0
        metrics.refused(name, FACTS)
        assert now(registry)[f"smtp_client_limit_{name}_rejections_total"] == 1
    gauges = {name for name in found if name.startswith("smtp_client_limit_") and "_rejections" not in name}
    assert gauges == {f"smtp_client_limit_{name}" for name in POOL_LIMITS}
    assert set(POOL_LIMITS) <= {field.name for field in attrs.fields(PoolLimits)}
    assert {field.name for field in attrs.fields(ClientTimeouts)} <= set(CLIENT_LIMITS)
    for call in (lambda: metrics.refused("x"), lambda: metrics.gauge("x", 1)):
        with pytest.raises(KeyError):
            call()


def test_limits_that_end_a_connection_are_all_known() -> None:
    closing = {row.name for row in rows(ClientLimits) if "`Closed`" in row.hit}
    assert closing <= set(CLIENT_LIMITS)
    assert len(set(CLIENT_LIMITS)) == len(CLIENT_LIMITS)


@pytest.mark.catalogue("J8")
def test_labels_are_bounded(registry: CollectorRegistry) -> None:
    metrics = ClientMetrics(registry)
    before = set(now(registry))
    for number in range(100):
        facts = ClientFacts(f"id-{number}", f"host-{number}.example", number)
        metrics.opened(facts)
        metrics.failed(facts, REASONS[number % len(REASONS)], OSError(f"text {number}"))
        metrics.sent(facts, Sent(envelope(), 1, 0.5, (Outcome(envelope().recipients[0], list(Fate)[number % 4]),)))
        metrics.closed(facts, Closed(list(Cause)[number % len(Cause)], f"detail {number}"))
    assert set(now(registry)) == before


def test_a_server_and_a_client_share_a_registry(registry: CollectorRegistry) -> None:
    Metrics(registry)
    ClientMetrics(registry)


# --- lines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
async def test_lines_of_a_session_with_auth(password: str) -> None:
    lines = Lines()
    config = ClientConfig(cleartext_auth=True)
    mechanisms = (PlainClient("tim", Secret(password)),)
    async with serving(Choosy, AUTH_CONFIG, auth_delay=0) as host, Pool(observer=lines.logs) as pool:
        destination = to(host, mechanisms=mechanisms, config=config)
        try:
            await pool.send(destination, envelope("b@example.org"), MESSAGE)
        except Exception:
            assert password == "wrong"
    read = lines.read()
    sessions = {(line["session"], line["host"], line["port"]) for line in read}
    assert len(sessions) == 1
    assert next(iter(sessions))[1:] == ("127.0.0.1", destination.port)
    right = password == PASSWORD
    assert [line["event"] for line in read] == [
        "connection opened",
        *(["authenticated", "message sent"] if right else ["authentication failed"]),
        "connection closed",
    ]
    assert read[1]["mechanism"] == "PLAIN"
    assert shown(lines.file.getvalue()) == []
    if right:
        message = read[2]
        assert (message["octets"], message["accepted"], message["recipients"]) == (len(MESSAGE), 1, 1)
        assert (message["sender"], message["to"]) == ("a@example.org", ["b@example.org"])
        assert message["replies"] == ["250 2.0.0 Stored"]
    else:
        assert read[1]["reply"].startswith("535")
    assert read[-1]["cause"] == "quit"


def test_what_is_no_line() -> None:
    lines = Lines()
    lines.logs.event(FACTS, Closed(Cause.EOF))
    lines.logs.reused(FACTS)
    lines.logs.gauge("total", 1)
    assert lines.read() == []


@attrs.frozen
class Path:
    """A path that says anything, as no parser lets one."""

    def __str__(self) -> str:
        return EVIL


@pytest.mark.catalogue("J1")
@pytest.mark.parametrize(
    "renderer",
    [structlog.processors.JSONRenderer(ensure_ascii=False), structlog.processors.KeyValueRenderer()],
    ids=lambda each: type(each).__name__,
)
def test_nobody_forges_lines(renderer: Any) -> None:
    lines = Lines(renderer)
    logs = lines.logs
    facts = ClientFacts("id", EVIL, 25, TlsInfo(EVIL))
    reply = Reply(550, EVIL)
    anywhere: Any = Path()
    recipient = attrs.evolve(envelope().recipients[0], path=anywhere)
    evil = attrs.evolve(envelope(), reverse_path=anywhere, recipients=(recipient,) * 20)
    logs.opened(facts)
    logs.failed(facts, "network", OSError(EVIL))
    logs.event(facts, AuthDone(Command("AUTH"), reply, EVIL))
    logs.event(facts, AuthDone(Command("AUTH"), Reply(235, EVIL), EVIL))
    logs.sent(facts, Sent(evil, 1, 1.0, (Outcome(recipient, Fate.REFUSED, reply), Outcome(recipient, Fate.UNSENT))))
    logs.closed(facts, Closed(Cause.REJECTED, EVIL, reply=reply))
    text = lines.file.getvalue()
    assert text.count("\n") == len(text.splitlines()) == 6
    assert all(line.isprintable() for line in text.splitlines())
    assert "y" * 300 not in text
