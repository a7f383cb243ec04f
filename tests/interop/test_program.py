"""The program as a process: what it does when it is killed, and when nobody listens to it."""

import contextlib
import signal
import smtplib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Program


def numbered(number: int) -> bytes:
    return b"Number: %d\r\n\r\n" % number + b"x" * 76 * (number % 7) + b"\r\n"


@pytest.mark.catalogue("H1")
@pytest.mark.parametrize("seconds", [0.2, 0.7])
def test_killed(tmp_path: Path, seconds: float) -> None:
    """Every message that was acknowledged is there, whole, whenever the end comes."""
    program = Program(tmp_path)
    acknowledged: dict[str, bytes] = {}

    def send(first: int) -> None:
        try:
            with smtplib.SMTP("127.0.0.1", int(program.port), timeout=10) as client:
                client.ehlo("client.example")
                for number in range(first, first + 100_000):
                    client.mail("a@example.org")
                    client.rcpt("b@example.org")
                    code, text = client.data(numbered(number))
                    if code == 250:
                        acknowledged[text.decode().split()[-1]] = numbered(number)
        except (smtplib.SMTPException, OSError):
            pass

    senders = [threading.Thread(target=send, args=(first * 1_000_000,)) for first in range(4)]
    for sender in senders:
        sender.start()
    senders[0].join(seconds)
    program.kill()
    for sender in senders:
        sender.join()
    assert len(acknowledged) > 10
    for identifier, message in acknowledged.items():
        (path,) = program.maildir.glob(f"new/*.{identifier}.*")
        assert path.read_bytes().endswith(b"\r\n" + message)


@contextlib.contextmanager
def another(program: Program, directory: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """One that nobody reads from after its welcome; and its port."""
    arguments = program.arguments("serve", "--port", "0", "--directory", str(directory))
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdout=pipe, stderr=pipe, encoding="utf-8", env=program.environ) as process:
        assert process.stdout is not None
        try:
            lines: list[str] = []
            while not lines or "Ctrl-C" not in lines[-1]:
                lines.append(process.stdout.readline())
                assert lines[-1]
            (port,) = [line.split()[1].rpartition(":")[2] for line in lines if "STARTTLS" in line]
            yield process, int(port)
        finally:
            process.kill()


def deliver(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        assert client.sendmail("a@example.org", ["b@example.org"], numbered(1)) == {}


def test_nobody_reads_its_output(program: Program, tmp_path: Path) -> None:
    with another(program, tmp_path) as (process, port):
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        for _ in range(3):
            deliver(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""
    assert len(list((tmp_path / "Maildir" / "new").iterdir())) == 3


def test_second_program_on_the_same_port(program: Program, tmp_path: Path) -> None:
    arguments = program.arguments("serve", "--port", program.port, "--directory", str(tmp_path / "other"))
    done = subprocess.run(
        arguments, capture_output=True, timeout=60, check=False, encoding="utf-8", env=program.environ
    )
    error = f"smtpcore: cannot listen on 127.0.0.1 port {program.port}: Address already in use\n"
    assert (done.returncode, done.stdout, done.stderr) == (69, "", error)
    assert not (tmp_path / "other").exists()


def test_two_programs_in_one_directory(program: Program) -> None:
    """The second one keeps its messages beside those of the first."""
    before = len(list(program.maildir.glob("new/*")))
    with another(program, program.directory) as (process, port):
        deliver(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert len(list(program.maildir.glob("new/*"))) == before + 1
