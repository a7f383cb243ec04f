"""What workers are given to do; they import it. As a program: a server with two of them."""

import functools
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import trio

from smtpcore import Peer, Reply, ServerConfig
from smtpcore_trio import NOBODY, BaseObserver, BaseSession, Facts, Port, Workers, listen_tcp, serve

CONFIG = ServerConfig(hostname="mx.example.org")


class Pid(BaseSession):
    """Greets with its process's number, and takes messages."""

    async def connected(self, peer: Peer) -> Reply | None:
        return Reply(220, f"{os.getpid()} {peer.address}")

    async def data(self, body: AsyncIterator[bytes]) -> Reply | Sequence[Reply]:
        async for _octets in body:
            pass
        return Reply(250, "Stored", "2.0.0")

    async def rcpt(self, event: object) -> Reply | None:
        if "sleep" in str(event):
            block()
        return None


def block() -> None:
    """What no session should do. There is a sign when it begins."""
    Path(os.environ["SIGN"]).touch()
    time.sleep(60)


class Breaking(BaseObserver):
    """Is sent, but cannot be read."""

    def __reduce__(self) -> tuple[object, ...]:
        return broken, ()


def broken() -> BaseObserver:
    raise ValueError("cannot be read")


def observer() -> BaseObserver:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return NOBODY
    from smtpcore_trio import Metrics

    return Metrics()


async def program() -> None:
    async with trio.open_nursery() as nursery:
        port = Port(listeners=await listen_tcp("127.0.0.1", 0, reuse_port=True), config=CONFIG)
        start = functools.partial(serve, [port], Pid, observer=observer(), grace=15, workers=2)
        server: Workers = await nursery.start(start)
        with trio.open_signal_receiver(signal.SIGINT) as signals:
            print(port.addresses[0], *server.pids, flush=True)
            async for _number in signals:
                server.drain()
                break
    print("drained", server.cut, flush=True)


def new_pid(facts: Facts) -> Pid:
    return Pid(facts)


if __name__ == "__main__":
    sys.exit(trio.run(program))
