"""What the tests with real clients share: the program, and how a client that is missing is taken."""

import contextlib
import dataclasses
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

import pytest
from interop_daemons import Exim, OpenSmtpd
from interop_servers import Aiosmtpd, Certificate, Dovecot, Postfix, Server, SmtpServer, SmtpServerLmtp

Need = Callable[[str], str]
AnyServer = TypeVar("AnyServer", bound=Server)


def missing(what: str, install: str) -> None:
    """Skip the test, or fail it on CI, where nothing is skipped."""
    reason = f"{what} is missing: {install}"
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(reason)
    pytest.fail(reason)


@pytest.fixture(scope="session")
def need() -> Need:
    """``need("swaks")``: the path of a program that the test runs."""

    def path_of(program: str) -> str:
        path = shutil.which(program)
        if path is None:
            missing(program, "install it with your system's package manager")
        return str(path)

    return path_of


@pytest.fixture(scope="session")
def need_node_module() -> Need:
    """``need_node_module("nodemailer")``: the directory of a module that tests/interop/package.json names."""

    def path_of(module: str) -> str:
        path = Path(__file__).parent / "node_modules" / module
        if not path.is_dir():
            missing(module, "npm install --prefix tests/interop --no-package-lock")
        return str(path)

    return path_of


@pytest.fixture(scope="session")
def need_unpacked() -> Need:
    """``need_unpacked("opensmtpd")``: the root of the files of a package that .ci/run unpacks."""

    def path_of(package: str) -> str:
        path = Path(__file__).parents[2] / "build" / "packages" / package
        if not path.is_dir():
            missing(package, "run .ci/run")
        return str(path)

    return path_of


def need_root() -> None:
    """Skip what needs to be root, or fail on CI: daemons that become others."""
    if os.geteuid() != 0:
        missing("root", "run the tests as root, in a container say")


# Of ours; the message comes right behind it.
_PREFIX = re.compile(
    rb"Return-Path: <(?P<sender>[^\r]*)>\r\n"
    rb"Received: from (?P<client>[^\r]+)\r\n"
    rb" by localhost with (?P<protocol>[A-Z0-9]+)(?P<about>[^\r]*)\r\n"
    rb" id (?P<identifier>[0-9a-f]+);?\r\n"
    rb"(?: for <(?P<recipient>[^\r]+)>;\r\n)?"
    rb" [A-Z][a-z]{2}, [^\r]+\r\n"
)


@dataclasses.dataclass
class Stored:
    """A message that the program has stored: the line that it printed, our fields, the octets behind them."""

    line: str
    fields: dict[str, str]
    octets: bytes


class Program:
    """``smtpcore serve``, running."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.certificate = directory / "certificate.pem"
        self.maildir = directory / "Maildir"
        source = Path(__file__).parents[2] / "src"
        path = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH")]))
        self.environ = os.environ | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
        arguments = ["serve", "--port", "0", "--tls-port", "0", "--directory", str(directory), *options]
        self.process = subprocess.Popen(
            self.arguments(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=self.environ,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._errors: list[str] = []
        self.failed_logins: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self._keep)),
            threading.Thread(target=self._read, args=(self.process.stderr, self._errors.append)),
        ]
        for reader in self._readers:
            reader.start()
        shown: list[str] = []
        while not shown or "Ctrl-C" not in shown[-1]:
            shown.append(self._next())
        self._next()  # an empty line
        text = "\n".join(shown)
        self.port, self.tls_port, self.user, self.password = [
            re.findall(pattern, text, re.MULTILINE)[0]
            for pattern in (r":(\d+)  STARTTLS$", r":(\d+)  TLS$", r"^  user +(.+)$", r"^  password +(.+)$")
        ]

    @staticmethod
    def arguments(*arguments: str) -> list[str]:
        """The command with *arguments*; whatever warns fails."""
        return [sys.executable, "-X", "dev", "-W", "error", "-m", "smtpcore_trio", *arguments]

    @staticmethod
    def _read(stream: IO[str], keep: Callable[[str], None]) -> None:
        for line in stream:
            keep(line.removesuffix("\n"))

    def _keep(self, line: str) -> None:
        if line.startswith("login failed: "):
            self.failed_logins.append(line)
        else:
            self._lines.put(line)

    def _next(self) -> str:
        return self._lines.get(timeout=60)

    def stored(self) -> Stored:
        """The next message that it tells of."""
        line = self._next()
        (path,) = self.maildir.glob(f"new/*.{line.split()[0]}.*")
        content = path.read_bytes()
        match = _PREFIX.match(content)
        assert match is not None, content[:1000]
        octets = content[match.end() :]
        assert f" octets={len(octets)} " in line
        return Stored(line, {name: (value or b"").decode() for name, value in match.groupdict().items()}, octets)

    def quiet(self) -> bool:
        """Whether it has told of no message since."""
        return self._lines.empty()

    def stop(self) -> None:
        """End it as Ctrl-C does. It must have had nothing to complain of, and leave nothing half done."""
        try:
            self.process.send_signal(signal.SIGINT)
            status = self.process.wait(timeout=30)
        finally:
            self.kill()
        assert (status, self._errors) == (0, [])
        assert list((self.maildir / "tmp").iterdir()) == []

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    running = Program(tmp_path_factory.mktemp("program"))
    yield running
    running.stop()


# --- servers of others ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("certificate"))


@contextlib.contextmanager
def directory_for_all() -> Iterator[Path]:
    """A directory that daemons find, whoever they become; pytest's own are for one user."""
    with tempfile.TemporaryDirectory(prefix="smtpcore-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


@contextlib.contextmanager
def running(server: AnyServer) -> Iterator[AnyServer]:
    """*server*, ended whatever happens."""
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def dovecot(need: Need, certificate: Certificate) -> Iterator[Dovecot]:
    need_root()
    program = need("dovecot")
    with directory_for_all() as directory, running(Dovecot(certificate, program, directory)) as server:
        yield server


@pytest.fixture(scope="session")
def postfix(need: Need, certificate: Certificate, dovecot: Dovecot) -> Iterator[Postfix]:
    need_root()
    program = need("postfix")
    with directory_for_all() as directory, running(Postfix(certificate, program, directory, dovecot)) as server:
        yield server


@pytest.fixture(scope="session")
def aiosmtpd(certificate: Certificate) -> Iterator[Aiosmtpd]:
    with running(Aiosmtpd(certificate)) as server:
        yield server


@pytest.fixture(scope="session")
def smtp_server(need: Need, need_node_module: Need, certificate: Certificate) -> Iterator[SmtpServer]:
    node = need("node")
    need_node_module("smtp-server")
    with running(SmtpServer(certificate, node)) as server:
        yield server


@pytest.fixture(scope="session")
def smtp_server_lmtp(need: Need, need_node_module: Need, certificate: Certificate) -> Iterator[SmtpServerLmtp]:
    node = need("node")
    need_node_module("smtp-server")
    with running(SmtpServerLmtp(certificate, node)) as server:
        yield server


@pytest.fixture(scope="session")
def exim(need_unpacked: Need, certificate: Certificate) -> Iterator[Exim]:
    need_root()
    unpacked = Path(need_unpacked("exim4-daemon-light"))
    with directory_for_all() as directory, running(Exim(certificate, unpacked, directory)) as server:
        yield server


@pytest.fixture(scope="session")
def opensmtpd(need_unpacked: Need, certificate: Certificate) -> Iterator[OpenSmtpd]:
    need_root()
    unpacked = Path(need_unpacked("opensmtpd"))
    with directory_for_all() as directory, running(OpenSmtpd(certificate, unpacked, directory)) as server:
        yield server
