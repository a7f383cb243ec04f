"""``smtpcore send``, in this process, against servers that do as they are told."""

import contextlib
import getpass
import hashlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from argparse import Namespace
from base64 import b64encode
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
import trio
from client_play import Script, Serve, obliging
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from smtpcore_trio import TlsContext, TlsMode, _send
from smtpcore_trio._send import Where
from smtpcore_trio.cli import main

PASSWORD = "correct horse"
EHLO = b"250-mx.example.org\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 100000\r\n250-DSN\r\n250 SMTPUTF8\r\n"
GOOD = {b"EHLO": EHLO}


class Server:
    """Serves each connection as *serve* says, in a thread."""

    def __init__(self, serve: Serve, host: str = "127.0.0.1", path: Path | None = None) -> None:
        self._serve = serve
        self._host = host
        self._path = path
        self.scripts: list[Script] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))

    async def _run(self) -> None:
        async with trio.open_nursery() as self._nursery:
            if self._path is not None:
                listening = trio.socket.socket(socket.AF_UNIX)
                await listening.bind(str(self._path))
                listening.listen()
                listeners = [trio.SocketListener(listening)]
            else:
                listeners = await trio.open_tcp_listeners(0, host=self._host)
                self.port = listeners[0].socket.getsockname()[1]
            self._token = trio.lowlevel.current_trio_token()
            self._nursery.start_soon(trio.serve_listeners, self._handle, listeners)
            self._ready.set()

    async def _handle(self, stream: trio.SocketStream) -> None:
        script = Script(stream)
        self.scripts.append(script)
        with contextlib.suppress(trio.BrokenResourceError):
            await self._serve(script)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._token.run_sync_soon(self._nursery.cancel_scope.cancel)
        self._thread.join()

    @property
    def heard(self) -> list[bytes]:
        return self.scripts[-1].heard


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


Captured = pytest.CaptureFixture[str]


def send(server: Server | str, *options: str, sender: str = "a@example.org", to: str = "b@example.org") -> int:
    """The status."""
    where = server if isinstance(server, str) else f"127.0.0.1:{server.port}"
    try:
        return main(["send", "--from", sender, "--to", to, "--helo", "client.example", *options, where])
    except SystemExit as left:
        return int(left.code or 0)


@pytest.fixture(autouse=True)
def no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMTPCORE_PASSWORD", raising=False)


def file(server: Server, path: str | Path, *options: str) -> int:
    return main(
        ["send", "--from", "a@example.org", "--to", "b@example.org", *options, f"127.0.0.1:{server.port}", str(path)]
    )


# --- what is sent ----------------------------------------------------------------------------------------


def test_made_message(capsys: Captured) -> None:
    with Server(obliging(GOOD)) as server:
        options = ["--subject", "hi", "--body", "one\ntwo", "--header", "X-A: 1", "--header", "x-a: 2"]
        assert send(server, *options, "--header", "Date: never") == 0
    assert capsys.readouterr() == ("accepted <b@example.org> 250 2.0.0 stored\n", "")
    (message,) = server.scripts[0].messages
    head, _, body = message.partition(b"\r\n\r\n")
    fields = head.split(b"\r\n")
    for field in (b"From: a@example.org", b"To: b@example.org", b"Subject: hi", b"X-A: 1", b"x-a: 2", b"Date: never"):
        assert fields.count(field) == 1, fields
    assert body == b"one\r\ntwo\r\n"
    assert server.heard[:3] == [
        b"EHLO client.example",
        b"MAIL FROM:<a@example.org> SIZE=%d" % len(message),
        b"RCPT TO:<b@example.org>",
    ]


def test_made_message_of_what_is_not_ascii() -> None:
    with Server(obliging(GOOD)) as server:
        assert send(server, "--subject", "hällo", "--body", "wörld", sender="ä@example.org") == 0
    (message,) = server.scripts[0].messages
    assert "From: ä@example.org\r\n".encode() in message
    assert b"w=C3=B6rld" in message
    assert server.heard[1].split(b" ")[2:] == [b"SIZE=%d" % len(message), b"BODY=8BITMIME", b"SMTPUTF8"]


