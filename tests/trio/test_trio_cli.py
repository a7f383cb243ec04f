"""The command, in this process."""

import contextlib
import io
import logging
import os
import pickle
import queue
import re
import runpy
import shutil
import signal
import smtplib
import socket
import ssl
import stat
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smtpcore import AuthFailed, Peer, Quit, Reply
from smtpcore_trio import SessionFacts
from smtpcore_trio._serve import Logins
from smtpcore_trio.cli import Console, SafeFormatter, main


class Screen(io.StringIO):
    """Standard output, line by line for another thread."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: queue.Queue[str] = queue.Queue()
        self.seen: list[str] = []

    def write(self, text: str) -> int:
        for line in text.removesuffix("\n").split("\n"):
            self.lines.put(line)
        return len(text)

    def until(self, wanted: str) -> str:
        while True:
            self.seen.append(self.lines.get(timeout=10))
            if wanted in self.seen[-1]:
                return self.seen[-1]

    def shows(self, pattern: str) -> str:
        match = re.search(pattern, "\n".join(self.seen))
        assert match is not None, self.seen
        return match[1]


@pytest.fixture
def screen() -> Screen:
    return Screen()


def run(screen: Screen, directory: Path, client: Callable[[], None], *options: str, ends: bool = False) -> int:
    """Run the program here, and *client* in a thread; then end it as Ctrl-C does, unless *client* *ends* it."""
    failures: list[BaseException] = []

    def act() -> None:
        try:
            screen.until("Ctrl-C ends it")
            client()
        except BaseException as failure:
            failures.append(failure)
        # After its end the signal would be for the tests.
        if failures or not ends:
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=act)
    thread.start()
    try:
        with contextlib.redirect_stdout(screen):
            status = main(["serve", "--port", "0", "--directory", str(directory), *options])
    finally:
        thread.join()
    if failures:
        raise failures[0]
    return status


def port(screen: Screen, kind: str = "STARTTLS") -> int:
    return int(screen.shows(rf"address +\S+:(\d+)  {kind}\b"))


def trusting(directory: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=directory / "certificate.pem")


def test_serve(screen: Screen, tmp_path: Path) -> None:
    def client() -> None:
        with smtplib.SMTP("127.0.0.1", port(screen), timeout=10) as smtp:
            smtp.ehlo()
            assert not smtp.has_extn("auth")
            smtp.starttls(context=trusting(tmp_path))
            smtp.ehlo()
            assert smtp.esmtp_features["auth"].split() == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]
            for keyword in ("pipelining", "chunking", "smtputf8", "size", "8bitmime", "enhancedstatuscodes"):
                assert smtp.has_extn(keyword)
            assert not smtp.has_extn("dsn")
            smtp.login("capture", screen.shows(r"password +(\S+)"))
            smtp.sendmail("a@example.org", ["b@example.org"], b"Subject: x\r\n\r\nbody\r\n")
        assert screen.until("from=").endswith("octets=20 tls=TLSv1.3 user=capture peer=127.0.0.1")

    assert run(screen, tmp_path, client) == 0
    (path,) = (tmp_path / "Maildir" / "new").iterdir()
    assert path.read_bytes().endswith(b"Subject: x\r\n\r\nbody\r\n")
    for name in ("key.pem", "credentials.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_logins_that_fail(screen: Screen, tmp_path: Path) -> None:
    """The server tells of them."""

    def client() -> None:
        for user in ("capture", "\u00e9ve"):
            shown = b64encode(f"\0{user}\0wrong".encode()).decode()
            with smtplib.SMTP("127.0.0.1", port(screen), timeout=10) as smtp:
                smtp.starttls(context=trusting(tmp_path))
                smtp.ehlo()
                assert smtp.docmd("AUTH", f"PLAIN {shown}")[0] == 535
            line = screen.until("login failed")
            said = "535 5.7.8 Authentication credentials invalid"
            assert line == f"login failed: user={user} peer=127.0.0.1 mechanism=PLAIN: {said}"

    assert run(screen, tmp_path, client) == 0


def test_logins_in_a_worker(capsys: pytest.CaptureFixture[str]) -> None:
    """The observer of another process writes on the standard output of that."""
    facts = SessionFacts("1", Peer(None))
    for logins in (Logins(Console(sys.stdout)), pickle.loads(pickle.dumps(Logins(Console(io.StringIO()))))):
        logins.event(facts, AuthFailed("PLAIN", None, Reply(501, "Malformed")))
        logins.event(facts, Quit())
        assert capsys.readouterr().out == "login failed: user=- peer=- mechanism=PLAIN: 501 Malformed\n"


def test_second_start(tmp_path: Path) -> None:
    """The password still holds, and is not shown again, unless a new one is made."""
    passwords: list[str] = []

    def start(*options: str) -> Screen:
        screen = Screen()
        assert run(screen, tmp_path, lambda: login(screen), *options) == 0
        return screen

    def login(screen: Screen) -> None:
        shown = screen.shows(r"password +(.+)")
        if " " not in shown:
            passwords.append(shown)
        with smtplib.SMTP("127.0.0.1", port(screen), timeout=10) as smtp:
            smtp.starttls(context=trusting(tmp_path))
            smtp.login("capture", passwords[-1])

    start()
    second = start()
    assert "as shown when it was made" in second.shows(r"password +(.+)")
    assert any("--auth-password PASSWORD" in line for line in second.seen)
    start("--new-password")
    assert len(set(passwords)) == 2


def test_tls_port(screen: Screen, tmp_path: Path) -> None:
    def client() -> None:
        with smtplib.SMTP_SSL("127.0.0.1", port(screen, "TLS"), timeout=10, context=trusting(tmp_path)) as smtp:
            smtp.sendmail("a@example.org", ["b@example.org"], b"x\r\n")
        with smtplib.SMTP("127.0.0.1", port(screen), timeout=10) as smtp:
            smtp.sendmail("a@example.org", ["b@example.org"], b"x\r\n")

    assert run(screen, tmp_path, client, "--tls-port", "0") == 0
    assert len(list((tmp_path / "Maildir" / "new").iterdir())) == 2


def test_requirements(screen: Screen, tmp_path: Path) -> None:
    def client() -> None:
        with smtplib.SMTP("127.0.0.1", port(screen), timeout=10) as smtp:
            smtp.ehlo()
            assert smtp.mail("a@example.org")[0] == 530
            assert smtp.esmtp_features["size"] == "70000"
            smtp.starttls(context=trusting(tmp_path))
            smtp.ehlo()
            assert smtp.mail("a@example.org") == (530, b"5.7.0 Authentication required")

    options = [
        "--grace",
        "1.5",
        "--require-tls",
        "--require-auth",
        "--max-octets",
        "70000",
        "--hostname",
        "[127.0.0.1]",
    ]
    assert run(screen, tmp_path, client, *options) == 0


@pytest.mark.parametrize("host", ["::1", "0.0.0.0"])
def test_other_addresses(screen: Screen, tmp_path: Path, host: str) -> None:
    reachable = "::1" if host == "::1" else "127.0.0.1"

    def client() -> None:
        with smtplib.SMTP(reachable, port(screen), timeout=10) as smtp:
            assert smtp.noop()[0] == 250

    assert run(screen, tmp_path, client, "--host", host) == 0
    assert any(f"--server {reachable} --port" in line for line in screen.seen)
    assert any(("//[::1]:" if host == "::1" else "//127.0.0.1:") in line for line in screen.seen)


@pytest.mark.parametrize("in_path", [False, True])
def test_shown_lines_work(screen: Screen, tmp_path: Path, in_path: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a shell, as they are, whether or not the program is in the path."""
    lines: list[str] = []
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: (in_path or None) if name == "smtpcore" else which(name))
    ours = "smtpcore send" if in_path else f"{sys.executable} -m smtpcore_trio send"

    def client() -> None:
        lines.extend(line.strip() for line in screen.seen if line.startswith(("  swaks", "  printf", "  SMTPCORE")))
        for line in lines:
            program = next(each for each in ("swaks", "curl", ours) if f"{each} " in line)
            # Ours is the one that is tested.
            line = line.replace("smtpcore send", f"{sys.executable} -m smtpcore_trio send")
            if program == ours or which(program):
                done = subprocess.run(line, shell=True, capture_output=True, timeout=30, check=False)
                assert done.returncode == 0, done
                if program == ours:
                    screen.until("user=capture")

    assert run(screen, tmp_path, client, "--tls-port", "0") == 0
    assert len(lines) == 6


