"""Mail clients send real messages to the program; what it stores is what they sent, octet by octet."""

import asyncio
import base64
import contextlib
import email
import email.policy
import json
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import aiosmtplib
import pytest
from conftest import Need, Program
from interop_messages import BIG, HEAD, MESSAGES, big, ended, stuffed
from scramp import ScramClient

SENDER, RECIPIENT = "a@example.org", "b@example.org"
MODES = ("clear", "STARTTLS", "TLS")
USUAL = MESSAGES["usual"]

# What a client does: send a message (sender, recipients) in a mode, perhaps with a mechanism of AUTH.
Send = Callable[..., None]


def run(*arguments: str, given: bytes = b"", timeout: float = 120) -> str:
    """Run a client; what it printed. It must succeed."""
    done = subprocess.run(arguments, input=given, capture_output=True, timeout=timeout, check=False)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout.decode()


# --- the clients --------------------------------------------------------------------------------------


@pytest.fixture
def swaks(need: Need, program: Program, tmp_path: Path) -> Send:
    path = need("swaks")

    def send(message: bytes, mode: str = "clear", auth: str | None = None) -> None:
        # As it comes: swaks would put line ends and dots right, in its own way.
        file = tmp_path / "message"
        file.write_bytes(stuffed(message) + b".")
        port = program.tls_port if mode == "TLS" else program.port
        arguments = [path, "--silent", "2", "--server", "127.0.0.1", "--port", port, "--timeout", "60"]
        arguments += ["--from", SENDER, "--to", RECIPIENT, "--no-data-fixup", "--data", f"@{file}"]
        tls = ["--tls-verify", "--tls-ca-path", str(program.certificate)]
        arguments += {"clear": [], "STARTTLS": ["--tls", *tls], "TLS": ["--tls-on-connect", *tls]}[mode]
        if auth is not None:
            arguments += ["--auth", auth, "--auth-user", program.user, "--auth-password", program.password]
        run(*arguments)

    return send


@pytest.fixture
def curl(need: Need, program: Program, tmp_path: Path) -> Send:
    path = need("curl")

    def send(
        message: bytes, mode: str = "clear", auth: str | None = None, sender: str = SENDER, recipient: str = RECIPIENT
    ) -> None:
        file = tmp_path / "message"
        file.write_bytes(message)
        scheme, port = ("smtps", program.tls_port) if mode == "TLS" else ("smtp", program.port)
        arguments = [path, "--silent", "--show-error", "--url", f"{scheme}://127.0.0.1:{port}/client.example"]
        arguments += ["--mail-from", sender, "--mail-rcpt", recipient, "--upload-file", str(file)]
        if mode != "clear":
            arguments += ["--ssl-reqd", "--cacert", str(program.certificate)]
        if auth is not None:
            arguments += ["--user", f"{program.user}:{program.password}", "--login-options", f"AUTH={auth}"]
        run(*arguments)

    return send


@pytest.fixture
def msmtp(need: Need, program: Program) -> Send:
    path = need("msmtp")

    def send(message: bytes, mode: str = "clear", auth: str | None = None) -> None:
        port = program.tls_port if mode == "TLS" else program.port
        arguments = [path, "--file=/dev/null", "--host=127.0.0.1", f"--port={port}", f"--from={SENDER}"]
        arguments += ["--set-from-header=off", "--set-date-header=off", "--set-msgid-header=off"]
        if mode != "clear":
            arguments += ["--tls=on", f"--tls-trust-file={program.certificate}"]
            arguments += [f"--tls-starttls={'on' if mode == 'STARTTLS' else 'off'}"]
        if auth is not None:
            arguments += [f"--auth={auth.lower()}", f"--user={program.user}", f"--passwordeval=echo {program.password}"]
        run(*arguments, RECIPIENT, given=message)

    return send