def test_null_sender_and_postmaster() -> None:
    with Server(obliging(GOOD)) as server:
        assert send(server, sender="<>", to="postmaster") == 0
    assert server.heard[1].startswith(b"MAIL FROM:<> ")
    assert server.heard[2] == b"RCPT TO:<Postmaster>"
    assert b"From: postmaster@client.example\r\n" in server.scripts[0].messages[0]


@pytest.mark.parametrize(
    ("octets", "sent", "eight_bit"),
    [
        (b"", b"", False),
        (b"a\nb\n", b"a\r\nb\r\n", False),
        (b"a\r\nb\rc\n\r\n", b"a\r\nb\r\nc\r\n\r\n", False),
        (b"a\n\xff", b"a\r\n\xff\r\n", True),
        (b"\r", b"\r\n", False),
        (b"x" * 262_143 + b"\r\n" + b"y" * 262_143 + b"\r", b"x" * 262_143 + b"\r\n" + b"y" * 262_143 + b"\r\n", False),
    ],
)
@pytest.mark.parametrize("piped", [False, True])
def test_file(octets: bytes, sent: bytes, eight_bit: bool, piped: bool, tmp_path: Path, monkeypatch: Any) -> None:
    big = {b"EHLO": EHLO.replace(b"100000", b"10000000")}
    (tmp_path / "message").write_bytes(octets)
    with Server(obliging(big)) as server, contextlib.ExitStack() as stack:
        if piped:
            arguments = ["cat", str(tmp_path / "message")]
            process = stack.enter_context(subprocess.Popen(arguments, stdout=subprocess.PIPE))
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=process.stdout))
            assert file(server, "-") == 0
        else:
            assert file(server, tmp_path / "message") == 0
    assert server.scripts[0].messages == [sent]
    mail = b"MAIL FROM:<a@example.org> SIZE=%d" % len(sent)
    assert server.heard[1] == mail + b" BODY=8BITMIME" * eight_bit


def test_standard_input_from_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "message").write_bytes(b"skipped\nsent\n")
    with Server(obliging(GOOD)) as server, open(tmp_path / "message", "rb") as source:
        source.seek(8)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=source))
        assert file(server, "-") == 0
    assert server.scripts[0].messages == [b"sent\r\n"]


def test_parameters() -> None:
    with Server(obliging(GOOD)) as server:
        options = ["--dsn-notify", "failure, delay", "--dsn-ret", "hdrs", "--dsn-envid", "x+y"]
        assert send(server, *options) == 0
    assert b" RET=HDRS" in server.heard[1]
    assert b" ENVID=x+2By" in server.heard[1]
    assert server.heard[2] in (
        b"RCPT TO:<b@example.org> NOTIFY=FAILURE,DELAY",
        b"RCPT TO:<b@example.org> NOTIFY=DELAY,FAILURE",
    )


def test_chunking_without_pipelining() -> None:
    async def serve(script: Script) -> None:
        await script.say(b"220 ready\r\n")
        while (line := await script.line()) is not None:
            if line.startswith(b"EHLO"):
                await script.say(b"250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n")
                continue
            if line.startswith(b"BDAT"):
                rest = int(line.split(b" ")[1])
                while rest:
                    rest -= len(await script.line() or b"") + 2
            # Nobody says more before the reply.
            with trio.move_on_after(0.05) as waited:
                await script.line()
            assert waited.cancelled_caught
            await script.say(b"221 bye\r\n" if line == b"QUIT" else b"250 ok\r\n")

    with Server(serve) as server:
        assert send(server, "--chunking", "--no-pipelining", "--timeout", "5") == 0
    assert any(line.startswith(b"BDAT ") and line.endswith(b" LAST") for line in server.heard)


def test_lmtp_over_a_unix_socket(tmp_path: Path, capsys: Captured) -> None:
    replies = {b"LHLO": EHLO}
    with Server(obliging(replies), path=tmp_path / "lmtp") as server:
        assert send(str(tmp_path / "lmtp"), "--lmtp", "--no-tls") == 0
    assert server.heard[0] == b"LHLO client.example"
    assert capsys.readouterr().out.startswith("accepted <b@example.org> ")


def test_several_transactions(capsys: Captured) -> None:
    replies = {b"EHLO": b"250-x\r\n250 LIMITS RCPTMAX=2\r\n"}
    with Server(obliging(replies)) as server:
        assert send(server, "--to", "c@example.org", "--to", "d@example.org", "--body", "x") == 0
    assert len(server.scripts[0].messages) == 2
    assert server.scripts[0].messages[0] == server.scripts[0].messages[1]
    assert capsys.readouterr().out.count("accepted") == 3


