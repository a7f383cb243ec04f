"""Metrics of real sessions, scraped as Prometheus does."""

import urllib.request
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from observe_play import MIX_CONFIG, Recorder, mixes, observed, run_mix, shown, tell_secrets
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from trio_play import MESSAGE, deliver, serving, until

from smtpcore import Cause, Closed, Limits, Peer, Quit, Reply, ServerConfig, Timeouts
from smtpcore_trio.admission import Admission
from smtpcore_trio.metrics import OTHER, SERVER_LIMITS, SESSION_LIMITS, Metrics, exporting
from smtpcore_trio.observe import BodySize, SessionFacts, Several

PEER = Peer("192.0.2.1", 25)


def samples(text: str) -> dict[str, float]:
    """The samples, by the name and the labels; times of creation left out."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                labels = "".join(f" {key}={value}" for key, value in sorted(sample.labels.items()))
                found[sample.name + labels] = sample.value
    return found


async def scrape(port: int) -> dict[str, float]:
    def get() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            return str(response.read().decode())

    return samples(await trio.to_thread.run_sync(get))


def now(registry: CollectorRegistry) -> dict[str, float]:
    return samples(generate_latest(registry).decode())


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


async def test_scraped_over_http(registry: CollectorRegistry) -> None:
    config = ServerConfig(hostname="mx.example.org", limits=Limits(errors=0), timeouts=Timeouts(command=1.0))
    with exporting(registry) as port:
        async with observed(Metrics(registry), config, port="submission") as server:
            async with await server.client() as client:
                assert (await deliver(client)).startswith("250")
                found = await scrape(port)
                assert found["smtp_sessions"] == 1
                assert found["smtp_sessions_opened_total port=submission"] == 1
                assert found["smtp_messages_total port=submission"] == 1
                assert found["smtp_body_octets_total port=submission"] == len(MESSAGE)
                assert {code: found[f"smtp_replies_total class={code}xx port=submission"] for code in "2345"} == {
                    "2": 5, "3": 1, "4": 0, "5": 0
                }  # fmt: skip
                assert found["smtp_limit_errors_rejections_total"] == 0
                await client.ask("FROBNICATE")
                await client.rest()
            await server.empty()
            found = await scrape(port)
            assert found["smtp_sessions"] == 0
            assert found["smtp_limit_errors_rejections_total"] == 1
            assert found["smtp_replies_total class=4xx port=submission"] == 1
            assert found["smtp_sessions_closed_total cause=limit port=submission"] == 1
    with pytest.raises(OSError):
        await scrape(port)


async def test_a_server_is_observed(registry: CollectorRegistry) -> None:
    """What `serve` tells by itself: of connections that it turns away, and of how many there are."""
    recorder = Recorder()
    observer = Several(Metrics(registry), recorder)
    async with serving(observer=observer, admission=Admission(connections=1), name="mx") as host:
        async with await host.client() as client:
            assert (await deliver(client)).startswith("250")
            assert now(registry)["smtp_limit_connections"] == 1
            async with await host.client() as surplus:
                assert (await surplus.reply()).startswith("421")
            facts = host.sessions[0].facts
            assert await client.ask("QUIT")
            await client.rest()
        await host.empty()
        await until(lambda: recorder.of("closed"))
    found = now(registry)
    assert found["smtp_limit_connections_rejections_total"] == 1
    assert found["smtp_limit_connections"] == found["smtp_sessions"] == 0
    assert found["smtp_sessions_opened_total port=mx"] == found["smtp_messages_total port=mx"] == 1
    assert {each[1].session_id for each in recorder.heard if each[0] == "event"} == {facts.session_id}


def limits_of(kind: Any) -> Iterator[str]:
    return (field.name for field in attrs.fields(kind))


def test_each_limit_has_a_gauge_and_a_counter(registry: CollectorRegistry) -> None:
    Metrics(registry)
    found = now(registry)
    names = {*limits_of(Limits), *limits_of(Timeouts), *limits_of(Admission)}
    names -= {"ipv6_prefix", "exempt", "silent", "remembered"}  # which refuse nobody
    assert names == {*SERVER_LIMITS, *SESSION_LIMITS}
    for name in names:
        assert found[f"smtp_limit_{name}"] == found[f"smtp_limit_{name}_rejections_total"] == 0
    assert len(SERVER_LIMITS) + len(SESSION_LIMITS) == len(names)


@given(mix=mixes())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_counters_add_up(mix: list[tuple[list[str], str]]) -> None:
    registry = CollectorRegistry()
    recorder = Recorder()
    async with observed(Several(Metrics(registry), recorder), MIX_CONFIG) as server:
        tally = await run_mix(server, mix)
    found = now(registry)

    def counted(name: str) -> dict[str, float]:
        return {key: value for key, value in found.items() if key.startswith(name) and value}

    assert counted("smtp_sessions_opened") == {"smtp_sessions_opened_total port=mx": tally.sessions}
    assert counted("smtp_sessions_closed") == {
        f"smtp_sessions_closed_total cause={cause} port=mx": number for cause, number in tally.causes.items()
    }
    assert counted("smtp_replies") == {
        f"smtp_replies_total class={k} port=mx": number for k, number in tally.replies.items()
    }
    assert found["smtp_messages_total port=mx"] == tally.messages
    assert {name: value for name, value in counted("smtp_limit").items() if name.endswith("_total")} == {
        f"smtp_limit_{name}_rejections_total": number for name, number in tally.limits.items()
    }
    assert all(getattr(MIX_CONFIG.limits, name) <= found[f"smtp_limit_{name}"] for name in tally.limits)
    # Of a message that is refused on its way, no more comes here than was there.
    assert sum(each.octets for each in recorder.told(BodySize)) == found["smtp_body_octets_total port=mx"]
    assert found["smtp_body_octets_total port=mx"] == tally.octets
    assert found["smtp_sessions"] == 0


async def test_gauge_of_a_limit_of_sessions(registry: CollectorRegistry) -> None:
    """It shows how near to the limit a session has come, and stays there."""

    def used() -> tuple[float, float]:
        found = now(registry)
        return found["smtp_limit_recipients"], found["smtp_limit_recipients_rejections_total"]

    async with observed(Metrics(registry), MIX_CONFIG) as server:
        for recipients, expected in ((3, (3, 0)), (2, (3, 0)), (101, (100, 1)), (1, (100, 1))):
            async with await server.client() as client:
                await client.greet()
                await client.ask("MAIL FROM:<a@example.org>", *["RCPT TO:<b@example.org>"] * recipients, "DATA")
                assert used() == expected
        await server.empty()
    assert used() == (100, 1)


async def test_gauge_of_a_limit_that_nobody_reads(registry: CollectorRegistry) -> None:
    """It shows nothing, and then that all of it was used."""
    async with observed(Metrics(registry)) as server, await server.client() as client:
        await client.greet()
        assert now(registry)["smtp_limit_auth_octets"] == 0
        await client.ask(b"AUTH PLAIN " + b"x" * 12288)
        assert now(registry)["smtp_limit_auth_octets"] == 12288


def test_limits_of_the_server(registry: CollectorRegistry) -> None:
    metrics = Metrics(registry)
    metrics.gauge("connections", 7)
    metrics.refused("connections", PEER)
    metrics.refused("tls", PEER)
    metrics.refused("rate", PEER, SessionFacts("id", PEER))
    found = now(registry)
    assert found["smtp_limit_connections"] == 7
    assert found["smtp_limit_connections_rejections_total"] == 1
    assert found["smtp_limit_tls_rejections_total"] == 1
    assert found["smtp_limit_tls"] == found["smtp_limit_rate"] == 0
    for call in (
        lambda: metrics.gauge("x", 1),
        lambda: metrics.gauge("x", 1, SessionFacts("id", PEER)),
        lambda: metrics.refused("x", PEER),
    ):
        with pytest.raises(KeyError):
            call()
    assert now(registry) == found


def test_session_that_was_cut(registry: CollectorRegistry) -> None:
    metrics = Metrics(registry)
    facts = SessionFacts("id", PEER)
    metrics.opened(facts)
    metrics.event(facts, Quit())
    metrics.closed(facts, None)
    found = now(registry)
    assert found["smtp_sessions_closed_total cause=cut port="] == 1
    assert found["smtp_sessions"] == 0


@pytest.mark.catalogue("J8")
def test_labels_are_bounded(registry: CollectorRegistry) -> None:
    """Whoever connects, and whatever they say: no more lines than there are. Only a port's name is the server's."""
    metrics = Metrics(registry)
    before = len(now(registry))
    for number in range(1000):
        peer = Peer(f"2001:db8::{number:x}", number)
        facts = SessionFacts(f"id-{number}", peer, "mx" if number < 500 else f"port {number}")
        metrics.opened(facts)
        metrics.event(facts, BodySize(number))
        metrics.said(facts, Reply((250, 354, 450, 550)[number % 4], f"text {number}"))
        metrics.refused("errors", peer, facts)
        metrics.gauge("errors", number, facts)
        metrics.closed(facts, Closed(list(Cause)[number % len(Cause)], f"detail {number}"))
    found = now(registry)
    ports = {key.partition("port=")[2] for key in found if "port=" in key}
    assert len(ports) == 101
    assert {"mx", OTHER} <= ports
    assert len(found) == before + (10 + len(Cause)) * len(ports)
    assert not any("2001:db8" in key or "detail" in key or "text" in key or "id-" in key for key in found)
    assert sum(value for key, value in found.items() if key.startswith("smtp_sessions_opened_total")) == 1000


async def test_no_secret_is_a_metric(registry: CollectorRegistry) -> None:
    async with observed(Metrics(registry)) as server:
        await tell_secrets(server.client)
        await until(lambda: not server.living)
    text = generate_latest(registry).decode()
    assert shown(text) == []
    assert "127.0.0.1" not in text