@pytest.fixture
def nodemailer(need: Need, need_node_module: Need, program: Program, tmp_path: Path) -> Send:
    node = need("node")
    need_node_module("nodemailer")

    def send(
        message: bytes, mode: str = "clear", auth: str | None = None, sender: str = SENDER, recipient: str = RECIPIENT
    ) -> None:
        file = tmp_path / "message"
        file.write_bytes(message)
        transport: dict[str, object] = {
            "host": "127.0.0.1",
            "port": int(program.tls_port if mode == "TLS" else program.port),
            "secure": mode == "TLS",
            "ignoreTLS": mode == "clear",
            "requireTLS": mode == "STARTTLS",
            "tls": {"ca": str(program.certificate), "servername": "localhost"},
        }
        if auth is not None:
            transport["authMethod"] = auth
            transport["auth"] = {"user": program.user, "pass": program.password}
        options = {"transport": transport, "envelope": {"from": sender, "to": [recipient]}, "file": str(file)}
        assert run(node, str(Path(__file__).with_name("nodemailer_send.cjs")), json.dumps(options)).startswith("250 ")

    return send


@pytest.fixture
def smtplib_(program: Program) -> Send:
    def send(
        message: bytes, mode: str = "clear", auth: str | None = None, sender: str = SENDER, recipient: str = RECIPIENT
    ) -> None:
        context = ssl.create_default_context(cafile=program.certificate)
        if mode == "TLS":
            client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", int(program.tls_port), timeout=60, context=context)
        else:
            client = smtplib.SMTP("127.0.0.1", int(program.port), timeout=60)
        with client:
            if mode == "STARTTLS":
                client.starttls(context=context)
            if auth is not None:
                client.ehlo_or_helo_if_needed()
                client.user, client.password = program.user, program.password
                client.auth(auth, getattr(client, f"auth_{auth.lower()}"))
            options = ["body=8bitmime"] + ([] if (sender + recipient).isascii() else ["smtputf8"])
            assert client.sendmail(sender, [recipient], message, options) == {}

    return send


@pytest.fixture
def aiosmtplib_(program: Program) -> Send:
    async def send(message: bytes, mode: str, auth: str | None, sender: str, recipient: str) -> None:
        context = ssl.create_default_context(cafile=program.certificate)
        async with aiosmtplib.SMTP(
            hostname="127.0.0.1",
            port=int(program.tls_port if mode == "TLS" else program.port),
            use_tls=mode == "TLS",
            start_tls=mode == "STARTTLS",
            tls_context=None if mode == "clear" else context,
            local_hostname="client.example",
            timeout=60,
        ) as client:
            await client.ehlo()
            if auth is not None:
                await getattr(client, f"auth_{auth.lower()}")(program.user, program.password)
            utf8 = not (sender + recipient).isascii()
            options = ["body=8bitmime"] + (["smtputf8"] if utf8 else [])
            encoding = "utf-8" if utf8 else "ascii"
            await client.mail(sender, options=options, encoding=encoding)
            await client.rcpt(recipient, encoding=encoding)
            assert (await client.data(message)).code == 250
            assert client.transport is not None
            socket = client.transport.get_extra_info("socket")
        # It does not wait for the end of TLS; what is still open when the loop ends would warn, in some later test.
        for _ in range(3000):
            if socket.fileno() < 0:
                return
            await asyncio.sleep(0.01)
        raise TimeoutError

    def run_it(
        message: bytes, mode: str = "clear", auth: str | None = None, sender: str = SENDER, recipient: str = RECIPIENT
    ) -> None:
        asyncio.run(send(message, mode, auth, sender, recipient))

    return run_it


@pytest.fixture
def net_smtp(need: Need, program: Program, tmp_path: Path) -> Send:
    perl = need("perl")

    def send(message: bytes, mode: str = "clear", auth: str | None = None) -> None:
        file = tmp_path / "message"
        file.write_bytes(message)
        options: dict[str, object] = {
            "port": int(program.tls_port if mode == "TLS" else program.port),
            "mode": mode,
            "ca": str(program.certificate),
            "sender": SENDER,
            "recipient": RECIPIENT,
            "file": str(file),
        }
        if auth is not None:
            options |= {"mechanism": auth, "user": program.user, "password": program.password}
        run(perl, str(Path(__file__).with_name("net_smtp_send.pl")), json.dumps(options))

    return send


@pytest.fixture
def smtp_source(need: Need, program: Program, tmp_path: Path) -> Send:
    """It has neither TLS nor AUTH, and says HELO."""
    path = need("smtp-source")

    def send(message: bytes, *options: str) -> None:
        file = tmp_path / "message"
        file.write_bytes(message.replace(b"\r\n", b"\n"))
        arguments = [path, "-M", "client.example", "-f", SENDER, "-t", RECIPIENT, "-F", str(file), *options]
        run(*arguments, f"127.0.0.1:{program.port}")

    return send