def test_connection_is_lost_between_transactions(capsys: Captured) -> None:
    replies = {b"EHLO": b"250-x\r\n250 LIMITS RCPTMAX=1\r\n", b".": b"250 stored\r\n"}
    with Server(obliging(replies, until=6)) as server:
        assert send(server, "--to", "c@example.org", "--to", "d@example.org") == 75
    captured = capsys.readouterr()
    assert re.findall("(?m)^[a-z]+", captured.out) == ["accepted", "unsent", "unsent"]
    assert captured.err == "smtpcore: the peer closed the connection\n"
    assert server.heard[-1].startswith(b"MAIL")


def test_xclient() -> None:
    replies = {b"EHLO": b"250-x\r\n250 XCLIENT NAME ADDR\r\n", b"XCLIENT": b"220 ready\r\n"}
    with Server(obliging(replies)) as server:
        assert send(server, "--xclient", "ADDR=192.0.2.1", "--xclient", "NAME=[UNAVAILABLE]") == 0
        assert b"XCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]" in server.heard
        assert send(server, "--xclient", "COLOUR=red") == 64
    for refusal, status in ((b"550 no\r\n", 69), (b"421 not now\r\n", 75)):
        with Server(obliging(replies | {b"XCLIENT": refusal})) as server:
            assert send(server, "--xclient", "ADDR=192.0.2.1") == status
    with Server(obliging(GOOD)) as server:
        assert send(server, "--xclient", "ADDR=192.0.2.1") == 69


# --- what becomes of it ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replies", "status", "line"),
    [
        ({b"RCPT": b"550 5.1.1 who\r\n"}, 67, "refused  <b@example.org> 550 "),
        ({b"RCPT": b"450 later\r\n"}, 75, "refused  <b@example.org> 450 later"),
        ({b"MAIL": b"550 no\r\n"}, 69, "refused  <b@example.org> 550 no"),
        ({b"DATA": b"554 no\r\n"}, 69, "refused  <b@example.org> 554 no"),
        ({b".": b"554 no\r\n"}, 69, "refused  <b@example.org> 554 no"),
        ({b".": b"452 full\r\n"}, 75, "refused  <b@example.org> 452 full"),
        ({b"EHLO": b"250-x\r\n250 SIZE 10\r\n"}, 65, "refused  <b@example.org> 552 "),
        ({b"": b"554 no\r\n"}, 69, None),
        ({b"": b"421 later\r\n"}, 75, None),
        ({b"EHLO": b"550 no\r\n", b"HELO": b"550 no\r\n"}, 69, None),
        ({b"EHLO": b"421 no\r\n"}, 75, None),
        ({b"": b"SSH-2.0\r\n"}, 76, None),
        ({b"MAIL": b"299\x00\r\n"}, 75, "unsent   <b@example.org>"),
    ],
)
def test_status(replies: dict[bytes, bytes], status: int, line: str | None, capsys: Captured) -> None:
    with Server(obliging({b"EHLO": b"250 x\r\n"} | replies)) as server:
        assert send(server) == status
    captured = capsys.readouterr()
    if line is None:
        assert captured.out == ""
        assert captured.err.startswith("smtpcore: ")
        assert captured.err.count("\n") == 1
    else:
        assert captured.out.startswith(line)
        assert captured.out.endswith("(the server was not asked)\n") is (status == 65)


@pytest.mark.parametrize(("until", "word", "status"), [(4, "unsent", 75), (5, "unknown", 75), (6, "accepted", 0)])
def test_lost(until: int, word: str, status: int, capsys: Captured) -> None:
    with Server(obliging(until=until)) as server:
        assert send(server) == status
    captured = capsys.readouterr()
    assert captured.out.startswith(word)
    assert captured.err == ("" if word == "accepted" else "smtpcore: the peer closed the connection\n")


