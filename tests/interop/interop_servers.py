"""Servers of others on loopback, and what they have taken: Postfix, Dovecot's LMTP, aiosmtpd, Nodemailer's smtp-server.

Each has a directory of its own for its config and data, and is ended by its pid. All are told of the same
users and recipients, so that one test can run against each.
"""

import base64
import contextlib
import dataclasses
import json
import os
import queue
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import trustme

USER: Final = "b@example.org"
PASSWORD: Final = "pass =,word"
OTHER_PASSWORD: Final = "p\u00e4ssw\u00f6rd"
TOKEN: Final = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
SENDER: Final = "a@example.org"
RECIPIENTS: Final = ("b@example.org", "c@example.org")
UNICODE: Final = "\u03b4\u03bf\u03ba\u03b9\u03bc\u03ae@example.org"
REFUSED: Final = "nobody@example.org"
FULL: Final = "full@example.org"

# No server here takes long for anything, but the machine may be busy.
PATIENCE: Final = 30.0


class Certificate:
    """A certificate for ``localhost`` and 127.0.0.1, the key, and what vouches for them, as files."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        self.authority = directory / "authority.pem"
        self.chain = directory / "certificate.pem"
        self.key = directory / "key.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        self.chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(self.key))

    def context(self) -> ssl.SSLContext:
        """For a client that trusts it."""
        return ssl.create_default_context(cafile=str(self.authority))


@dataclasses.dataclass(frozen=True)
class Delivery:
    """A message as one recipient got it, without the fields that the server put before it.

    Args:
        fields: those fields, or what stands for them: "Received" and others.
        params: of MAIL, and of this recipient's RCPT, where the server tells them.
    """

    sender: str
    recipient: str
    octets: bytes = dataclasses.field(repr=False)
    fields: dict[str, str] = dataclasses.field(default_factory=dict)
    params: dict[str, Any] = dataclasses.field(default_factory=dict)
    rcpt_params: dict[str, Any] = dataclasses.field(default_factory=dict)


class Server:
    """A running server.

    Args:
        port: where it listens, with STARTTLS.
        starttls: whether it has STARTTLS after all.
        tls_port: where it listens with TLS from the start, if anywhere.
        mechanisms: what AUTH offers under TLS.
        unicode: a recipient that needs SMTPUTF8, where that is offered.
        full: a recipient that LMTP refuses after the message only.
    """

    name: str
    host: str = "127.0.0.1"
    port: int
    starttls: bool = True
    tls_port: int | None = None
    lmtp: bool = False
    mechanisms: tuple[str, ...] = ()
    user: str = USER
    password: str = PASSWORD
    token: str | None = None
    sender: str = SENDER
    recipients: tuple[str, ...] = RECIPIENTS
    refused: str = REFUSED
    unicode: str | None = None
    full: str | None = None
    certificate: Certificate

    def deliveries(self, count: int, timeout: float = PATIENCE) -> list[Delivery]:
        """The next *count* deliveries, by recipient; each is told once."""
        found: list[Delivery] = []
        until = time.monotonic() + timeout
        while len(found) < count:
            found += self.taken()
            if time.monotonic() > until:
                raise AssertionError(f"{self.name} delivered {len(found)} of {count}: {found}\n{self.log()}")
            if len(found) < count:
                time.sleep(0.01)
        assert len(found) == count, found
        return sorted(found, key=lambda each: each.recipient)

    def taken(self) -> list[Delivery]:
        """What it has delivered since."""
        raise NotImplementedError

    def log(self) -> str:
        """What it has written about itself."""
        raise NotImplementedError

    def stop(self) -> None:
        """End it and wait for its end."""
        raise NotImplementedError


def await_port(server: Server, port: int, process: subprocess.Popen[Any]) -> None:
    """Wait until somebody listens on *port*."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection((server.host, port), timeout=PATIENCE):
            return
        time.sleep(0.02)
    raise AssertionError(f"{server.name} does not listen on {port} (status {process.returncode})\n{server.log()}")


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens at the moment.

    Linux gives them to nobody who does not name them, so they stay free: there, those begin at 32768.
    """
    free: list[int] = []
    for port in random.sample(range(10_000, 32_768), 100 * count):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            free.append(port)
        if len(free) == count:
            return free
    raise AssertionError("no port is free")


# --- programs that print what they take -----------------------------------------------------------


class Printing(Server):
    """A program that prints JSON lines: its ports, then each message; and ends when its standard input does."""

    def __init__(self, certificate: Certificate, *command: str, **options: object) -> None:
        self.certificate = certificate
        given: dict[str, object] = {
            "certificate": str(certificate.chain),
            "key": str(certificate.key),
            "user": self.user,
            "password": self.password,
            "refused": self.refused,
        }
        self.process = subprocess.Popen(
            [*command, json.dumps(given | options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self._lines.put)),
            threading.Thread(target=self._read, args=(self.process.stderr, self._errors.append)),
        ]
        for reader in self._readers:
            reader.start()
        try:
            ports = json.loads(self._lines.get(timeout=PATIENCE))
        except (queue.Empty, ValueError):
            self.stop()
            raise AssertionError(f"{self.name} does not start\n{self.log()}") from None
        self.port, self.tls_port = ports["port"], ports["tls_port"]

    @staticmethod
    def _read(stream: Any, keep: Any) -> None:
        for line in stream:
            keep(line)

    def taken(self) -> list[Delivery]:
        found = []
        while not self._lines.empty():
            message = json.loads(self._lines.get())
            octets = base64.b64decode(message["octets"])
            told = {"user": message["user"], "tls": str(message["tls"])}
            found += [
                Delivery(message["sender"], recipient, octets, told, message["params"], params)
                for recipient, params in message["recipients"]
            ]
        return found

    def log(self) -> str:
        return "".join(self._errors)

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()


class Aiosmtpd(Printing):
    name = "aiosmtpd"
    mechanisms = ("LOGIN", "PLAIN")
    unicode = UNICODE

    def __init__(self, certificate: Certificate) -> None:
        # Without -W error: what it warns of is its own.
        super().__init__(certificate, sys.executable, str(Path(__file__).with_name("aiosmtpd_serve.py")))


class SmtpServer(Printing):
    name = "smtp-server"
    mechanisms = ("PLAIN", "LOGIN", "XOAUTH2", "CRAM-MD5")
    unicode = UNICODE
    token = TOKEN

    def __init__(self, certificate: Certificate, node: str) -> None:
        script = str(Path(__file__).with_name("smtp_server_serve.cjs"))
        super().__init__(certificate, node, script, lmtp=self.lmtp, token=self.token, full=self.full)


class SmtpServerLmtp(SmtpServer):
    name = "smtp-server (LMTP)"
    lmtp = True
    full = FULL


# --- daemons ---------------------------------------------------------------------------------------


class Daemon(Server):
    """A program that starts others, all in a process group of their own."""

    process: subprocess.Popen[bytes]
    directory: Path

    def run(self, *command: str) -> None:
        """Start it; what it says itself goes into its log too."""
        with (self.directory / "output").open("wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def stop(self) -> None:
        if self.process.returncode is not None:
            return  # and with it all that it has started
        pid = self.process.pid
        self.process.terminate()
        until = time.monotonic() + 10
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None and time.monotonic() < until:
            time.sleep(0.01)
        # Its children end with it; this ends those that lag behind. Nobody else can have its number yet.
        os.killpg(pid, signal.SIGKILL)
        self.process.wait()

    def log(self) -> str:
        files = [self.directory / "output", self.directory / "log"]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())[-5000:]


_FIELD: Final = re.compile(rb"(?i:(Return-Path|X-Original-To|Delivered-To|Received)):((?:[^\r\n]|\r\n[ \t])*)\r\n")


def stored(path: Path, *, unix: bool = False) -> Delivery:
    """A file of a Maildir that is named for its recipient, taken out; *unix*: it has the line ends of Unix."""
    content = path.read_bytes()
    path.unlink()
    if unix:
        content = content.replace(b"\n", b"\r\n")
    fields: dict[str, str] = {}
    at = 0
    # Each is put there once, by the server; the same name again is the message's.
    while (match := _FIELD.match(content, at)) and match[1].decode().title() not in fields:
        fields[match[1].decode().title()] = re.sub(r"\s+", " ", match[2].decode()).strip()
        at = match.end()
    return Delivery(fields.get("Return-Path", "").strip("<>"), path.parts[-3], content[at:], fields)


_DOVECOT_COMMON: Final = """
base_dir = {run}
log_path = {directory}/log
protocols = lmtp
listen = 127.0.0.1
ssl = yes
auth_failure_delay = 0
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
lmtp_rcpt_check_quota = no
lmtp_user_concurrency_limit = 1000
recipient_delimiter = +
mail_save_crlf = yes
first_valid_uid = 1

