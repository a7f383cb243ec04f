"""What a client needs for a message over connections that are kept, beside smtplib and aiosmtplib.

Postfix's smtp-sink takes the messages, in a process of its own on a loopback port. The figures are this process's
processor time, which a busy machine disturbs least; the subjects take turns, and connecting is not counted. On a
virtual machine to wake the sink on another processor costs as much as a message: --cpu keeps both on one.

    python benchmarks/client_kept.py [--cpu N] [--messages N] [--rounds N] [--profile SUBJECT] [--smoke]
"""

import argparse
import asyncio
import contextlib
import cProfile
import os
import pstats
import shutil
import smtplib
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiosmtplib
import trio

from smtpcore import Envelope, Fate, Mailbox, Outcome, Recipient
from smtpcore_trio import TlsMode, connect
from smtpcore_trio.pool import Destination, Pool, PoolLimits

HOST = "127.0.0.1"
SENDER, RECIPIENT = "alice@example.com", "bob@example.org"
HEADER = b"From: alice@example.com\r\nTo: bob@example.org\r\nSubject: bench\r\n\r\n"

Measured = tuple[float, float]
"""Seconds of processor time, and of time."""


class Watch:
    """Measures what happens between `start` and `stop`."""

    def __init__(self, profiled: bool) -> None:
        self.profiled = profiled
        self.measured: Measured = (0.0, 0.0)

    def start(self) -> None:
        """All is connected."""
        self._profile = cProfile.Profile() if self.profiled else None
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        if self._profile is not None:
            self._profile.enable()

    def stop(self) -> None:
        """All is sent."""
        if self._profile is not None:
            self._profile.disable()
            pstats.Stats(self._profile).sort_stats("tottime").print_stats(40)
        self.measured = time.process_time() - self._cpu, time.perf_counter() - self._wall


def by_smtplib(port: int, message: bytes, count: int, connections: int, watch: Watch) -> None:
    """In the only way it knows: a message at a time, and a round trip for every command."""
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(smtplib.SMTP(HOST, port, local_hostname="client.example")) for _ in range(connections)
        ]
        for client in clients:
            client.ehlo()
        watch.start()
        for number in range(count):
            clients[number % connections].sendmail(SENDER, [RECIPIENT], message)
        watch.stop()


def by_aiosmtplib(port: int, message: bytes, count: int, connections: int, watch: Watch) -> None:
    async def send(client: aiosmtplib.SMTP) -> None:
        for _ in range(count // connections):
            await client.sendmail(SENDER, [RECIPIENT], message)

    async def run() -> None:
        clients = [
            aiosmtplib.SMTP(hostname=HOST, port=port, start_tls=False, local_hostname="client.example")
            for _ in range(connections)
        ]
        for client in clients:
            await client.connect()
            await client.ehlo()
        watch.start()
        await asyncio.gather(*map(send, clients))
        watch.stop()
        for client in clients:
            await client.quit()

    asyncio.run(run())


ENVELOPE = Envelope(Mailbox.parse(SENDER), (Recipient(Mailbox.parse(RECIPIENT)),))


def _check(outcomes: tuple[Outcome, ...]) -> None:
    if outcomes[0].fate is not Fate.ACCEPTED:
        raise RuntimeError(f"not taken: {outcomes}")


def by_client(port: int, message: bytes, count: int, connections: int, watch: Watch) -> None:
    """`connect`, and a task for each connection."""

    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(await connect(HOST, port, tls=TlsMode.NONE, hello="client.example"))
                for _ in range(connections)
            ]

            async def send(number: int) -> None:
                for _ in range(count // connections):
                    _check(await clients[number].send(ENVELOPE, message))

            watch.start()
            async with trio.open_nursery() as nursery:
                for number in range(connections):
                    nursery.start_soon(send, number)
            watch.stop()

    trio.run(run)


def by_pool(port: int, message: bytes, count: int, connections: int, watch: Watch) -> None:
    """`Pool`, and as many senders as it may have connections."""

    async def run() -> None:
        destination = Destination(HOST, port, tls=TlsMode.NONE, hello="client.example")
        limits = PoolLimits(per_host=connections, total=connections, messages=count + connections)
        async with Pool(limits) as pool:

            async def send(messages: int) -> None:
                for _ in range(messages):
                    _check(await pool.send(destination, ENVELOPE, message))

            async def all_send(messages: int) -> None:
                async with trio.open_nursery() as nursery:
                    for _ in range(connections):
                        nursery.start_soon(send, messages)

            await all_send(1)
            watch.start()
            await all_send(count // connections)
            watch.stop()

    trio.run(run)


SUBJECTS: dict[str, Callable[[int, bytes, int, int, Watch], None]] = {
    "client": by_client,
    "pool": by_pool,
    "smtplib": by_smtplib,
    "aiosmtplib": by_aiosmtplib,
}


@contextlib.contextmanager
def sink() -> Iterator[int]:
    """The port of an smtp-sink."""
    path = shutil.which("smtp-sink", path="/usr/sbin:/usr/local/sbin:/usr/libexec/postfix:/usr/bin")
    if path is None:
        missing = "smtp-sink is not here: it comes with Postfix"
        if "--smoke" in sys.argv and "CI" not in os.environ:  # a laptop may be without it
            print(f"skipped: {missing}")
            sys.exit(0)
        sys.exit(missing)
    with socket.create_server((HOST, 0)) as listening:
        port: int = listening.getsockname()[1]
    command = [path, *(["-u", "nobody"] if os.getuid() == 0 else []), f"{HOST}:{port}", "100"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=Path("/"))
    try:
        for _ in range(100):
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection((HOST, port)):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def main() -> None:
    parser = argparse.ArgumentParser(description="Processor time for a message over kept connections.")
    parser.add_argument("--messages", type=int, default=3000, help="in a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="(%(default)s)")
    parser.add_argument("--octets", type=int, default=1024, help="of a message (%(default)s)")
    parser.add_argument("--connections", type=int, default=10, help="(%(default)s)")
    parser.add_argument("--cpu", type=int, help="where all runs, the sink too (anywhere)")
    parser.add_argument("--profile", choices=SUBJECTS, help="this subject alone, once")
    parser.add_argument("--smoke", action="store_true", help="see that it runs, with a few messages")
    options = parser.parse_args()
    if options.cpu is not None:
        os.sched_setaffinity(0, [options.cpu])
    rounds, count = (1, 40) if options.smoke else (options.rounds, options.messages)
    count -= count % options.connections
    line = b"x" * 70 + b"\r\n"
    message = HEADER + line * ((options.octets - len(HEADER)) // len(line))
    subjects = [options.profile] if options.profile else list(SUBJECTS)
    results: dict[str, list[Measured]] = {name: [] for name in subjects}
    with sink() as port:
        for _ in range(1 if options.profile else rounds):
            for name in subjects:
                watch = Watch(options.profile is not None)
                SUBJECTS[name](port, message, count, options.connections, watch)
                results[name].append(watch.measured)
    print(f"{len(message)} octets, {options.connections} connections, {rounds} rounds of {count} messages")
    print(f"{'':12}{'us of CPU a message':>32}{'messages/s':>14}")
    print(f"{'':12}{'least':>16}{'median':>16}{'median':>14}")
    for name, measured in results.items():
        cpu = sorted(each / count * 1e6 for each, _ in measured)
        rate = statistics.median(count / wall for _, wall in measured)
        print(f"{name:12}{cpu[0]:16.1f}{statistics.median(cpu):16.1f}{rate:14.0f}")


if __name__ == "__main__":
    main()