def test_worst_tells() -> None:
    async def serve(script: Script) -> None:
        await script.say(b"220 ready\r\n")
        codes = iter((b"250", b"550", b"450"))
        while (line := await script.line()) is not None:
            if line.startswith(b"RCPT"):
                await script.say(next(codes) + b" x\r\n")
            elif line == b"DATA":
                await script.say(b"354 go\r\n")
                await script.message()
                await script.say(b"250 ok\r\n")
            else:
                await script.say(b"250 x\r\n" if line != b"QUIT" else b"221 bye\r\n")

    with Server(serve) as server:
        assert send(server, "--to", "c@example.org", "--to", "d@example.org") == 75
    with Server(serve) as server:
        assert send(server, "--to", "c@example.org") == 67


def test_nobody_there(capsys: Captured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.getsockname()[1]
    assert send(f"127.0.0.1:{number}") == 69
    assert capsys.readouterr().err == f"smtpcore: cannot connect to 127.0.0.1:{number}: Connection refused\n"
    assert send("/nonexistent/socket") == 69
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "status"), [(socket.EAI_NONAME, 68), (socket.EAI_AGAIN, 75)])
def test_no_such_host(number: int, status: int, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dial(*_: object) -> None:
        raise socket.gaierror(number, "no name")

    monkeypatch.setattr(_send, "dial", dial)
    assert send("mx.example.org") == status
    assert capsys.readouterr().err == "smtpcore: mx.example.org: no name\n"


def test_reasons_of_several_addresses(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dial(*_: object) -> None:
        one, two = OSError(111, "Connection refused"), OSError("odd")
        raise OSError("all attempts failed") from ExceptionGroup("", [one, two, one])

    monkeypatch.setattr(_send, "dial", dial)
    assert send("mx.example.org") == 69
    assert capsys.readouterr().err == "smtpcore: cannot connect to mx.example.org: Connection refused; odd\n"


def test_timeout(capsys: Captured) -> None:
    async def serve(_script: Script) -> None:
        await trio.sleep_forever()

    with Server(serve) as server:
        assert send(server, "--timeout", "0.5") == 75
    assert capsys.readouterr().err == "smtpcore: a deadline expired (greeting)\n"


def test_message_cannot_be_read(tmp_path: Path, capsys: Captured) -> None:
    with Server(obliging(GOOD)) as server:
        assert file(server, tmp_path / "none") == 66
        assert capsys.readouterr().err == f"smtpcore: cannot read {tmp_path / 'none'}: No such file or directory\n"
        assert file(server, tmp_path) == 66
        (tmp_path / "nul").write_bytes(b"a\0b")
        assert file(server, tmp_path / "nul") == 65
        assert capsys.readouterr().err.endswith("nul: the message holds a NUL\n")
    assert server.scripts == []


def test_message_cannot_be_read_to_its_end(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "message").write_bytes(b"x\n")

    async def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with Server(obliging(GOOD)) as server:
        monkeypatch.setattr(_send.Progress, "__anext__", fail)
        assert file(server, tmp_path / "message") == 74
    captured = capsys.readouterr()
    assert captured.out == "unsent   <b@example.org>\n"
    assert captured.err == "smtpcore: the message could not be read to its end: Input/output error\n"


def test_message_changes_meanwhile(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "message").write_bytes(b"x\n")
    scan = _send.scan

    def change(*arguments: Any) -> Any:
        scanned = scan(*arguments)
        (tmp_path / "message").write_bytes(b"\0\n")
        return scanned

    with Server(obliging(GOOD)) as server:
        monkeypatch.setattr(_send, "scan", change)
        assert file(server, tmp_path / "message") == 65
    assert capsys.readouterr().out == "unsent   <b@example.org>\n"


def test_error_of_ours(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    with Server(obliging(GOOD)) as server:
        monkeypatch.setattr(_send, "_send", fail)
        assert send(server) == 70


def test_interrupted(capsys: Captured) -> None:
    ours = os.getpid()

    async def serve(script: Script) -> None:
        await obliging(until=5)(script)
        os.kill(ours, signal.SIGINT)
        await trio.sleep_forever()

    with Server(serve) as server:
        assert send(server) == 130
    assert capsys.readouterr().out == "unknown  <b@example.org>\n"


def test_interrupted_before(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with Server(obliging(GOOD)) as server:
        monkeypatch.setattr("smtpcore.ClientConnection.send", interrupt)
        assert send(server) == 130
    assert capsys.readouterr().out == "unsent   <b@example.org>\n"


# --- TLS and authentication --------------------------------------------------------------------------------


@pytest.fixture
def authority_file(authority: Any, tmp_path: Path) -> Path:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


MECHANISMS = b"250-x\r\n250 AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2 OAUTHBEARER\r\n"


def secure(tls_context: TlsContext, *, implicit: bool = False, replies: dict[bytes, bytes] | None = None) -> Serve:
    """Offers STARTTLS, and AUTH behind it."""

    async def serve(script: Script) -> None:
        if not implicit:
            offer = {b"EHLO": b"250-x\r\n250 STARTTLS\r\n"}
            await obliging(offer, until=2, last=b"220 go\r\n")(script)
        await script.start_tls(tls_context.context)
        greeting = {} if implicit else {b"": b""}
        await obliging({b"EHLO": MECHANISMS, b"AUTH": b"235 welcome\r\n"} | greeting | (replies or {}))(script)

    return serve


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("how", ["--ca", "--insecure", None])
def test_tls(implicit: bool, how: str | None, tls_context: TlsContext, authority_file: Path, capsys: Captured) -> None:
    options = ["--tls" if implicit else "--starttls"]
    if how == "--ca":
        options += ["--ca", str(authority_file)]
    elif how:
        options.append(how)
    with Server(secure(tls_context, implicit=implicit)) as server:
        assert send(server, *options) == (76 if how is None else 0)
    error = capsys.readouterr().err
    if how is None:
        assert error == "smtpcore: the TLS handshake failed: unable to get local issuer certificate\n"
    else:
        assert error == ""
        assert len(server.scripts[0].messages) == 1


@pytest.mark.parametrize("implicit", [False, True])
def test_pin(
    implicit: bool, tls_context: TlsContext, certificate: x509.Certificate, authority_file: Path, capsys: Captured
) -> None:
    """It is enough, and demands TLS by itself; the system's authorities do not matter, those of --ca do."""
    pin = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    colons = ":".join(pin[index : index + 2] for index in range(0, 64, 2)).upper()
    options = ["--tls"] if implicit else []
    with Server(secure(tls_context, implicit=implicit)) as server:
        assert send(server, "--pin", colons, *options) == 0
        assert send(server, "--pin", "00" * 32, "--pin", pin, "--ca", str(authority_file), *options) == 0
        assert capsys.readouterr().err == ""
        assert send(server, "--pin", "00" * 32, "--ca", str(authority_file), *options) == 76
    error = capsys.readouterr().err
    assert error == "smtpcore: the TLS handshake failed: the certificate is none of those that are pinned\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--pin", "00" * 31], "not 64 hexadecimal digits"),
        (["--pin", "certificate"], "not 64 hexadecimal digits"),
        (["--pin", "00" * 32, "--no-tls"], "a certificate that is pinned wants TLS"),
        (["--source", "mx.example.org"], "not an IP address"),
    ],
)
def test_pin_or_source_that_is_none(options: list[str], said: str, capsys: Captured) -> None:
    assert send("127.0.0.1:9", *options) == 64
    assert said in capsys.readouterr().err


