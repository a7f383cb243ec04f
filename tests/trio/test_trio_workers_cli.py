"""``smtpcore serve``: its workers, and certificates that are read again."""

import contextlib
import os
import pickle
import re
import signal
import smtplib
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import pytest
from test_trio_cli import Screen, run, trusting
from workers_play import broken

from smtpcore import Secret
from smtpcore_trio import _serve
from smtpcore_trio._serve import Capture, capture_in_worker
from smtpcore_trio.certificate import self_signed, write_private
from smtpcore_trio.cli import Console, main
from smtpcore_trio.credentials import Credentials

NAMES = ["localhost", "127.0.0.1"]


def renew(directory: Path) -> bytes:
    """Another certificate, which is returned."""
    public, private = self_signed(NAMES, datetime.now(UTC))
    write_private(directory / "key.pem", private)
    write_private(directory / "certificate.pem", public)
    return ssl.PEM_cert_to_DER_cert(public.decode())


def shown(number: int) -> bytes:
    """The certificate that one finds there."""
    careless = ssl.create_default_context()
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", number, timeout=20) as smtp:
        smtp.starttls(context=careless)
        assert isinstance(smtp.sock, ssl.SSLSocket)
        certificate = smtp.sock.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


@pytest.fixture
def screen() -> Screen:
    return Screen()


# --- in this process ----------------------------------------------------------------------------------


def test_reload(screen: Screen, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be read is told, and what there was stays."""
    seen: list[bytes] = []
    wanted: list[bytes] = []

    def client() -> None:
        number = int(screen.shows(r"address +\S+:(\d+)  STARTTLS\b"))
        wanted.append(ssl.PEM_cert_to_DER_cert((tmp_path / "certificate.pem").read_text()))
        seen.append(shown(number))
        wanted.append(renew(tmp_path))
        os.kill(os.getpid(), signal.SIGHUP)
        screen.until("the certificate was read again")
        seen.append(shown(number))
        (tmp_path / "certificate.pem").write_text("")
        os.kill(os.getpid(), signal.SIGHUP)
        while not caplog.records:
            shown(number)
        seen.append(shown(number))

    assert run(screen, tmp_path, client, "--tls-port", "0") == 0
    assert seen == [*wanted, wanted[-1]]
    assert caplog.text.count("a certificate could not be read again: ") == 2  # of each port


def test_terminal_that_closes(screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there any more to press Ctrl-C."""
    answers = iter([True, True, False])
    monkeypatch.setattr(_serve, "_has_terminal", lambda: next(answers))

    def client() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        screen.until("the certificate was read again")
        os.kill(os.getpid(), signal.SIGHUP)

    assert run(screen, tmp_path, client, ends=True) == 0


def test_signals() -> None:
    """As nohup(1) has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in _serve._signals()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.SIGHUP in _serve._signals()


def test_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    monkeypatch.setattr(os, "open", lambda path, flags: opened)
    assert _serve._has_terminal()

    def fail(path: str, flags: int) -> int:
        raise OSError

    monkeypatch.setattr(os, "open", fail)
    assert not _serve._has_terminal()


def test_sessions_are_sent_by_their_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret is."""
    monkeypatch.chdir(tmp_path)
    credentials, _ = Credentials.create("capture")
    credentials.save(tmp_path / "credentials.json")
    octets = pickle.dumps(Capture("mx.example.org", Path(), credentials, Console(sys.stdout)))
    assert credentials.seed.reveal() not in octets
    monkeypatch.chdir("/")
    there = pickle.loads(octets)
    assert isinstance(there, Capture)
    assert (there.hostname, there.directory) == ("mx.example.org", tmp_path)
    assert there.credentials.seed == credentials.seed != Secret(b"")
    assert capture_in_worker("a.example", tmp_path).credentials.names == ["capture"]


def test_worker_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Capture, "__reduce__", lambda _: (broken, ()))
    assert main(["serve", "--port", "0", "--workers", "1", "--directory", str(tmp_path)]) == 70
    captured = capfd.readouterr()
    assert captured.err.endswith("smtpcore: a worker does not start\n")
    assert captured.out == ""


def test_other_errors_are_not_of_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(_serve, "serve", fail)
    with pytest.raises(ExceptionGroup) as raised:
        main(["serve", "--port", "0", "--directory", str(tmp_path)])
    assert raised.group_contains(RuntimeError, match="something else")


# --- the program itself -------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(directory: Path, *options: str) -> Iterator[tuple["subprocess.Popen[str]", IO[str]]]:
    command = [sys.executable, "-m", "smtpcore_trio", "serve", "--port", "0", "--directory", str(directory), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def until(lines: IO[str], wanted: str) -> str:
    """All up to the line with *wanted*."""
    seen = ""
    for line in lines:
        seen += line
        if wanted in line:
            return seen
    raise EOFError(seen)


def test_workers(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as (process, lines):
        welcome = until(lines, "Ctrl-C ends it")
        shows = dict(re.findall(r"^  (address|password) +(\S+)", welcome, re.MULTILINE))
        number = int(shows["address"].rpartition(":")[2])
        for _ in range(3):
            with smtplib.SMTP("127.0.0.1", number, timeout=20) as smtp:
                smtp.starttls(context=trusting(tmp_path))
                smtp.login("capture", shows["password"])
                smtp.sendmail("a@example.org", ["b@example.org"], b"Subject: x\r\n\r\nbody\r\n")
            until(lines, " user=capture peer=127.0.0.1")
        second = renew(tmp_path)
        process.send_signal(signal.SIGHUP)
        until(lines, "the certificate was read again")
        assert {shown(number) for _ in range(20)} == {second}
        process.send_signal(signal.SIGTERM)
        lines.read()  # which ends when the last of them has ended
        assert process.wait(timeout=20) == 0
    assert len(list((tmp_path / "Maildir" / "new").iterdir())) == 3
