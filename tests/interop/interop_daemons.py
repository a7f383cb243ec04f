"""Mail servers that a system cannot have beside another: Exim and OpenSMTPD, each unpacked from Debian's package.

Each runs in a directory that is the root of all it sees, with its users, its spool and the libraries that it
needs, so that nothing of the system is read or written. All of it runs as root.
"""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Final

from interop_servers import UNICODE, Certificate, Daemon, Delivery, await_port, free_ports, stored

_NOBODY: Final = 65534
_DAEMON: Final = 65533
_QUEUE: Final = 65532


class Jail(Daemon):
    """A daemon whose root is *directory*.

    Args:
        unpacked: the root of its package's files.
        programs: those that it runs, as the package names them.
        users: each with its number.
    """

    def __init__(
        self, certificate: Certificate, directory: Path, unpacked: Path, programs: list[str], users: dict[str, int]
    ) -> None:
        self.certificate = certificate
        self.directory = directory
        for name in ("dev", "etc", "mail", "tmp"):
            (directory / name).mkdir()
        os.chown(directory / "mail", _DAEMON, _DAEMON)
        (directory / "tmp").chmod(0o1777)
        os.mknod(directory / "dev/null", stat.S_IFCHR, os.makedev(1, 3))
        (directory / "dev/null").chmod(0o666)
        users = {"root": 0, "nobody": _NOBODY, **users}
        groups = {**users, "nogroup": _NOBODY}
        passwd = (f"{name}:x:{number}:{number}::/:/bin/false\n" for name, number in users.items())
        (directory / "etc/passwd").write_text("".join(passwd))
        (directory / "etc/group").write_text("".join(f"{name}:x:{number}:\n" for name, number in groups.items()))
        (directory / "etc/hosts").write_text("127.0.0.1 localhost\n")
        for program in programs:
            self._install(unpacked / program.lstrip("/"), program)

    def _install(self, program: Path, path: str) -> None:
        """Copy *program* to *path*, with the libraries that it loads."""
        libraries = subprocess.run(["ldd", str(program)], capture_output=True, check=True, text=True).stdout
        assert "not found" not in libraries, libraries
        files = [(program, path), *((Path(name), name) for name in re.findall(r"\s(/\S+) \(0x", libraries))]
        for source, target in files:
            copy = self.directory / target.lstrip("/")
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, copy)

    def start(self, *command: str) -> None:
        """Run *command*, as one that sees nothing but the directory, and wait until it listens."""
        self.run("chroot", str(self.directory), *command)
        try:
            for port in filter(None, (self.port, self.tls_port)):
                await_port(self, port, self.process)
        except BaseException:
            self.stop()
            raise

    def taken(self) -> list[Delivery]:
        return [stored(path, unix=True) for path in sorted(self.directory.glob("mail/*/new/*"))]


_EXIM: Final = """
primary_hostname = localhost
exim_user = {daemon}
exim_group = {daemon}
deliver_drop_privilege
spool_directory = /spool
log_file_path = /spool/%s.log
keep_environment =
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port} : {tls_port}
tls_on_connect_ports = {tls_port}
tls_advertise_hosts = *
tls_certificate = /etc/chain.pem
tls_privatekey = /etc/key.pem
# No password crosses in the clear.
auth_advertise_hosts = ${{if def:tls_in_cipher {{*}}}}
chunking_advertise_hosts = *
dsn_advertise_hosts = *
pipelining_advertise_hosts = *
smtputf8_advertise_hosts = *
host_lookup =
rfc1413_hosts =
rfc1413_query_timeout = 0s
message_size_limit = 33554432
smtp_accept_queue_per_connection = 0
smtp_accept_max = 0
smtp_accept_max_nonmail = 1000
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept_all

begin acl
accept_all:
  accept
check_rcpt:
  require verify = recipient
  accept

begin routers
mailboxes:
  driver = accept
  domains = example.org
  local_parts = lsearch;/etc/mailboxes
  local_part_suffix = +*
  local_part_suffix_optional
  transport = maildir

begin transports
maildir:
  driver = appendfile
  directory = /mail/$local_part_data
  maildir_format
  return_path_add
  user = {daemon}
  group = {daemon}

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and {{{{eq {{$auth2}}{{{user}}}}} {{eq {{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and {{{{eq {{$auth1}}{{{user}}}}} {{eq {{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
"""