def test_pin_and_no_tls_offered(capsys: Captured) -> None:
    with Server(obliging(GOOD)) as server:
        assert send(server, "--pin", "00" * 32) == 69
        assert server.scripts[0].messages == []
    assert "STARTTLS is not offered" in capsys.readouterr().err


def test_source(capsys: Captured) -> None:
    seen: list[str] = []

    async def serve(script: Script) -> None:
        assert isinstance(script.stream, trio.SocketStream)
        seen.append(script.stream.socket.getpeername()[0])
        await obliging(GOOD)(script)

    with Server(serve) as server:
        assert send(server, "--source", "127.0.0.77") == 0
        assert send(server, "--source", "192.0.2.1") == 69
    assert seen == ["127.0.0.77"]
    assert "192.0.2.1" in capsys.readouterr().err


def test_other_name(tls_context: TlsContext, authority_file: Path, capsys: Captured) -> None:
    with Server(secure(tls_context)) as server:
        assert send(server, "--ca", str(authority_file), "--server-name", "mx.example.org") == 0
        assert send(server, "--ca", str(authority_file), "--server-name", "mx.example.net") == 76
    assert "Hostname mismatch" in capsys.readouterr().err


def test_opportunistic(tls_context: TlsContext, capsys: Captured) -> None:
    with Server(secure(tls_context)) as server:
        assert send(server, "-v") == 0
    assert "the certificate is not verified" in capsys.readouterr().err