def test_nothing_to_drain(screen: Screen, tmp_path: Path) -> None:
    assert run(screen, tmp_path, lambda: None) == 0
    assert not any("draining" in line for line in screen.lines.queue)


@pytest.mark.parametrize("again", [False, True])
def test_draining(screen: Screen, tmp_path: Path, again: bool) -> None:
    """A message that is coming in may end; a second signal does not wait for it."""
    heard: list[bytes] = []

    def client() -> None:
        connection = socket.create_connection(("127.0.0.1", port(screen)), timeout=10)
        with connection, connection.makefile("rb") as replies:
            assert replies.readline().startswith(b"220 ")
            for line in (b"HELO a.example", b"MAIL FROM:<a@b.c>", b"RCPT TO:<d@e.f>", b"DATA"):
                connection.sendall(line + b"\r\n")
                reply = replies.readline()
            assert reply.startswith(b"354 ")
            os.kill(os.getpid(), signal.SIGTERM)
            screen.until("draining 1 connection; another Ctrl-C cuts it")
            if again:
                os.kill(os.getpid(), signal.SIGINT)
            else:
                connection.sendall(b"x\r\n.\r\n")
            heard.extend(replies)

    assert run(screen, tmp_path, client, ends=True) == 0
    assert [line[:4] for line in heard] == ([] if again else [b"250 ", b"421 "])