CLIENTS = ("swaks", "curl", "msmtp", "nodemailer", "smtplib_", "aiosmtplib_", "net_smtp")


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Send:
    send: Send = request.getfixturevalue(request.param)
    return send


# --- what they send -----------------------------------------------------------------------------------


def expected(client: str, message: bytes) -> bytes:
    """What of *message* a client sends."""
    if client in ("smtplib_", "aiosmtplib_", "nodemailer") and not message:
        return b"\r\n"  # they end a line that is none
    if client == "smtp_source":
        return ended(message) + b"\r\n"  # it adds a line to any message
    return ended(message)


# These two take no file with so little in it.
CASES = [
    (kind, name)
    for kind in (*CLIENTS, "smtp_source")
    for name in MESSAGES
    if (kind, name) not in (("swaks", "no octets"), ("smtp_source", "no octets"))
]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_message(request: pytest.FixtureRequest, program: Program, kind: str, name: str) -> None:
    message = MESSAGES[name]
    request.getfixturevalue(kind)(message)
    stored = program.stored()
    assert stored.octets == expected(kind, message)
    assert (stored.fields["sender"], stored.fields["recipient"]) == (SENDER, RECIPIENT)
    assert stored.fields["protocol"] == ("SMTP" if kind == "smtp_source" else "ESMTP")


@pytest.mark.parametrize("mode", ["clear", "TLS"])
def test_big_message(client: Send, program: Program, mode: str) -> None:
    client(BIG, mode)
    assert program.stored().octets == BIG


@pytest.mark.parametrize("mode", ["STARTTLS", "TLS"])
@pytest.mark.parametrize("auth", [None, "PLAIN", "LOGIN"])
def test_tls(client: Send, program: Program, mode: str, auth: str | None) -> None:
    client(USUAL, mode, auth)
    stored = program.stored()
    assert stored.octets == USUAL
    assert stored.fields["protocol"] == ("ESMTPS" if auth is None else "ESMTPSA")
    assert f"tls=TLSv1.3 user={'-' if auth is None else program.user} " in stored.line


def test_scram(msmtp: Send, program: Program) -> None:
    msmtp(USUAL, "STARTTLS", "SCRAM-SHA-256")
    stored = program.stored()
    assert stored.octets == USUAL
    assert f"user={program.user} " in stored.line


@pytest.mark.catalogue("D2")
@pytest.mark.parametrize(
    ("mechanism", "binds", "code"),
    [
        ("SCRAM-SHA-256-PLUS", True, b"235"),
        ("SCRAM-SHA-256", False, b"235"),
        # RFC 5802 6: a client that could bind to TLS, and was not told that we can, has been lied to.
        ("SCRAM-SHA-256", True, b"535"),
    ],
)
def test_scram_of_another_make(program: Program, mechanism: str, binds: bool, code: bytes) -> None:
    with connected(program, "STARTTLS") as raw:
        binding = ("tls-server-end-point", raw.connection) if binds else None
        client = ScramClient([mechanism], program.user, program.password, channel_binding=binding)
        first = base64.b64encode(client.get_client_first().encode())
        reply = raw.ask(b"AUTH " + mechanism.encode() + b" " + first + b"\r\n")
        if code == b"235":
            client.set_server_first(base64.b64decode(reply.removeprefix(b"334 ")).decode())
            reply = raw.ask(base64.b64encode(client.get_client_final().encode()) + b"\r\n")
            client.set_server_final(base64.b64decode(reply.removeprefix(b"334 ")).decode())
            reply = raw.ask(b"\r\n")
        assert reply[:3] == code


@pytest.mark.parametrize("name", ["curl", "nodemailer", "smtplib_", "aiosmtplib_"])
def test_smtputf8(name: str, program: Program, request: pytest.FixtureRequest) -> None:
    sender, recipient = "jürgen@example.org", "用户@例え.example"
    message = "Subject: Grüße\r\n\r\nGrüße\r\n".encode()
    request.getfixturevalue(name)(message, sender=sender, recipient=recipient)
    stored = program.stored()
    assert stored.octets == message
    assert stored.fields["sender"] == sender
    # A client may write the domain in A-labels; it is the same.
    assert stored.fields["recipient"].replace("xn--r8jz45g", "例え") == recipient
    assert stored.fields["protocol"] == "UTF8SMTP"