def test_no_starttls(capsys: Captured) -> None:
    with Server(obliging()) as server:
        assert send(server, "--starttls") == 69
        assert capsys.readouterr().err == "smtpcore: STARTTLS is not offered\n"
    with Server(obliging({b"EHLO": b"250-x\r\n250 STARTTLS\r\n", b"STARTTLS": b"454 no\r\n"})) as server:
        assert send(server, "--starttls") == 75


def test_bad_authority(tmp_path: Path, capsys: Captured) -> None:
    assert send("127.0.0.1", "--ca", str(tmp_path / "none")) == 78
    (tmp_path / "text").write_text("x")
    assert send("127.0.0.1", "--ca", str(tmp_path / "text")) == 78
    assert capsys.readouterr().err.startswith("smtpcore: cannot use ")


@pytest.mark.parametrize("source", ["file", "environment", "terminal"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "login", "XOAUTH2", "OAUTHBEARER"])
@pytest.mark.catalogue("D12")
def test_password(
    source: str,
    mechanism: str,
    tls_context: TlsContext,
    authority_file: Path,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    password = "correct-horse"
    options = ["--ca", str(authority_file), "--auth", "tim", "--mechanism", mechanism, "-v"]
    if source == "file":
        (tmp_path / "password").write_text(f"{password}\r\nand more\n")
        options += ["--password-file", str(tmp_path / "password")]
    elif source == "environment":
        monkeypatch.setenv("SMTPCORE_PASSWORD", password)
    else:
        monkeypatch.setattr(getpass, "getpass", lambda _: password)
    said: list[bytes] = []

    async def serve(script: Script) -> None:
        async def login() -> None:
            for challenge in (b"VXNlcm5hbWU6", b"UGFzc3dvcmQ6"):
                await script.say(b"334 %s\r\n" % challenge)
                said.append(await script.line() or b"")

        await obliging({b"EHLO": b"250-x\r\n250 STARTTLS\r\n"}, until=2, last=b"220 go\r\n")(script)
        await script.start_tls(tls_context.context)
        await obliging({b"": b"", b"EHLO": MECHANISMS}, until=2)(script)
        said.append(script.heard[-1].split(b" ")[-1])
        if mechanism == "login":
            await login()
        # It repeats all that it has heard.
        await script.say(
            b"235-%s\r\n235 %s %s\r\n" % (b" ".join(said), b64encode(password.encode()), password.encode())
        )
        await obliging({b"": b""})(script)

    with Server(serve) as server:
        assert send(server, *options) == 0
    secrets = [each.decode() for each in said if len(each) > 8]
    assert secrets
    captured = capsys.readouterr()
    assert f" ~> AUTH {mechanism.upper()}" in captured.err
    assert "***" in captured.err
    for secret in (*secrets, password, b64encode(password.encode()).decode()):
        assert secret not in captured.err
        assert secret not in captured.out


def test_wrong_password(tls_context: TlsContext, authority_file: Path, capsys: Captured, monkeypatch: Any) -> None:
    monkeypatch.setenv("SMTPCORE_PASSWORD", "wrong-horse")
    options = ["--ca", str(authority_file), "--auth", "tim", "--mechanism", "PLAIN"]
    for reply, status in ((b"535 not wrong-horse\r\n", 77), (b"454 later\r\n", 75)):
        with Server(secure(tls_context, replies={b"AUTH": reply})) as server:
            assert send(server, *options) == status
        error = capsys.readouterr().err
        assert error.startswith(f"smtpcore: AUTH PLAIN: {status // 77 * 81 + 454} ")
        assert "wrong-horse" not in error
        assert server.heard[-1] == b"QUIT"


def test_no_mechanism(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTPCORE_PASSWORD", PASSWORD)
    with Server(obliging({b"EHLO": MECHANISMS})) as server:
        assert send(server, "--auth", "tim", "--no-tls") == 77
        assert "no mechanism" in capsys.readouterr().err
        assert not any(line.startswith(b"AUTH") for line in server.heard)
        assert send(server, "--auth", "tim") == 69
    with Server(obliging({b"EHLO": MECHANISMS, b"AUTH": b"235 ok\r\n"})) as server:
        options = ["--auth", "tim", "--mechanism", "PLAIN", "--cleartext-auth"]
        assert send(server, *options) == 0


def test_scram_alone_does_not_claim_that_it_would_bind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTPCORE_PASSWORD", PASSWORD)

    def could_bind(*wanted: str) -> list[object]:
        found, _ = _send._mechanisms(Namespace(auth="tim", mechanism=list(wanted), password_file=None))
        return [getattr(each, "could_bind", None) for each in found]

    assert could_bind("SCRAM-SHA-256") == [False]
    assert could_bind("scram-sha-256", "SCRAM-SHA-256-PLUS") == [False, True]


def test_no_password(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: str) -> str:
        raise getpass.GetPassWarning

    monkeypatch.setattr(getpass, "getpass", nobody)
    assert send("127.0.0.1", "--auth", "tim") == 64
    assert "no password: use --password-file, SMTPCORE_PASSWORD or a terminal" in capsys.readouterr().err
    assert send("127.0.0.1", "--auth", "tim", "--password-file", str(tmp_path / "none")) == 78


# --- what is told ------------------------------------------------------------------------------------------


def test_transcript(capsys: Captured) -> None:
    with Server(obliging({b"EHLO": b"250 x\r\n", b"MAIL": b"250 \x1b[31mok\r\n"})) as server:
        assert send(server, "-v", "--no-tls") == 0
    lines = capsys.readouterr().err.split("\n")
    assert [line for line in lines if "octets" not in line] == [
        "<-  220 mx.example.org ready",
        " -> EHLO client.example",
        "<-  250 x",
        " -> MAIL FROM:<a@example.org>",
        "<-  250 \\x{1B}[31mok",
        " -> RCPT TO:<b@example.org>",
        "<-  250 ok",
        " -> DATA",
        "<-  354 go ahead",
        "<-  250 2.0.0 stored",
        " -> QUIT",
        "<-  221 bye",
        "=== closed: the client said QUIT",
        "",
    ]
    assert sum("octets of the message" in line for line in lines) == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_progress(terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "message").write_bytes(b"x" * 70 + b"\n" + (b"x" * 99 + b"\n") * 20_000)
    screen = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    with Server(obliging({b"EHLO": b"250 x\r\n"})) as server:
        assert file(server, tmp_path / "message") == 0
    shown = screen.getvalue()
    if not terminal:
        assert shown == ""
        return
    assert re.match(r"\r\[#*\.+\]  +\d+% of 2,000,071 octets", shown)
    assert shown.endswith("\r\x1b[K")


# --- what is wrong with the arguments ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--to", "x"], "'x': not a mailbox"),
        (["--dsn-notify", "always"], "--dsn-notify is never, or a list"),
        (["--dsn-ret", "all"], "invalid choice"),
        (["--xclient", "ADDR"], "--xclient wants NAME=VALUE, not 'ADDR'"),
        (["--mechanism", "PLAIN"], "are for --auth"),
        (["--auth", "tim", "--mechanism", "GSSAPI"], "no mechanism for a password or token: GSSAPI"),
        (["--header", "x"], "not a header field: 'x'"),
        (["--header", "X: a\nB: c"], "not a header field"),
        (["--header", ": x"], "not a header field"),
        (["--subject", "a\nb"], "no message can be made"),
        (["--timeout", "0"], "nothing is done in no time"),
        (["--timeout", "inf"], "not a number of seconds"),
        (["--timeout", "abc"], "argument --timeout: not a number of seconds: 'abc'"),
        (["--helo", "a b"], "not a domain"),
        (["--helo", "[x]"], "address literal"),
        (["--tls", "--no-tls"], "not allowed with"),
        (["--dsn-envid", "x" * 2000], ""),
    ],
)
def test_wrong_arguments(arguments: list[str], error: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTPCORE_PASSWORD", PASSWORD)
    with Server(obliging(GOOD)) as server:
        assert send(server, *arguments) == (64 if error else 65)
    captured = capsys.readouterr()
    assert error in captured.err
    assert captured.err.endswith("\n")
    assert not server.scripts or not error


def test_file_and_made_message(capsys: Captured) -> None:
    for option in ("--subject", "--body", "--header"):
        arguments = ["send", "--from", "<>", "--to", "b@example.org", option, "x: y", "127.0.0.1", "file"]
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 64
    assert "there is a FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("server", "options", "expected"),
    [
        ("mx.example.org", {}, ("mx.example.org", 25, None, TlsMode.OPPORTUNISTIC)),
        ("mx.example.org:2525", {}, ("mx.example.org", 2525, None, TlsMode.OPPORTUNISTIC)),
        ("mx.example.org:587", {}, ("mx.example.org", 587, None, TlsMode.REQUIRED)),
        ("mx.example.org:465", {}, ("mx.example.org", 465, None, TlsMode.IMPLICIT)),
        ("mx.example.org:465", {"mode": "--no-tls"}, ("mx.example.org", 465, None, TlsMode.NONE)),
        ("mx.example.org", {"mode": "--tls"}, ("mx.example.org", 465, None, TlsMode.IMPLICIT)),
        ("mx.example.org", {"mode": "--starttls"}, ("mx.example.org", 25, None, TlsMode.REQUIRED)),
        ("mx.example.org", {"auth": "tim"}, ("mx.example.org", 25, None, TlsMode.REQUIRED)),
        ("mx.example.org", {"ca": Path("x")}, ("mx.example.org", 25, None, TlsMode.REQUIRED)),
        ("[::1]", {}, ("::1", 25, None, TlsMode.OPPORTUNISTIC)),
        ("[::1]:26", {}, ("::1", 26, None, TlsMode.OPPORTUNISTIC)),
        ("::1", {}, ("::1", 25, None, TlsMode.OPPORTUNISTIC)),
        ("localhost", {"lmtp": True}, ("localhost", 24, None, TlsMode.OPPORTUNISTIC)),
        ("/run/lmtp", {"lmtp": True}, ("localhost", 24, "/run/lmtp", TlsMode.OPPORTUNISTIC)),
        (
            "mx.example.org",
            {"auth": "tim", "cleartext_auth": True},
            ("mx.example.org", 25, None, TlsMode.OPPORTUNISTIC),
        ),
    ],
)
def test_where(server: str, options: dict[str, Any], expected: tuple[str, int, str | None, TlsMode]) -> None:
    stock: dict[str, Any] = {"mode": None, "lmtp": False, "ca": None, "pin": [], "auth": None}
    stock["cleartext_auth"] = False
    assert Where.of(Namespace(server=server, **(stock | options))) == Where(*expected)


