"""Who may connect: limits on connections, looked at before anything is said or kept for one.

Theory of operation. A connection that may stay takes a `Seat`, and leaves it when it is over. What is
counted for an address is there only as long as the address has a connection; what is kept of the rate of
one is a single number, the moment at which its bucket will be full again, and goes when that has come. The
oldest of these go as well when there are more than `Admission.remembered`.
"""

import math
import resource
import socket
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Final

import attrs

from smtpcore import Peer, Reply

from .listening import Network, networks
from .observe import Observer

TOO_MANY: Final = Reply(421, "Too many connections, try again later", "4.3.2")
TOO_MANY_OF_YOURS: Final = Reply(421, "Too many connections from your address, try again later", "4.7.0")

# Sums of fractions are not exact.
_ROUNDING: Final = 1e-3


@attrs.frozen(kw_only=True)
class Admission:
    """The limits on connections to all ports of a server; None is no limit.

    Args:
        connections: in total, at once.
        per_address: from one address, at once.
        rate: how many from one address, in how many seconds; as many may come at once.
        handshakes: of TLS, in total, at once.
        handshakes_per_address: of TLS, from one address, at once.
        reserve_descriptors: of the process's file descriptors that connections may not take.
        ipv6_prefix: so many bits of an IPv6 address are one address here; a site has 64.
        exempt: networks or addresses, also as text, to which what is said above of an address does not apply.
        silent: drop a connection without a 421.
        remembered: addresses for *rate*, of some 400 octets each.

    Raises:
        ValueError: a limit is out of its range.
    """

    connections: int = 1000
    per_address: int | None = 20
    rate: tuple[int, float] | None = (60, 60.0)
    handshakes: int = 100
    handshakes_per_address: int | None = 10
    reserve_descriptors: int = 64
    ipv6_prefix: int = 64
    exempt: tuple[Network, ...] = attrs.field(default=(), converter=networks)
    silent: bool = False
    remembered: int = 50_000

    def __attrs_post_init__(self) -> None:
        counts = [self.connections, self.per_address, self.handshakes, self.handshakes_per_address, self.remembered]
        if self.rate is not None:
            counts.append(self.rate[0])
            if self.rate[1] <= 0:
                raise ValueError("rate is for some time")
        if any(count is not None and count < 1 for count in counts):
            raise ValueError("a limit lets nobody in")
        if self.reserve_descriptors < 0:
            raise ValueError("reserve_descriptors cannot be negative")
        if not 0 <= self.ipv6_prefix <= 128:
            raise ValueError("ipv6_prefix is 0 to 128")


class Full(Exception):
    """A limit is reached.

    Args:
        limit: its name in `Admission`.
    """

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit

    @property
    def reply(self) -> Reply:
        """What to say."""
        return TOO_MANY if self.limit in ("connections", "reserve_descriptors") else TOO_MANY_OF_YOURS


Address = str | int


class Tally:
    """Counts things of addresses, and knows how many the one with the most has."""

    def __init__(self) -> None:
        self.most = 0
        self._counts: dict[Address, int] = {}
        self._with: dict[int, int] = {}  # how many addresses have so many

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, address: Address) -> int:
        """How many there are of *address*."""
        return self._counts.get(address, 0)

    def add(self, address: Address) -> None:
        """One more."""
        self._move(address, 1)

    def remove(self, address: Address) -> None:
        """One less."""
        self._move(address, -1)

    def _move(self, address: Address, by: int) -> None:
        was = self._counts.pop(address, 0)
        now = was + by
        if now:
            self._counts[address] = now
        for count, change in ((was, -1), (now, 1)):
            left = self._with.pop(count, 0) + change
            if count and left:
                self._with[count] = left
        # Where the only one with the most has lost one, what it has left is now the most.
        if now > self.most or self.most not in self._with:
            self.most = now