def test_port_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        for options in (["--port", str(number)], ["--port", "0", "--tls-port", str(number)]):
            assert main(["serve", "--directory", str(tmp_path / "new"), *options]) == 69
            captured = capsys.readouterr()
            assert captured.out == ""
            assert captured.err == f"smtpcore: cannot listen on 127.0.0.1 port {number}: Address already in use\n"
    assert not (tmp_path / "new").exists()


def test_no_such_host(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "no such host"]) == 69
    assert capsys.readouterr().err.startswith("smtpcore: cannot listen on no such host port 2525: ")


def test_directory_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["serve", "--port", "0", "--directory", str(tmp_path / "file")]) == 73
    error = capsys.readouterr().err
    assert error.startswith(f"smtpcore: cannot use {tmp_path / 'file'}: ")
    assert error.count("\n") == 1


def test_spoiled_credentials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "credentials.json").write_text("{}")
    assert main(["serve", "--port", "0", "--directory", str(tmp_path)]) == 73
    assert capsys.readouterr().err.endswith("credentials.json holds no credentials\n")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["serve", "--port", "65536"], "argument --port: a port is 0 to 65535, not '65536'"),
        (["serve", "--port", "smtp"], "argument --port: a port is 0 to 65535, not 'smtp'"),
        (["serve", "--port", "9" * 5000], "argument --port: a port is 0 to 65535"),
        (["serve", "--workers", "0"], "argument --workers: 1 at least, not '0'"),
        (["serve", "--workers", "all"], "argument --workers: 1 at least, not 'all'"),
        (["serve", "--grace", "inf"], "argument --grace: not a number of seconds: 'inf'"),
        (["serve", "--grace", "abc"], "argument --grace: not a number of seconds: 'abc'"),
        (["serve", "--grace=-1"], "argument --grace: not a number of seconds: '-1'"),
        (["serve", "--max-octets", "1k"], "argument --max-octets: not a number of octets: '1k'"),
        (["serve", "--max-octets", "5"], "message_octets must be at least 65536: RFC 5321 4.5.3.1.7"),
        (["serve", "--hostname", "a b"], "hostname 'a b': not a domain"),
    ],
)
def test_wrong_arguments(arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 64
    assert error in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    with pytest.raises(SystemExit) as left:
        main(["serve", "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert "exit status:" in text
    assert "(/data/smtpcore)" in text


@pytest.mark.parametrize("data", ["", "relative"])
def test_home(data: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", data)
    monkeypatch.setenv("HOME", "/home/tim")
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    assert "(/home/tim/.local/share/smtpcore)" in capsys.readouterr().out


def test_as_a_module(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["smtpcore", "--version"])
    with pytest.raises(SystemExit) as left:
        runpy.run_module("smtpcore_trio", run_name="__main__")
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("smtpcore ")


@pytest.mark.parametrize("installed", [False, True])
def test_version(installed: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def version(_: str) -> str:
        if installed:
            return "1.2.3"
        raise __import__("importlib.metadata").metadata.PackageNotFoundError

    monkeypatch.setattr("smtpcore_trio.cli.importlib.metadata.version", version)
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"smtpcore {'1.2.3' if installed else 'not installed'}\n"


class Closed(io.StringIO):
    """Nobody reads it."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_console() -> None:
    octets = io.BytesIO()
    stream = io.TextIOWrapper(octets, encoding="ascii")
    Console(stream).tell("ü")
    assert octets.getvalue() == b"\\xfc\n"
    closed = Console(Closed())
    closed.tell("x")
    closed.tell("y")


@pytest.fixture
def record() -> Iterator[logging.LogRecord]:
    def fail() -> Any:
        raise ValueError("a\nsmtpcore: ERROR: forged\x1b[2J")

    try:
        fail()
    except ValueError:
        yield logging.LogRecord("x", logging.ERROR, "f", 1, "bad %s", ("\x1b\u202e",), sys.exc_info())


@pytest.mark.catalogue("J1", "J2")
def test_log_is_safe(record: logging.LogRecord) -> None:
    lines = SafeFormatter("smtpcore: %(levelname)s: %(message)s").format(record).split("\n")
    assert lines[0] == "smtpcore: ERROR: bad \\x{1B}\\x{202E}"
    assert all(line.startswith("    ") for line in lines[1:])
    assert lines[-1] == "    smtpcore: ERROR: forged\\x{1B}[2J"