@pytest.mark.parametrize(
    "server",
    ["", ":25", "mx:", "mx:0", "mx:65536", "mx:+25", "mx:\u0662", "mx:9" + "0" * 99, "[::1", "[::1]x", "[]:25"],
)
def test_nowhere(server: str, capsys: Captured) -> None:
    assert send(server) == 64
    error = capsys.readouterr().err
    assert f"not HOST or HOST:PORT: {server!r}" in error or f"a port is 1 to 65535, not '{server[3:83]}'" in error


def test_url(capsys: Captured) -> None:
    """It is no path of a Unix socket."""
    assert send("smtp://127.0.0.1:2525") == 64
    assert "HOST or HOST:PORT is wanted, not a URL: 'smtp://127.0.0.1:2525'" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["trio", "cryptography", "smtpcore_trio._gone"])
def test_missing_package(missing: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a bare install the command says in one line what to install."""

    def import_module(*_: object) -> None:
        raise ModuleNotFoundError(name=missing)

    monkeypatch.setattr("smtpcore_trio.cli.importlib.import_module", import_module)
    if missing == "smtpcore_trio._gone":
        with pytest.raises(ModuleNotFoundError):
            main(["serve"])
        return
    assert main(["serve"]) == 69
    assert capsys.readouterr() == ("", f"smtpcore: {missing} is missing: pip install 'smtpcore[relay]'\n")


def test_nothing_is_imported_that_may_be_missing() -> None:
    source = (
        "import sys; sys.modules['trio'] = sys.modules['cryptography'] = None\n"
        "from smtpcore_trio.cli import main; sys.exit(main(['serve']))"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (69, b"")
    assert re.fullmatch(rb"smtpcore: (trio|cryptography) is missing: pip install 'smtpcore\[relay\]'\n", done.stderr)
