"""``smtpcore send`` as a process, against ``smtpcore serve`` as another."""

import os
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest
from conftest import Program
from interop_messages import BIG, HEAD, MESSAGES, big, ended
from interop_servers import Server

SENDER, RECIPIENT = "a@example.org", "b@example.org"
USUAL = MESSAGES["usual"]
MODES = ("clear", "STARTTLS", "TLS")


def send(
    program: Program, *options: str, mode: str = "clear", given: bytes | None = None, password: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    """What came of a run; *given* is standard input."""
    arguments = program.arguments("send", "--from", SENDER, "--to", RECIPIENT, *options)
    trusted = ["--ca", str(program.certificate)]
    arguments += {"clear": ["--no-tls"], "STARTTLS": ["--starttls", *trusted], "TLS": ["--tls", *trusted]}[mode]
    arguments.append(f"127.0.0.1:{program.tls_port if mode == 'TLS' else program.port}")
    if given is not None:
        arguments.append("-")
    environ = program.environ | ({} if password is None else {"SMTPCORE_PASSWORD": password})
    return subprocess.run(arguments, input=given, capture_output=True, timeout=120, check=False, env=environ)


def accepted(done: subprocess.CompletedProcess[bytes]) -> None:
    assert done.returncode == 0, done
    assert done.stdout.startswith(b"accepted <b@example.org> 250 2.0.0 "), done
    assert done.stderr == b""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", [[], ["--chunking"], ["--no-pipelining"]], ids=" ".join)
def test_big(program: Program, mode: str, options: list[str]) -> None:
    accepted(send(program, *options, mode=mode, given=BIG))
    assert program.stored().octets == BIG


@pytest.mark.parametrize("name", MESSAGES)
def test_message(program: Program, name: str) -> None:
    message = MESSAGES[name]
    accepted(send(program, given=message))
    # A bare CR and a bare LF have been made line ends.
    lines = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    assert program.stored().octets == ended(lines)


def test_lines_of_this_system(program: Program, tmp_path: Path) -> None:
    (tmp_path / "message").write_bytes(USUAL.replace(b"\r\n", b"\n"))
    arguments = ["send", "--from", SENDER, "--to", RECIPIENT, f"127.0.0.1:{program.port}", str(tmp_path / "message")]
    done = subprocess.run(
        program.arguments(*arguments), capture_output=True, timeout=60, check=False, env=program.environ
    )
    accepted(done)
    stored = program.stored()
    assert stored.octets == USUAL
    assert stored.fields["protocol"] == "ESMTPS"


def test_null_sender_and_utf8(program: Program) -> None:
    done = send(program, "--from", "<>", "--to", "δοκιμή@example.org", mode="STARTTLS")
    assert done.returncode == 0, done
    stored = program.stored()
    assert stored.fields["sender"] == ""
    assert stored.fields["protocol"] == "UTF8SMTPS"
    assert "To: b@example.org, δοκιμή@example.org\r\n".encode() in stored.octets


@pytest.mark.catalogue("D12")
@pytest.mark.parametrize("mode", ["STARTTLS", "TLS"])
@pytest.mark.parametrize("mechanism", [None, "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"])
def test_authentication(program: Program, mode: str, mechanism: str | None) -> None:
    options = ["--auth", program.user, "-v"]
    if mechanism is not None:
        options += ["--mechanism", mechanism]
    done = send(program, *options, mode=mode, given=USUAL, password=program.password)
    assert done.returncode == 0, done
    stored = program.stored()
    assert stored.octets == USUAL
    assert stored.line.split()[-2] == f"user={program.user}"
    assert f" ~> AUTH {mechanism or 'SCRAM-SHA-256-PLUS'}".encode() in done.stderr
    password = program.password.encode()
    plain = b64encode(b"\0%s\0%s" % (program.user.encode(), password))
    for secret in (password, b64encode(password), plain):
        assert secret not in done.stdout + done.stderr
    assert b"Hello" not in done.stderr


def test_wrong_password(program: Program) -> None:
    done = send(program, "--auth", program.user, mode="STARTTLS", given=USUAL, password="a wrong one")
    assert (done.returncode, done.stdout) == (77, b"")
    assert done.stderr == b"smtpcore: AUTH SCRAM-SHA-256-PLUS: 535 5.7.8 Authentication credentials invalid\n"
    assert program.quiet()


def test_unknown_certificate(program: Program) -> None:
    arguments = ["send", "--from", SENDER, "--to", RECIPIENT, "--tls", f"127.0.0.1:{program.tls_port}"]
    done = subprocess.run(
        program.arguments(*arguments), capture_output=True, timeout=60, check=False, env=program.environ
    )
    assert (done.returncode, done.stdout) == (76, b"")
    assert done.stderr == b"smtpcore: the TLS handshake failed: self-signed certificate\n"


def test_nobody_reads_its_output(program: Program) -> None:
    arguments = program.arguments("send", "--from", SENDER, "--to", RECIPIENT, "-v", f"127.0.0.1:{program.port}")
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdout=pipe, stderr=pipe, env=program.environ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        assert process.wait(timeout=60) == 0
    program.stored()


def test_refused(tmp_path: Path) -> None:
    program = Program(tmp_path, "--require-auth", "--max-octets", "65536")
    try:
        done = send(program, mode="STARTTLS", given=USUAL)
        assert done.returncode == 69
        assert done.stdout == b"refused  <b@example.org> 530 5.7.0 Authentication required\n"
        options = ["--auth", program.user]
        done = send(program, *options, mode="STARTTLS", given=HEAD + b"x\r\n" * 30_000, password=program.password)
        assert done.returncode == 65
        assert done.stdout.startswith(b"refused  <b@example.org> 552 5.3.4 ")
        assert done.stdout.endswith(b"(the server was not asked)\n")
        assert program.quiet()
    finally:
        program.stop()


# --- to servers of others ----------------------------------------------------------------------------------

SOURCE = Path(__file__).parents[2] / "src"


def environ() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))}


