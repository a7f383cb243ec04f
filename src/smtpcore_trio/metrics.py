"""Numbers about a server and a client, for Prometheus, and `exporting`, which shows a registry over HTTP.

`Metrics` is an `Observer`, `ClientMetrics` a `ClientObserver`. No label has a value that a peer chooses.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import attrs
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from smtpcore import (
    Authenticated,
    AuthFailed,
    Cause,
    ClientTimeouts,
    Closed,
    Fate,
    Limits,
    Peer,
    RcptTo,
    Reply,
    Timeouts,
)

from .admission import Admission
from .observe import NO_PROXY_HEADER, NO_TLS, BaseObserver, BodySize, Denied, Event, SessionFacts, Settled
from .observe_client import CONNECT_SECONDS, REASONS, BaseClientObserver, ClientFacts, Sent

# What else `Admission` says.
_NO_LIMITS: Final = ("ipv6_prefix", "exempt", "silent", "remembered")


def _names(of: Any) -> list[str]:
    return [field.name for field in attrs.fields(of)]


SERVER_LIMITS: Final = tuple(name for name in _names(Admission) if name not in _NO_LIMITS)
"""The limits of the whole server; each gauge says how much of it is in use."""

SESSION_LIMITS: Final = (*_names(Limits), *_names(Timeouts))
"""The limits and deadlines of one session.

Each gauge says to how much of it one session has come, the most since the start; of those that are not in
`READ_LIMITS` that is known only when one was hit.
"""

# Those of which each worker has its share; of the others each may have all.
_SHARED: Final = ("connections", "handshakes")

POOL_LIMITS: Final = ("per_host", "total", "waiters")
"""The limits of a pool; each gauge says how much of it is in use: of *per_host*, by the host with the most."""

CLIENT_LIMITS: Final = (
    CONNECT_SECONDS, "reply_line_octets", "reply_lines", "reply_octets", "capabilities", *_names(ClientTimeouts)
)  # fmt: skip
"""The limits and deadlines that end a connection of a client. Nobody reads how near it has come to one: they are
counted, and have no gauge."""

# What else `Observer.refused` tells.
_FAILURES: Final = (
    (NO_PROXY_HEADER, "smtp_proxy_failures", "Connections of proxies without a good PROXY header."),
    (NO_TLS, "smtp_tls_failures", "Connections that were to begin with TLS, and whose handshake failed."),
)

OTHER: Final = "other"
# From what a server beside us takes, to the wait for the reply to the final dot.
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
# Names of ports that are told apart. They are the application's; should it make up new ones, they are no leak.
_PORTS: Final = 100


class _OfPorts:
    """What is counted of each port."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"smtp_{name}", what, ["port", *labels], registry=registry)

        self.opened = counter("sessions_opened", "Sessions that began.")
        self.closed = counter("sessions_closed", "Sessions that ended.", "cause")
        self.messages = counter("messages", "Messages that were taken, for one recipient at least.")
        self.octets = counter("body_octets", "Octets of messages that came.")
        self.replies = counter("replies", "Replies.", "class")
        self.recipients = counter("recipients", "Recipients that sessions were asked for.")
        self.refused = counter("recipients_refused", "Recipients that sessions have refused.")
        self.auth = counter("auth", "Outcomes of AUTH.", "mechanism", "result")


class _OfPort:
    """The same of one port. To find a child by its labels takes longer than to count."""

    def __init__(self, of: _OfPorts, name: str) -> None:
        self.opened = of.opened.labels(name)
        self.closed = {cause: of.closed.labels(name, cause.name.lower()) for cause in Cause}
        self.cut = of.closed.labels(name, "cut")
        self.messages = of.messages.labels(name)
        self.octets = of.octets.labels(name)
        self.replies = {digit: of.replies.labels(name, f"{digit}xx") for digit in (2, 3, 4, 5)}
        self.recipients = of.recipients.labels(name)
        self.refused = of.refused.labels(name)
        self._name, self._auth = name, of.auth

    def count_body(self, event: BodySize) -> None:
        self.octets.inc(event.octets)

    def count_message(self, event: Settled) -> None:
        if any(reply.positive for reply in event.verdicts):
            self.messages.inc()

    def count_recipient(self, _event: RcptTo) -> None:
        self.recipients.inc()

    def count_denied(self, event: Denied) -> None:
        if isinstance(event.question, RcptTo):
            self.refused.inc()

    # The mechanisms are those of the config, whatever a client asks for.
    def count_authenticated(self, event: Authenticated) -> None:
        self._auth.labels(self._name, event.mechanism, "succeeded").inc()

    def count_auth_failed(self, event: AuthFailed) -> None:
        self._auth.labels(self._name, event.mechanism, "failed").inc()


