"""Numbers about a server, for Prometheus: `Metrics` is an `Observer`, and `exporting` shows a registry over HTTP.

No label has a value that a client chooses.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, start_http_server

from smtpcore import Cause, Closed, Limits, Peer, Reply, Timeouts

from .admission import Admission
from .observe import BaseObserver, BodySize, Event, SessionFacts, Settled

# What else `Admission` says.
_NO_LIMITS: Final = ("ipv6_prefix", "exempt", "silent", "remembered")


def _names(of: Any) -> list[str]:
    return [field.name for field in attrs.fields(of)]


SERVER_LIMITS: Final = tuple(name for name in _names(Admission) if name not in _NO_LIMITS)
"""The limits of the whole server; each gauge says how much of it is in use."""

SESSION_LIMITS: Final = (*_names(Limits), *_names(Timeouts))
"""The limits and deadlines of one session; each gauge says how many of the sessions at work have come upon it."""

OTHER: Final = "other"
# Names of ports that are told apart. They are the application's; should it make up new ones, they are no leak.
_PORTS: Final = 100


class Metrics(BaseObserver):
    """Counts what happens.

    Args:
        registry: where its metrics go. It holds one `Metrics`, which any number of servers may share.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._sessions = Gauge("smtp_sessions", "Sessions at work.", registry=registry)
        self._opened = Counter("smtp_sessions_opened", "Sessions that began.", ["port"], registry=registry)
        self._closed = Counter("smtp_sessions_closed", "Sessions that ended.", ["cause"], registry=registry)
        self._messages = Counter(
            "smtp_messages", "Messages that were taken, for one recipient at least.", ["port"], registry=registry
        )
        self._octets = Counter("smtp_body_octets", "Octets of messages that came.", ["port"], registry=registry)
        self._replies = Counter("smtp_replies", "Replies.", ["class"], registry=registry)
        self._gauges: dict[str, Gauge] = {}
        self._rejections: dict[str, Counter] = {}
        for name in SERVER_LIMITS:
            self._add_limit(name, f"How much of the limit {name} is in use.", registry)
        for name in SESSION_LIMITS:
            self._add_limit(name, f"Sessions at work that have come upon the limit {name}.", registry)
        # To find a child by its labels takes longer than to count.
        self._said = {digit: self._replies.labels(f"{digit}xx") for digit in (2, 3, 4, 5)}
        self._ended = {cause: self._closed.labels(cause.name.lower()) for cause in Cause}
        self._cut = self._closed.labels("cut")
        self._ports: dict[str, tuple[Counter, Counter, Counter]] = {}
        self._upon: dict[str, set[str]] = {}  # the limits that a session has come upon

    def _add_limit(self, name: str, what: str, registry: CollectorRegistry) -> None:
        self._gauges[name] = Gauge(f"smtp_limit_{name}", what, registry=registry)
        self._rejections[name] = Counter(
            f"smtp_limit_{name}_rejections", f"How often the limit {name} was hit.", registry=registry
        )

    def _port(self, name: str) -> tuple[Counter, Counter, Counter]:
        counters = self._ports.get(name)
        if counters is None:
            if len(self._ports) >= _PORTS and name != OTHER:
                return self._port(OTHER)
            counters = (self._opened.labels(name), self._messages.labels(name), self._octets.labels(name))
            self._ports[name] = counters
        return counters

    def opened(self, session: SessionFacts) -> None:
        """See `Observer`."""
        self._sessions.inc()
        self._port(session.port)[0].inc()

    def event(self, session: SessionFacts, event: Event) -> None:
        """See `Observer`."""
        if isinstance(event, BodySize):
            self._port(session.port)[2].inc(event.octets)
        elif isinstance(event, Settled) and any(reply.positive for reply in event.verdicts):
            self._port(session.port)[1].inc()

    def said(self, session: SessionFacts, reply: Reply) -> None:
        """See `Observer`."""
        self._said[reply.code // 100].inc()

    def closed(self, session: SessionFacts, closed: Closed | None) -> None:
        """See `Observer`."""
        self._sessions.dec()
        (self._cut if closed is None else self._ended[closed.cause]).inc()
        for limit in self._upon.pop(session.session_id, ()):
            self._gauges[limit].dec()

    def refused(self, limit: str, peer: Peer, session: SessionFacts | None = None) -> None:
        """See `Observer`. Raises `KeyError` for what is no limit."""
        self._rejections[limit].inc()
        if session is not None and limit in SESSION_LIMITS:
            upon = self._upon.setdefault(session.session_id, set())
            if limit not in upon:
                upon.add(limit)
                self._gauges[limit].inc()

    def gauge(self, limit: str, value: int) -> None:
        """See `Observer`. Raises `KeyError` for what is no limit."""
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