class Gate:
    """Counts connections, and holds them to an `Admission`.

    Args:
        admission: the limits.
        observer: is told what there is, and what is refused.
    """

    def __init__(self, admission: Admission, observer: Observer) -> None:
        self.admission = admission
        self.observer = observer
        self.connections = 0
        self.handshakes = 0
        self.of_address = Tally()
        self.handshakes_of_address = Tally()
        # To find the first of a dict takes the longer, the more have gone from its front.
        self.full_at: OrderedDict[Address, float] = OrderedDict()

    def enter(self, peer: Peer, descriptor: int) -> "Seat":
        """A seat for a connection, which is not held to the limits of an address yet.

        Args:
            peer: who is at the other end.
            descriptor: that of its socket.

        Raises:
            Full: there is none.
        """
        if self.connections >= self.admission.connections:
            self.refuse("connections", peer)
        # The system gives the lowest number that is free: below this one all are taken.
        excess = descriptor + 1 + self.admission.reserve_descriptors - descriptors()
        self.observer.gauge("reserve_descriptors", int(max(excess, 0)))
        if excess > 0:
            self.refuse("reserve_descriptors", peer)
        self.connections += 1
        self.observer.gauge("connections", self.connections)
        return Seat(self, peer)

    def refuse(self, limit: str, peer: Peer) -> None:
        """Say that there is no room.

        Raises:
            Full: always.
        """
        self.observer.refused(limit, peer)
        raise Full(limit)

    def within_rate(self, address: "Address", now: float) -> bool:
        """Whether another connection may come from *address* now, which counts it."""
        if self.admission.rate is None:
            return True
        most, seconds = self.admission.rate
        one = seconds / most
        full_at = max(self.full_at.get(address, now), now) + one
        if full_at - now > seconds + one * _ROUNDING:
            return False
        # In the order in which they were last heard of.
        self.full_at[address] = full_at
        self.full_at.move_to_end(address)
        self.observer.gauge("rate", math.ceil((full_at - now) / one - _ROUNDING))
        self._forget(now)
        return True

    def _forget(self, now: float) -> None:
        """Forget two at most, so that there are fewer in the end, and nobody waits for it."""
        for _ in range(2):
            oldest = next(iter(self.full_at))
            if self.full_at[oldest] > now and len(self.full_at) <= self.admission.remembered:
                break
            del self.full_at[oldest]

    def gauge_handshakes(self) -> None:
        """Tell how many handshakes there are."""
        self.observer.gauge("handshakes", self.handshakes)
        self.observer.gauge("handshakes_per_address", self.handshakes_of_address.most)

    def address(self, peer: Peer) -> "Address | None":
        """What counts as the address of *peer*; None where there is nothing to count."""
        text = peer.address
        if text is None or within(text, self.admission.exempt):
            return None
        if ":" not in text:
            return text
        return int.from_bytes(socket.inet_pton(socket.AF_INET6, text)) >> (128 - self.admission.ipv6_prefix)


class Seat:
    """What a connection takes of the room that there is."""

    __slots__ = ("_address", "_gate", "_peer", "_taken")

    def __init__(self, gate: Gate, peer: Peer) -> None:
        self._gate = gate
        self._peer = peer
        self._address: Address | None = None
        self._taken = True

    def claim(self, peer: Peer, now: float) -> None:
        """Hold the connection to the limits of an address, and count it there.

        Args:
            peer: who is at the other end, perhaps of a proxy.
            now: the time.

        Raises:
            Full: one is reached; the seat is taken until `leave`.
        """
        gate = self._gate
        self._peer = peer
        address = gate.address(peer)
        if address is None:
            return
        most = gate.admission.per_address
        if most is not None and gate.of_address.count(address) >= most:
            gate.refuse("per_address", peer)
        if not gate.within_rate(address, now):
            gate.refuse("rate", peer)
        self._address = address
        gate.of_address.add(address)
        gate.observer.gauge("per_address", gate.of_address.most)

    @contextmanager
    def handshake(self) -> Iterator[None]:
        """Around a handshake.

        Raises:
            Full: there are too many of them.
        """
        gate, address = self._gate, self._address
        if (limit := self.handshake_limit()) is not None:
            gate.refuse(limit, self._peer)
        gate.handshakes += 1
        if address is not None:
            gate.handshakes_of_address.add(address)
        gate.gauge_handshakes()
        try:
            yield
        finally:
            gate.handshakes -= 1
            if address is not None:
                gate.handshakes_of_address.remove(address)
            gate.gauge_handshakes()

    def handshake_limit(self) -> str | None:
        """The name of the limit by which there cannot be a handshake now."""
        gate, admission = self._gate, self._gate.admission
        if gate.handshakes >= admission.handshakes:
            return "handshakes"
        most, address = admission.handshakes_per_address, self._address
        if most is not None and address is not None and gate.handshakes_of_address.count(address) >= most:
            return "handshakes_per_address"
        return None

    def leave(self) -> None:
        """The connection is over."""
        if not self._taken:
            return
        gate = self._gate
        self._taken = False
        gate.connections -= 1
        if self._address is not None:
            gate.of_address.remove(self._address)
            gate.observer.gauge("per_address", gate.of_address.most)
        gate.observer.gauge("connections", gate.connections)


def within(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether *address* is in one of *networks*."""
    if not networks:
        return False
    parsed = ip_address(address)
    return any(parsed in network for network in networks)


def descriptors() -> float:
    """How many file descriptors this process may have."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if most == resource.RLIM_INFINITY else most