def test_s_nail(need: Need, program: Program, tmp_path: Path) -> None:
    """It makes its own message of a text, and says HELO."""
    text = "".join(f"{'.' * (number % 4)}line {number}\n" for number in range(1000))
    options = ["v15-compat=yes", f"mta=smtp://127.0.0.1:{program.port}", "smtp-auth=none", f"from={SENDER}"]
    options += ["hostname=client.example", "sendwait", "nosave"]
    arguments = [argument for option in options for argument in ("-S", option)]
    run(need("s-nail"), "-:/", *arguments, "-s", "x", RECIPIENT, given=text.encode())
    stored = program.stored()
    message = email.message_from_bytes(stored.octets, policy=email.policy.default)
    assert message["Subject"] == "x"
    assert message.get_content().replace("\r\n", "\n") == text
    assert stored.fields["protocol"] == "SMTP"


def test_swaks_makes_its_own(need: Need, program: Program) -> None:
    body = "first\\n.\\n..dots\\nlast"
    arguments = ["--server", "127.0.0.1", "--port", program.port, "--from", SENDER, "--to", RECIPIENT, "--body", body]
    run(need("swaks"), *arguments, "--header", "Subject: own")
    stored = program.stored()
    assert b"\r\nSubject: own\r\n" in stored.octets
    assert stored.octets.endswith(b"\r\n\r\nfirst\r\n.\r\n..dots\r\nlast\r\n\r\n\r\n")


def test_many_messages_and_recipients(program: Program) -> None:
    with smtplib.SMTP("127.0.0.1", int(program.port), timeout=60) as client:
        for number in range(20):
            recipients = [f"r{each}@example.org" for each in range(number + 1)]
            assert client.sendmail(SENDER, recipients, USUAL) == {}
            stored = program.stored()
            assert stored.octets == USUAL
            assert stored.line.count("@example.org>") == 1 + min(number + 1, 10)


def test_load(smtp_source: Send, program: Program) -> None:
    """200 messages over 10 connections at once, of which none is lost or mixed up with another."""
    message = HEAD + big(5_000)
    smtp_source(message, "-s", "10", "-m", "200", "-d", "-N")
    stored = [program.stored() for _ in range(200)]
    # It numbers the recipients.
    assert {each.fields["recipient"] for each in stored} == {f"{number}{RECIPIENT}" for number in range(1, 201)}
    assert {each.octets for each in stored} == {expected("smtp_source", message)}
    assert len({each.fields["identifier"] for each in stored}) == 200


# --- what they are refused ----------------------------------------------------------------------------


def test_wrong_password(program: Program) -> None:
    context = ssl.create_default_context(cafile=program.certificate)
    with smtplib.SMTP("127.0.0.1", int(program.port), timeout=60) as client:
        client.starttls(context=context)
        with pytest.raises(smtplib.SMTPAuthenticationError) as failed:
            client.login(program.user, "wrong")
        assert failed.value.smtp_code == 535


@pytest.mark.catalogue("D1")
def test_no_password_in_the_clear(need: Need, program: Program) -> None:
    arguments = ["--server", "127.0.0.1", "--port", program.port, "--from", SENDER, "--to", RECIPIENT]
    arguments += ["--auth", "PLAIN", "--auth-user", program.user, "--auth-password", program.password]
    done = subprocess.run([need("swaks"), *arguments], capture_output=True, timeout=60, check=False)
    assert done.returncode == 28  # none is offered
    assert program.quiet()


EVIL = (b"x\n.\nMAIL FROM:<evil@example.org>\r\n", b"x\r\n.\nNOOP\r\n", b"x\ry\r\n", b"\0\r\n")


@pytest.mark.catalogue("A1", "A8")
@pytest.mark.parametrize("evil", EVIL)
def test_stray_octets(program: Program, evil: bytes) -> None:
    with smtplib.SMTP("127.0.0.1", int(program.port), timeout=60) as client:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail(SENDER, [RECIPIENT], HEAD + evil)
        assert refused.value.smtp_code == 554
        assert client.noop()[0] == 250
    assert program.quiet()