_COUNTS: Final[Mapping[type[object], Callable[[_OfPort, Any], None]]] = {
    BodySize: _OfPort.count_body,
    Settled: _OfPort.count_message,
    RcptTo: _OfPort.count_recipient,
    Denied: _OfPort.count_denied,
    Authenticated: _OfPort.count_authenticated,
    AuthFailed: _OfPort.count_auth_failed,
}


class Metrics(BaseObserver):
    """Counts what happens.

    Args:
        registry: where its metrics go. It holds one `Metrics`, which any number of servers may share.

    In the workers of a server it counts by the multiprocess mode of `prometheus_client`, in the default registry: the
    environment variable PROMETHEUS_MULTIPROC_DIR, set before `prometheus_client` is imported, names an empty directory.
    A `prometheus_client.multiprocess.MultiProcessCollector` has the sums, and of the gauges of limits that hold in each
    worker the most.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._sessions = Gauge("smtp_sessions", "Sessions at work.", registry=registry, multiprocess_mode="livesum")
        self._of_ports = _OfPorts(registry)
        self._gauges: dict[str, Gauge] = {}
        self._rejections: dict[str, Counter] = {}
        for name, metric, what in _FAILURES:
            self._rejections[name] = Counter(metric, what, registry=registry)
        for name in SERVER_LIMITS:
            self._add_limit(name, f"How much of the limit {name} is in use.", registry)
        for name in SESSION_LIMITS:
            self._add_limit(name, f"The most of the limit {name} that one session has come to.", registry)
        self._ports: dict[str, _OfPort] = {}
        self._most = dict.fromkeys(SESSION_LIMITS, 0.0)

    def _add_limit(self, name: str, what: str, registry: CollectorRegistry) -> None:
        mode: Literal["livemax", "livesum"] = "livesum" if name in _SHARED else "livemax"
        self._gauges[name] = Gauge(f"smtp_limit_{name}", what, registry=registry, multiprocess_mode=mode)
        self._rejections[name] = Counter(
            f"smtp_limit_{name}_rejections", f"How often the limit {name} was hit.", registry=registry
        )

    def __reduce__(self) -> tuple[object, ...]:
        if _DIRECTORY not in os.environ or self._registry is not REGISTRY:
            raise TypeError(f"Metrics can count in workers with {_DIRECTORY}, and in the default registry only")
        return _in_worker, ()

    def _port(self, name: str) -> "_OfPort":
        counters = self._ports.get(name)
        if counters is None:
            if len(self._ports) >= _PORTS and name != OTHER:
                return self._port(OTHER)
            counters = self._ports[name] = _OfPort(self._of_ports, name)
        return counters

    def opened(self, session: SessionFacts) -> None:
        """See `Observer`."""
        self._sessions.inc()
        self._port(session.port).opened.inc()

    def event(self, session: SessionFacts, event: Event) -> None:
        """See `Observer`."""
        count = _COUNTS.get(type(event))
        if count is not None:
            count(self._port(session.port), event)

    def said(self, session: SessionFacts, reply: Reply) -> None:
        """See `Observer`."""
        self._port(session.port).replies[reply.code // 100].inc()

    def closed(self, session: SessionFacts, closed: Closed | None) -> None:
        """See `Observer`."""
        self._sessions.dec()
        port = self._port(session.port)
        (port.cut if closed is None else port.closed[closed.cause]).inc()

    def refused(self, limit: str, peer: Peer, session: SessionFacts | None = None) -> None:
        """See `Observer`. Raises `KeyError` for what is no limit."""
        self._rejections[limit].inc()

    def gauge(self, limit: str, value: float, session: SessionFacts | None = None) -> None:
        """See `Observer`. Raises `KeyError` for what is no limit."""
        if session is None:
            self._gauges[limit].set(value)
        elif value > self._most[limit]:
            self._most[limit] = value
            self._gauges[limit].set(value)


_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"


def _in_worker() -> Metrics:
    """Those of this process, once those who have died no longer count as being at work."""
    for path in Path(os.environ[_DIRECTORY]).glob("gauge_live*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except OSError:  # nobody, or somebody else's process by now
            path.unlink(missing_ok=True)
    return Metrics()


class ClientMetrics(BaseClientObserver):
    """Counts what happens in the connections of clients and pools.

    Args:
        registry: where its metrics go. It holds one `ClientMetrics`, which any number of clients may share.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        name = "smtp_client_"
        self._connections = Gauge(
            f"{name}connections", "Connections there are.", registry=registry, multiprocess_mode="livesum"
        )
        self._opened = Counter(f"{name}connections_opened", "Connections that were made.", registry=registry)
        failed = Counter(
            f"{name}connections_failed", "Connections that could not be made.", ["reason"], registry=registry
        )
        closed = Counter(f"{name}connections_closed", "Connections that ended.", ["cause"], registry=registry)
        self._reused = Counter(
            f"{name}connections_reused", "How often a kept connection had another message.", registry=registry
        )
        outcomes = Counter(
            f"{name}outcomes", "What became of messages, for each recipient.", ["fate"], registry=registry
        )
        self._seconds = Histogram(f"{name}send_seconds", "How long messages took.", registry=registry, buckets=_SECONDS)
        self._octets = Counter(f"{name}body_octets", "Octets of messages that were sent.", registry=registry)
        # To find a child by its labels takes longer than to count.
        self._failed = {reason: failed.labels(reason) for reason in REASONS}
        self._closed = {cause: closed.labels(cause.name.lower()) for cause in Cause}
        self._outcomes = {fate: outcomes.labels(fate.name.lower()) for fate in Fate}
        self._gauges = {
            limit: Gauge(
                f"{name}limit_{limit}",
                f"How much of the limit {limit} is in use.",
                registry=registry,
                multiprocess_mode="livemax",
            )
            for limit in POOL_LIMITS
        }
        self._rejections = {
            limit: Counter(
                f"{name}limit_{limit}_rejections", f"How often the limit {limit} was hit.", registry=registry
            )
            for limit in (*POOL_LIMITS, *CLIENT_LIMITS)
        }

    def opened(self, session: ClientFacts) -> None:
        """See `ClientObserver`."""
        self._connections.inc()
        self._opened.inc()

    def failed(self, session: ClientFacts, reason: str, error: BaseException) -> None:
        """See `ClientObserver`."""
        self._failed[reason].inc()

    def closed(self, session: ClientFacts, closed: Closed) -> None:
        """See `ClientObserver`."""
        self._connections.dec()
        self._closed[closed.cause].inc()

    def reused(self, session: ClientFacts) -> None:
        """See `ClientObserver`."""
        self._reused.inc()

    def sent(self, session: ClientFacts, message: Sent) -> None:
        """See `ClientObserver`."""
        self._seconds.observe(message.seconds)
        self._octets.inc(message.octets)
        for outcome in message.outcomes:
            self._outcomes[outcome.fate].inc()

    def refused(self, limit: str, session: ClientFacts | None = None) -> None:
        """See `ClientObserver`. Raises `KeyError` for what is no limit."""
        self._rejections[limit].inc()

    def gauge(self, limit: str, value: int) -> None:
        """See `ClientObserver`. Raises `KeyError` for what is no limit."""
        self._gauges[limit].set(value)


@contextmanager
def exporting(registry: CollectorRegistry = REGISTRY, host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Show *registry* over HTTP, in a thread, as long as the context lasts.

    Args:
        registry: where the metrics are.
        host: an address to listen on. Whoever reaches it may read the metrics.
        port: 0 for any.

    Yields:
        The port.
    """
    server, thread = start_http_server(port, host, registry)
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