SERVERS = ("postfix", "exim", "opensmtpd", "aiosmtpd", "smtp_server", "smtp_server_lmtp", "dovecot")


# Dovecot's LMTP has no port that begins with TLS; OpenSMTPD has no TLS here.
NONE = {("dovecot", "TLS"), ("opensmtpd", "STARTTLS"), ("opensmtpd", "TLS")}


@pytest.mark.parametrize(
    ("name", "mode"), [(name, mode) for name in SERVERS for mode in MODES if (name, mode) not in NONE]
)
def test_other_server(request: pytest.FixtureRequest, name: str, mode: str) -> None:
    """Logged in where that can be, to one recipient more than there is."""
    server: Server = request.getfixturevalue(name)
    port = server.tls_port if mode == "TLS" else server.port
    recipients = [*server.recipients, server.refused]
    options = ["--from", server.sender, "-v", *(f"--to={recipient}" for recipient in recipients)]
    if server.lmtp:
        options.append("--lmtp")
    if mode == "clear":
        options.append("--no-tls")
    else:
        options += ["--tls" if mode == "TLS" else "--starttls", "--ca", str(server.certificate.authority)]
        if server.mechanisms:
            options += ["--auth", server.user]
    message = HEAD + big(10_000) + b"\r\n.\r\n"
    done = subprocess.run(
        [*Program.arguments("send", *options), f"{server.host}:{port}", "-"],
        input=message,
        capture_output=True,
        timeout=60,
        check=False,
        env=environ() | {"SMTPCORE_PASSWORD": server.password},
    )
    assert done.returncode == 67, done
    lines = done.stdout.decode().splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["accepted" if recipient != server.refused else "refused", f"<{recipient}>"] for recipient in recipients
    ]
    deliveries = server.deliveries(len(server.recipients))
    assert [each.recipient for each in deliveries] == sorted(server.recipients)
    assert {each.octets for each in deliveries} == {message}
    assert server.password.encode() not in done.stdout + done.stderr
