"""What a server needs for a message, beside other servers.

Each server is a process of its own on a loopback port. In every round of a work each has its turn; the figures are
the least and the median of the rounds. Processor time is the kernel's own account of the server's process and its
children, to the nanosecond, which other work on the machine disturbs least. Memory is the peak, above what the process
had after its first message. A work counts only if every message got its 250.

    python benchmarks/server_load.py [--work NAME] [--subject NAME] [--rounds N] [--scale X] [--profile] [--smoke]
"""

import argparse
import contextlib
import math
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from _load import (
    HOST,
    Script,
    Step,
    base64_message,
    converse,
    dots_message,
    drive,
    idlers,
    lock_step,
    pipelined,
    secured,
)

HERE = Path(__file__).parent
PEERS = HERE / "_peers"
ROOT = HERE.parent
SYSTEM = "/usr/sbin:/usr/local/sbin:/usr/libexec/postfix:/usr/bin"
KIB, MIB = 1 << 10, 1 << 20
DESCRIPTORS = 8192


class Missing(Exception):
    """A program is not here."""


# The servers.


def _program(name: str, comes_with: str) -> str:
    path = shutil.which(name) or shutil.which(name, path=SYSTEM)
    if path is None:
        raise Missing(f"{name} is not here: it comes with {comes_with}")
    return path


def _smtpcore() -> list[str]:
    return [sys.executable, str(PEERS / "smtpcore_server.py")]


def _aiosmtpd(loop: str) -> list[str]:
    code = subprocess.run([sys.executable, "-c", f"import aiosmtpd, {loop}"], check=False, capture_output=True)
    if code.returncode:
        raise Missing(f"aiosmtpd or {loop} is not installed")
    return [sys.executable, str(PEERS / "aiosmtpd_server.py"), loop]


def _smtp_sink() -> list[str]:
    path = _program("smtp-sink", "Postfix")
    with socket.create_server((HOST, 0)) as listening:
        port = listening.getsockname()[1]
    as_nobody = ["-u", "nobody"] if os.getuid() == 0 else []
    return [path, *as_nobody, "-m", "5000", f"{HOST}:{port}", "1024"]


def _smtp_server() -> list[str]:
    if not (ROOT / "tests/interop/node_modules/smtp-server").is_dir():
        raise Missing("smtp-server is not here: npm install --prefix tests/interop")
    return [_program("node", "nodejs"), str(PEERS / "smtp_server.cjs")]


def _go_smtp() -> list[str]:
    """Built of Debian's packages, without the network."""
    go, library = shutil.which("go"), Path("/usr/share/gocode")
    if go is None or not (library / "src/github.com/emersion/go-smtp").is_dir():
        raise Missing("go-smtp is not here: golang-go, golang-github-emersion-go-smtp-dev and -go-sasl-dev of Debian")
    built = ROOT / "build/benchmarks"
    built.mkdir(parents=True, exist_ok=True)
    settings = {"GO111MODULE": "off", "GOPATH": str(library), "GOCACHE": str(built / "go"), "GOFLAGS": ""}
    command = [go, "build", "-o", str(built / "go_smtp"), str(PEERS / "go_smtp.go")]
    subprocess.run(command, check=True, env={**os.environ, **settings})
    return [str(built / "go_smtp")]


@dataclass(frozen=True)
class Subject:
    """A server.

    Args:
        command: what starts it; a certificate may follow. It prints its port, or has it in its arguments.
        tls: whether it knows STARTTLS and AUTH.
        share: the part of a work's messages that it gets, so that the slow do not take all the time.
    """

    command: Callable[[], list[str]]
    tls: bool = True
    share: float = 1.0


OURS = "smtpcore"
SUBJECTS: Mapping[str, Subject] = {
    OURS: Subject(_smtpcore),
    "aiosmtpd": Subject(lambda: _aiosmtpd("asyncio"), share=0.2),
    "aiosmtpd+uvloop": Subject(lambda: _aiosmtpd("uvloop"), share=0.2),
    "smtp-sink": Subject(_smtp_sink, tls=False),
    "smtp-server": Subject(_smtp_server),
    "go-smtp": Subject(_go_smtp, tls=False),
}