class Exim(Jail):
    name = "Exim"
    mechanisms = ("PLAIN", "LOGIN")
    unicode = UNICODE

    def __init__(self, certificate: Certificate, unpacked: Path, directory: Path) -> None:
        program = "/usr/sbin/exim4"
        super().__init__(certificate, directory, unpacked, [program], {"Debian-exim": _DAEMON})
        self.port, self.tls_port = free_ports(2)
        (directory / "spool").mkdir()
        os.chown(directory / "spool", _DAEMON, _DAEMON)
        for name, path in (("chain", certificate.chain), ("key", certificate.key)):
            copy = directory / f"etc/{name}.pem"
            shutil.copy(path, copy)
            os.chown(copy, _DAEMON, _DAEMON)
            copy.chmod(0o400)
        # Exim gives no path to what a peer has said: the name of a mailbox comes out of this file.
        mailboxes = (self.sender, *self.recipients, UNICODE)
        lines = (f"{address.partition('@')[0]}: {address}\n" for address in mailboxes)
        (directory / "etc/mailboxes").write_text("".join(lines), "utf-8")
        # Where it looks by itself: it starts itself again, as one who may not name another.
        config = directory / "etc/exim4/exim4.conf"
        config.parent.mkdir()
        config.write_text(
            _EXIM.format(daemon=_DAEMON, port=self.port, tls_port=self.tls_port, user=self.user, password=self.password)
        )
        self.start(program, "-bdf")

    def log(self) -> str:
        files = [self.directory / "output", *sorted(self.directory.glob("spool/*.log"))]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())[-5000:]


_SMTPD_CONF: Final = """
smtp max-message-size 33554432
table mailboxes file:/etc/mailboxes
table users file:/etc/users
listen on 127.0.0.1 port {port}
action "keep" maildir "/mail/%{{rcpt}}" userbase <users> virtual <mailboxes>
# Of a recipient that is in no table it says 524.
match from any for rcpt-to {{ "{refused}" }} reject
match from any for domain "example.org" action "keep"
"""


class OpenSmtpd(Jail):
    """It offers neither PIPELINING nor CHUNKING nor SMTPUTF8.

    Nor TLS here, and so no AUTH: with OpenSSL 3 the version of Debian 12 cannot end a handshake.
    """

    name = "OpenSMTPD"
    starttls = False

    def __init__(self, certificate: Certificate, unpacked: Path, directory: Path) -> None:
        programs = ["/usr/sbin/smtpd", "/usr/libexec/opensmtpd/mail.maildir"]
        super().__init__(certificate, directory, unpacked, programs, {"opensmtpd": _DAEMON, "opensmtpq": _QUEUE})
        # It has this shell run mail.maildir.
        self._install(Path("/bin/sh"), "/bin/sh")
        for name in ("var/lib/opensmtpd/empty", "var/run", "var/spool"):
            (directory / name).mkdir(parents=True)
        (self.port,) = free_ports(1)
        (directory / "etc/users").write_text(f"keeper {_DAEMON}:{_DAEMON}:/mail\n")
        mailboxes = (self.sender, *self.recipients)
        (directory / "etc/mailboxes").write_text("".join(f"{address} keeper\n" for address in mailboxes))
        (directory / "etc/smtpd.conf").write_text(_SMTPD_CONF.format(port=self.port, refused=self.refused))
        self.start("/usr/sbin/smtpd", "-d", "-v")
