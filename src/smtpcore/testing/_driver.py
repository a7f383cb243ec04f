"""What the drivers of both ends have in common: octets and time in, octets and events out, all by hand."""

from abc import ABC, abstractmethod
from typing import Any, Generic, Protocol, TypeVar

from .._events import TlsInfo, Wait


class _Engine(Protocol):
    def receive_data(self, data: bytes, now: float) -> None: ...
    def handle_timeout(self, now: float) -> None: ...
    def data_to_send(self, now: float) -> list[bytes]: ...
    def data_sent(self, now: float) -> None: ...
    def tls_started(self, info: TlsInfo) -> None: ...
    def tls_failed(self) -> None: ...


_Connection = TypeVar("_Connection", bound=_Engine)
_Event = TypeVar("_Event")


class Driver(ABC, Generic[_Connection, _Event]):
    """Pumps a connection as an adapter would, and keeps what it says.

    Args:
        conn: the engine.
        tls: what a handshake comes to, unless `handshake` is told otherwise.
        now: the time at the start.
    """

    def __init__(self, conn: _Connection, tls: TlsInfo, now: float) -> None:
        self.conn = conn
        self.events: list[_Event] = []
        self.out = b""
        self.now = now
        self.wait: Wait | None = None
        self._tls = tls
        self._read = 0

    @abstractmethod
    def pump(self) -> Wait:
        """Take events until there is nothing left to do; send all that is to be sent."""

    def flush(self) -> None:
        """Send what is to be sent."""
        out = b"".join(self.conn.data_to_send(self.now))
        if out and self.transmit(out):
            self.conn.data_sent(self.now)

    def transmit(self, octets: bytes) -> bool:
        """Let *octets* leave; whether they did."""
        self.out += octets
        return True

    def feed(self, data: bytes, cut: int | None = None) -> bytes:
        """Let the peer send *data*, in pieces of *cut* octets; what is said to it."""
        before = len(self.out)
        size = cut or len(data) or 1
        for start in range(0, len(data), size):
            self.conn.receive_data(data[start : start + size], self.now)
            self.pump()
        return self.out[before:]

    def say(self, *lines: str) -> bytes:
        """Let the peer send *lines*; what is said to them."""
        return self.feed("".join(f"{line}\r\n" for line in lines).encode())

    def eof(self) -> None:
        """Let the peer close its side."""
        self.conn.receive_data(b"", self.now)
        self.pump()

    def handshake(self, tls: TlsInfo | None = None) -> None:
        """Let the handshake succeed that is waited for."""
        self.conn.tls_started(tls or self._tls)
        self.pump()

    def fail_handshake(self) -> None:
        """Let the handshake fail that is waited for."""
        self.conn.tls_failed()
        self.pump()

    def at(self, now: float) -> Wait:
        """Let it be *now*."""
        self.now = now
        self.conn.handle_timeout(now)
        return self.pump()

    def seen(self, *kinds: type) -> list[Any]:
        """The events of *kinds*."""
        return [event for event in self.events if isinstance(event, kinds)]

    def fresh(self) -> bytes:
        """What was said since the last call."""
        out, self._read = self.out[self._read :], len(self.out)
        return out