# Failures do not slow down what comes after them.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  inet_listener {listener}auth {{
    port = {auth_port}
  }}
}}
service lmtp {{
  inet_listener {listener}lmtp {{
    port = {port}
  }}
}}
"""

_DOVECOT_23: Final = """
ssl_cert = <{chain}
ssl_key = <{key}
mail_location = maildir:{directory}/mail/%u
mail_plugins = quota
plugin {{
  quota = count:User quota
  quota_vsizes = yes
}}
passdb {{
  driver = passwd-file
  args = {directory}/users
}}
userdb {{
  driver = passwd-file
  args = {directory}/users
}}
"""

_DOVECOT_24: Final = """
ssl_server_cert_file = {chain}
ssl_server_key_file = {key}
mail_driver = maildir
mail_path = {directory}/mail/%{{user}}
mail_plugins {{
  quota = yes
}}
quota_storage_grace = 0
quota "User quota" {{
}}
passdb passwd-file {{
  passwd_file_path = {directory}/users
}}
userdb passwd-file {{
  passwd_file_path = {directory}/users
}}
"""


class Dovecot(Daemon):
    """Dovecot's LMTP, and its AUTH for Postfix on ``auth_port``. Runs as root."""

    name = "Dovecot (LMTP)"
    lmtp = True
    full = FULL
    auth_mechanisms = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")

    def __init__(self, certificate: Certificate, program: str, directory: Path) -> None:
        self.certificate = certificate
        self.directory = directory
        mail = directory / "mail"
        mail.mkdir()
        os.chown(mail, 65534, 65534)
        version = subprocess.run([program, "--version"], capture_output=True, check=True, text=True).stdout
        numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
        old = numbers < (2, 4)
        over = "userdb_quota_rule=*:bytes=1" if old else "userdb_quota_storage_size=1B"
        (directory / "users").write_text(
            "".join(
                f"{user}:{{PLAIN}}{password}:65534:65534::/nonexistent::{over if user == self.full else ''}\n"
                for user, password in zip(
                    (*self.recipients, self.full), (self.password, OTHER_PASSWORD, self.password), strict=True
                )
            ),
            "utf-8",
        )
        self.port, self.auth_port = free_ports(2)
        values = {
            "directory": directory,
            "run": directory / "run",
            "chain": certificate.chain,
            "key": certificate.key,
            "port": self.port,
            "auth_port": self.auth_port,
            # The names of listeners are namespaces of their own now.
            "listener": "",
        }
        head = "" if old else "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
        config = directory / "dovecot.conf"
        config.write_text(head + (_DOVECOT_COMMON + (_DOVECOT_23 if old else _DOVECOT_24)).format_map(values))
        self.run(program, "-F", "-c", str(config))
        try:
            for port in (self.port, self.auth_port):
                await_port(self, port, self.process)
        except BaseException:
            self.stop()
            raise

    def taken(self) -> list[Delivery]:
        return [stored(path) for path in sorted(self.directory.glob("mail/*/new/*"))]