class Running:
    """A server at work."""

    def __init__(self, command: Sequence[str], certificate: Path | None, profiled: bool = False) -> None:
        told = next((each.rpartition(":")[2] for each in command if each.startswith(f"{HOST}:")), None)
        self._process = subprocess.Popen(
            [*command, *([str(certificate)] if certificate else [])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd="/",
            env={**os.environ, **({"PROFILE": "1"} if profiled else {})},
        )
        try:
            assert self._process.stdout is not None
            self.port = int(told or self._process.stdout.readline())
            for _ in range(100):
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection((HOST, self.port)):
                    break
                time.sleep(0.05)
            script = (secured if certificate else lock_step)(base64_message(KIB), 1)
            converse(self.port, script)
            self.settle()
            self.idle = self.memory("VmRSS")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _processes(self) -> Iterator[int]:
        found = [self._process.pid]
        for process in found:
            yield process
            for task in Path(f"/proc/{process}/task").iterdir():
                found += map(int, (task / "children").read_text().split())

    def cpu(self) -> float:
        """Seconds of processor time until now, of all threads, also of those that have ended."""
        # clock_getcpuclockid(3)
        return sum(time.clock_gettime_ns((~process << 3) | 2) for process in self._processes()) / 1e9

    def memory(self, what: str) -> int:
        """Octets: VmRSS, what there is now, or VmHWM, the most that there has been."""
        total = 0
        for process in self._processes():
            status = Path(f"/proc/{process}/status").read_text()
            total += int(status.partition(f"{what}:")[2].split(maxsplit=1)[0]) * KIB
        return total

    def forget_peak(self) -> None:
        """Let the most memory be what there is now."""
        for process in self._processes():
            with contextlib.suppress(PermissionError):
                Path(f"/proc/{process}/clear_refs").write_text("5")

    def settle(self) -> None:
        """Wait until it has nothing more to do, a second at most."""
        for _ in range(50):
            before = self.cpu()
            time.sleep(0.02)
            if self.cpu() - before < 20e-6:
                break


# The works.

Figures = dict[str, float]
BEST: Mapping[str, Callable[[list[float]], float]] = {
    "us CPU": min,
    "messages/s": max,
    "MiB peak": max,
    "KiB each": min,
    "ms CPU/s": min,
}
"""How a figure is found from those of the rounds, beside their median."""

Load = Callable[[int, int], int]
"""Send about so many messages to the port. How many were sent."""


def own(script: Callable[[Step, int], Script], message: Step, at_once: int) -> Load:
    """Our client, by so many connections that are kept."""

    def load(port: int, count: int) -> int:
        senders = min(at_once, count)
        drive(port, [script(message, count // senders) for _ in range(senders)], senders)
        return count // senders * senders

    return load


def source(at_once: int, *options: str) -> Load:
    """smtp-source with 1 KiB; it ends with an error if a message is not taken."""

    def load(port: int, count: int) -> int:
        count = max(count, at_once)
        sizes = ["-s", str(at_once), "-m", str(count), "-l", str(KIB)]
        command = [_program("smtp-source", "Postfix"), *sizes, *options, f"{HOST}:{port}"]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/", timeout=120)
        return count

    return load


def sessions(port: int, count: int) -> int:
    """One after the other, each with STARTTLS, AUTH and a message."""
    for _ in range(count):
        converse(port, secured(base64_message(KIB), 1))
    return count


def sending(load: Load) -> Callable[[Running, float], Figures]:
    """What it takes to take messages."""

    def measure(server: Running, count: float) -> Figures:
        server.forget_peak()
        cpu, wall = server.cpu(), time.perf_counter()
        sent = load(server.port, max(1, round(count)))
        wall = time.perf_counter() - wall
        server.settle()
        peak = server.memory("VmHWM") - server.idle
        return {"us CPU": (server.cpu() - cpu) / sent * 1e6, "messages/s": sent / wall, "MiB peak": peak / MIB}

    return measure


def resting(server: Running, count: float) -> Figures:
    """What it takes to hold connections that say nothing."""
    count = max(20, round(count))
    with idlers(server.port, count):
        server.settle()
        grown = server.memory("VmRSS") - server.idle
        cpu, seconds = server.cpu(), 5.0 if count > 500 else 0.5
        time.sleep(seconds)
        return {"KiB each": grown / count / KIB, "ms CPU/s": (server.cpu() - cpu) / seconds * 1e3}


@dataclass(frozen=True)
class Aim:
    """What we want to reach: so much of a figure at most, or such a part of the best of some others."""

    figure: str
    at_most: float = math.inf
    part: float = 1.0
    of: tuple[str, ...] = ()

    def bound(self, least: Mapping[str, Figures]) -> float:
        """In this run; infinite where none of the others has taken part."""
        best = min((least[name][self.figure] for name in self.of if name in least), default=math.inf)
        return min(self.at_most, self.part * best)


@dataclass(frozen=True)
class Work:
    """What the servers are given to do.

    Args:
        title: for people.
        measure: does it.
        count: how many messages, or connections.
        aims: of ours.
        secure: whether it is STARTTLS and AUTH.
        even: whether the slow get as much as the others.
        rounds: at most.
    """

    title: str
    measure: Callable[[Running, float], Figures]
    count: int
    aims: tuple[Aim, ...]
    secure: bool = False
    even: bool = False
    rounds: int = 1000


def _cpu(at_most: float = math.inf, part: float = 1.0, of: Sequence[str] = ()) -> tuple[Aim, ...]:
    return (Aim("us CPU", at_most, part, tuple(of)),)


def _bodies(octets: int, at_once: int, count: int) -> Work:
    title = f"{octets // KIB:,} KiB of base64 on {at_once} kept connections"
    load = own(lock_step, base64_message(octets), at_once)
    return Work(title, sending(load), count, _cpu(part=0.8, of=("smtp-sink", "go-smtp", "smtp-server")))


def _dots(line: int) -> Work:
    load = own(lock_step, dots_message(100 * KIB, line), 10)
    return Work(f"100 KiB in dot lines of {line} octets", sending(load), 500, _cpu(of=["go-smtp"]))


WORKS: Mapping[str, Work] = {
    "kept": Work("1 KiB, lock-step on 10 kept connections", sending(source(10, "-d")), 3000, _cpu(85)),
    "kept-200": Work("1 KiB, lock-step on 200", sending(source(200, "-d")), 3000, _cpu(170), even=True),
    "pipelined": Work("1 KiB, pipelined on 10", sending(own(pipelined, base64_message(KIB), 10)), 4000, _cpu(60)),
    "single": Work("1 KiB, a connection for every message, 10 at once", sending(source(10)), 400, _cpu(450)),
    "100k": _bodies(100 * KIB, 10, 600),
    "1m": _bodies(MIB, 4, 80),
    "10m": _bodies(10 * MIB, 2, 10),
    "dots": _dots(74),
    "dots-short": _dots(11),
    "memory": Work(
        "10 senders of 10 MiB each at once",
        sending(own(lock_step, base64_message(10 * MIB), 10)),
        10,
        (Aim("MiB peak", 20),),
        even=True,
        rounds=1,
    ),
    "idle": Work(
        "2,000 idle connections",
        resting,
        2000,
        (Aim("KiB each", 15), Aim("ms CPU/s", 5)),
        even=True,
        rounds=1,
    ),
    "tls": Work("STARTTLS, AUTH PLAIN and 1 KiB", sending(sessions), 40, _cpu(of=["aiosmtpd"]), secure=True),
}
BY_SOURCE = ("kept", "kept-200", "single")


# The run.


@dataclass
class Fleet:
    """The servers that run, by name and whether they know TLS.

    Args:
        lasting: whether they serve work after work; otherwise each work begins with new ones.
    """

    commands: Mapping[str, list[str]]
    certificate: Path
    profiled: bool
    lasting: bool
    _running: dict[tuple[str, bool], Running] = field(default_factory=dict)

    def get(self, name: str, secure: bool) -> Running:
        """A server."""
        if (name, secure) not in self._running:
            certificate = self.certificate if secure else None
            self._running[name, secure] = Running(self.commands[name], certificate, self.profiled)
        return self._running[name, secure]

    def work_is_done(self) -> None:
        """The next work may begin."""
        if not self.lasting:
            self.close()

    def close(self) -> None:
        """End them all."""
        while self._running:
            self._running.popitem()[1].stop()


def run(work: Work, fleet: Fleet, rounds: int, scale: float) -> dict[str, list[Figures]]:
    """The figures of every round, by subject."""
    names = [name for name in fleet.commands if SUBJECTS[name].tls or not work.secure]
    servers = {name: fleet.get(name, work.secure) for name in names}
    figures: dict[str, list[Figures]] = {name: [] for name in names}
    for _ in range(min(rounds, work.rounds)):
        for name, server in servers.items():
            share = 1.0 if work.even else SUBJECTS[name].share
            figures[name].append(work.measure(server, work.count * share * scale))
    fleet.work_is_done()
    return figures


def best(rounds: list[Figures]) -> Figures:
    return {kind: BEST[kind]([each[kind] for each in rounds]) for kind in rounds[0]}


def median(rounds: list[Figures]) -> Figures:
    return {kind: statistics.median(each[kind] for each in rounds) for kind in rounds[0]}


def _number(figure: float) -> str:
    return "" if figure == math.inf else f"{figure:,.1f}" if figure < 1000 else f"{figure:,.0f}"


def report(work: Work, results: Mapping[str, list[Figures]]) -> None:
    found = {name: best(rounds) for name, rounds in results.items()}
    kinds = [*next(iter(found.values()))]
    print(f"\n{work.title}\n{'':18}" + "".join(f"{kind:>12}{'median':>10}" for kind in kinds))
    for name, rounds in results.items():
        middle = median(rounds)
        cells = [f"{_number(found[name][kind]):>12}{_number(middle[kind]):>10}" for kind in kinds]
        print(f"{name:18}{''.join(cells)}")
    for aim in work.aims if OURS in found else ():
        bound, ours = aim.bound(found), found[OURS][aim.figure]
        if bound == math.inf:
            print(f"  aim: none of {', '.join(aim.of)} has taken part")
        else:
            verdict = "met" if ours <= bound else "MISSED"
            print(f"  aim: at most {_number(bound)} {aim.figure}: {verdict}, {ours / bound:.2f} of it")
    sys.stdout.flush()


def summary(works: Mapping[str, Work], results: Mapping[str, Mapping[str, list[Figures]]]) -> None:
    """The figures that there are aims for, as a table for documents."""
    names = [name for name in SUBJECTS if any(name in each for each in results.values())]
    if not results:
        return
    print(f"\n| work | aim | {' | '.join(names)} |\n|---|{'---|' * (len(names) + 1)}")
    for work, measured in results.items():
        found = {name: best(rounds) for name, rounds in measured.items()}
        for aim in works[work].aims:
            cells = [_number(found[name][aim.figure]) if name in found else "" for name in names]
            bound = aim.bound(found)
            print(f"| {works[work].title}, {aim.figure} | {_number(bound)} | {' | '.join(cells)} |")


def find(names: Sequence[str], strict: bool) -> dict[str, list[str]]:
    """The commands of those that are here."""
    found = {}
    for name in names:
        try:
            found[name] = SUBJECTS[name].command()
        except Missing as missing:
            if strict:
                sys.exit(str(missing))
            print(f"left out: {missing}")
    return found


def works_without_source(works: Collection[str], strict: bool) -> list[str]:
    """Those of the works that cannot be done here."""
    wanted = [name for name in BY_SOURCE if name in works]
    try:
        _program("smtp-source", "Postfix")
    except Missing as missing:
        if wanted and strict:
            sys.exit(str(missing))
        print(f"left out: {', '.join(wanted)}: {missing}")
        return wanted
    return []


def main() -> None:
    parser = argparse.ArgumentParser(description="Processor time, rate and memory of servers.")
    parser.add_argument("--work", choices=WORKS, action="append", help="only this one; may be given more than once")
    parser.add_argument("--subject", choices=SUBJECTS, action="append", help="only this one; likewise")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, help="messages, times this (%(default)s)")
    parser.add_argument("--profile", action="store_true", help="of our server alone, doing one --work")
    parser.add_argument("--smoke", action="store_true", help="see that all runs, with a few messages")
    options = parser.parse_args()
    if options.profile and len(options.work or ()) != 1:
        parser.error("--profile wants one --work")
    names = [OURS] if options.profile else options.subject or [*SUBJECTS]
    works = {name: WORKS[name] for name in options.work or WORKS}
    rounds, scale = (1, 0.02) if options.smoke else (1 if options.profile else options.rounds, options.scale)
    strict = options.smoke and "CI" in os.environ
    commands = find(names, strict)
    if lost := works_without_source(works, strict):
        works = {name: work for name, work in works.items() if name not in lost}
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS:  # of what the servers inherit
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, DESCRIPTORS) if hard >= 0 else DESCRIPTORS, hard))
    with tempfile.TemporaryDirectory() as directory:
        certificate = Path(directory, "certificate.pem")
        trustme.CA().issue_cert("mx.example.org").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        with contextlib.closing(Fleet(commands, certificate, options.profile, lasting=options.smoke)) as fleet:
            results = {}
            for name, work in works.items():
                if measured := run(work, fleet, rounds, scale):
                    results[name] = measured
                    report(work, measured)
    summary(works, results)


if __name__ == "__main__":
    main()