@pytest.mark.parametrize("octets", [52_428_801, 80_000_000])
def test_too_big(program: Program, octets: int) -> None:
    with smtplib.SMTP("127.0.0.1", int(program.port), timeout=60) as client:
        client.ehlo()
        assert client.mail(SENDER, [f"size={octets}"])[0] == 552
    assert program.quiet()


# --- BDAT, which none of them speaks ------------------------------------------------------------------


class Raw:
    """Speaks SMTP as it is told."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._replies = connection.makefile("rb")

    def reply(self) -> bytes:
        while (line := self._replies.readline())[3:4] == b"-":
            pass
        return line

    def ask(self, octets: bytes) -> bytes:
        self.connection.sendall(octets)
        return self.reply()

    def close(self) -> None:
        self._replies.close()
        self.connection.close()


@contextlib.contextmanager
def connected(program: Program, mode: str = "clear") -> Iterator[Raw]:
    plain = socket.create_connection(("127.0.0.1", int(program.port)), timeout=60)
    raw = Raw(plain)
    try:
        assert raw.reply().startswith(b"220 ")
        assert raw.ask(b"EHLO client.example\r\n").startswith(b"250 ")
        if mode == "STARTTLS":
            assert raw.ask(b"STARTTLS\r\n").startswith(b"220 ")
            context = ssl.create_default_context(cafile=program.certificate)
            raw = Raw(context.wrap_socket(plain, server_hostname="localhost"))
            assert raw.ask(b"EHLO client.example\r\n").startswith(b"250 ")
        yield raw
    finally:
        raw.close()


ENVELOPE = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n"


@pytest.mark.parametrize("chunk", [1, 1000, 65536, 10**9])
@pytest.mark.parametrize("mode", ["clear", "STARTTLS"])
@pytest.mark.parametrize("name", [*MESSAGES, "no line end"])
def test_bdat(program: Program, name: str, mode: str, chunk: int) -> None:
    """Pipelined: the octets of the message, whatever they are, and no more and no fewer."""
    message = MESSAGES.get(name, b"x")
    if len(message) // chunk > 2000:
        chunk = len(message) // 2000
    pieces = [message[start : start + chunk] for start in range(0, len(message), chunk)]
    group = ENVELOPE + b"".join(b"BDAT %d\r\n%b" % (len(piece), piece) for piece in pieces) + b"BDAT 0 LAST\r\n"
    with connected(program, mode) as raw:
        raw.connection.sendall(group)
        replies = [raw.reply() for _ in range(len(pieces) + 3)]
        assert [reply[:4] for reply in replies] == [b"250 "] * len(replies)
        assert program.stored().octets == message


def test_big_bdat(program: Program) -> None:
    with connected(program) as raw:
        raw.connection.sendall(ENVELOPE + b"BDAT %d LAST\r\n" % len(BIG) + BIG)
        assert [raw.reply()[:4] for _ in range(3)] == [b"250 "] * 3
        assert program.stored().octets == BIG


@pytest.mark.parametrize("name", MESSAGES)
def test_pipelined_data(program: Program, name: str) -> None:
    message = MESSAGES[name]
    with connected(program) as raw:
        raw.connection.sendall(ENVELOPE + b"DATA\r\n")
        assert [raw.reply()[:4] for _ in range(3)] == [b"250 ", b"250 ", b"354 "]
        raw.connection.sendall(stuffed(message) + b".\r\n" + ENVELOPE)
        assert [raw.reply()[:4] for _ in range(3)] == [b"250 "] * 3
        assert program.stored().octets == ended(message)


@pytest.mark.catalogue("F5", "F6")
def test_cut_bdat(program: Program) -> None:
    with connected(program) as raw:
        raw.connection.sendall(ENVELOPE + b"BDAT 1000000 LAST\r\n" + big(500_000))
        assert [raw.reply()[:4] for _ in range(2)] == [b"250 "] * 2
    with connected(program) as raw:
        # A BDAT out of place: its octets are no commands.
        assert raw.ask(b"BDAT 18 LAST\r\nNOOP\r\nNOOP\r\nNOOP\r\n").startswith(b"503 ")
        assert raw.ask(b"NOOP\r\n").startswith(b"250 ")
    assert program.quiet()