_MAIN_CF: Final = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/log
maillog_file_prefixes = {directory}
myhostname = localhost
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
virtual_mailbox_domains = example.org
recipient_delimiter = +
virtual_mailbox_maps = texthash:{directory}/mailboxes
virtual_mailbox_base = {directory}/mail
virtual_mailbox_limit = 0
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtpd_relay_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
in_flow_delay = 0
local_header_rewrite_clients =
smtputf8_enable = yes
message_size_limit = 33554432
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_authorized_xforward_hosts = 127.0.0.1
smtpd_tls_security_level = may
smtpd_tls_chain_files = {directory}/tls.pem
smtpd_tls_auth_only = yes
smtpd_tls_received_header = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_authenticated_header = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{auth_port}
"""

_MASTER_CF: Final = """
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{tls_port} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(Daemon):
    """Postfix, which delivers into a Maildir for each recipient. Runs as root; AUTH is Dovecot's."""

    name = "Postfix"
    unicode = UNICODE

    def __init__(self, certificate: Certificate, program: str, directory: Path, dovecot: Dovecot) -> None:
        self.certificate = certificate
        self.mechanisms = dovecot.auth_mechanisms
        self.directory = directory
        for name in ("config", "queue", "data", "mail"):
            (directory / name).mkdir()
        shutil.chown(directory / "data", "postfix")
        os.chown(directory / "mail", 65534, 65534)
        self.port, self.tls_port = free_ports(2)
        values = {
            "directory": directory,
            "port": self.port,
            "tls_port": self.tls_port,
            "auth_port": dovecot.auth_port,
        }
        config = directory / "config"
        (config / "main.cf").write_text(_MAIN_CF.format_map(values))
        (config / "master.cf").write_text(_MASTER_CF.format_map(values))
        (directory / "tls.pem").write_bytes(certificate.key.read_bytes() + certificate.chain.read_bytes())
        (directory / "tls.pem").chmod(0o600)
        mailboxes = (self.sender, *self.recipients, self.unicode)
        (directory / "mailboxes").write_text("".join(f"{address} {address}/\n" for address in mailboxes), "utf-8")
        postconf = str(Path(program).with_name("postconf"))
        daemons = subprocess.run([postconf, "-hx", "daemon_directory"], capture_output=True, check=True, text=True)
        # This makes the directories of the queue.
        subprocess.run([program, "-c", str(config), "check"], capture_output=True, check=True, timeout=PATIENCE)
        self.run(f"{daemons.stdout.strip()}/master", "-c", str(config), "-d")
        try:
            for port in (self.port, self.tls_port):
                await_port(self, port, self.process)
        except BaseException:
            self.stop()
            raise

    def taken(self) -> list[Delivery]:
        return [stored(path, unix=True) for path in sorted(self.directory.glob("mail/*/new/*"))]
