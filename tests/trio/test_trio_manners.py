"""Mistakes in what a server is given are said where they are made, in words that name them."""

import os
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from trio_play import CONFIG, deliver, serving

from smtpcore import STANDARD, SUBMISSION, ServerConfig
from smtpcore._value import evolve
from smtpcore.extensions import AUTH, STARTTLS
from smtpcore.sasl import PLAIN
from smtpcore_trio import Admission, Port, TlsContext, listen_tcp, listen_unix, listening, tls
from smtpcore_trio._worker import reload_certificates
from smtpcore_trio.listening import networks

LOCALHOST = ip_network("127.0.0.1/32")
SECURE = evolve(CONFIG, extensions=(*STANDARD, STARTTLS))

# --- ports ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        ("127.0.0.1",),
        ["127.0.0.1/32"],
        (ip_address("127.0.0.1"),),
        {LOCALHOST},
        "127.0.0.1",
        ip_address("127.0.0.1"),
        LOCALHOST,
    ],
    ids=repr,
)
async def test_networks_however_they_are_given(given: Any) -> None:
    assert networks(given) == (LOCALHOST,)
    assert Admission(exempt=given).exempt == (LOCALHOST,)
    async with serving(proxies=given) as host, await host.client() as client:
        assert host.server.ports[0].proxies == (LOCALHOST,)
        await client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 25\r\n")
        assert (await deliver(client)).startswith("250")
        assert host.sessions[0].facts.peer.address == "192.0.2.7"


@pytest.mark.parametrize("given", ["somewhere", "127.0.0.1/8", [None]])
def test_what_is_no_network(given: Any) -> None:
    with pytest.raises(ValueError, match=r"somewhere|127\.0\.0\.1/8|None"):
        Admission(exempt=given)


async def test_tls_context_of_a_port(tls_context: TlsContext) -> None:
    """One that nothing would use leaves the port in the clear; that of `ssl` has no handshake."""
    listeners = await listen_tcp("127.0.0.1", 0)
    wrong: Any = ssl.create_default_context()
    with pytest.raises(ValueError, match=r"never used: put STARTTLS into config\.extensions, or say implicit_tls=True"):
        Port(listeners=listeners, config=CONFIG, tls_context=tls_context)
    with pytest.raises(TypeError, match=r"tls_context is a TlsContext, .* not SSLContext"):
        Port(listeners=listeners, config=SECURE, tls_context=wrong)
    Port(listeners=listeners, config=SECURE, tls_context=tls_context)
    Port(listeners=listeners, config=CONFIG, tls_context=tls_context, implicit_tls=True)
    await listeners[0].aclose()


async def test_port_where_nobody_could_log_in(tls_context: TlsContext, tmp_path: Path) -> None:
    (tcp,), (local,) = await listen_tcp("127.0.0.1", 0), listen_unix(tmp_path / "socket")
    config = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, AUTH), mechanisms=(PLAIN,))
    demanding = evolve(config, auth_required=True)
    for options in ({"config": config, "dialect": SUBMISSION}, {"config": demanding}):
        wrong: dict[str, Any] = {"listeners": (tcp, local), **options}
        with pytest.raises(ValueError, match="nobody can log in here: AUTH wants TLS; add STARTTLS, implicit_tls or"):
            Port(**wrong)
        secure = evolve(wrong["config"], extensions=(*STANDARD, AUTH, STARTTLS))
        for mended in (
            {"tls_context": tls_context, "implicit_tls": True},
            {"tls_context": tls_context, "config": secure},
            {"config": evolve(wrong["config"], cleartext_auth=True)},
            {"config": evolve(wrong["config"], auth_required=False)},
            # Who speaks for clients may say that they have come by TLS.
            {"proxies": "192.0.2.0/24"},
            {"unix_proxies": True},
        ):
            Port(**{**wrong, **mended})
    Port(listeners=(tcp,), config=config)
    for each in (tcp, local):
        await each.aclose()


# --- files ----------------------------------------------------------------------------------------------


async def test_paths_as_text(certificate_files: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = map(str, certificate_files)
    context = TlsContext.load(certificate, key, others={"other.example": (certificate, key)})
    assert context.bindings == TlsContext.load(*certificate_files).bindings
    context.reload()
    (listener,) = listen_unix(str(tmp_path / "socket"))
    await listener.aclose()


def test_files_that_are_missing_or_wrong(certificate_files: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = certificate_files
    none, junk = tmp_path / "none.pem", tmp_path / "junk.pem"
    junk.write_text("junk")
    for files in ((none,), (none, key), (certificate, none)):
        with pytest.raises(FileNotFoundError, match=r"No such file.*/none\.pem'"):
            TlsContext.load(*files)
    for files, named in (((junk, key), f"{junk} and {key}: "), ((junk,), f"{junk}: ")):
        with pytest.raises(ssl.SSLError) as raised:
            TlsContext.load(*files)
        assert str(raised.value).startswith(named)


async def test_certificate_that_cannot_be_read_again(certificate_files: tuple[Path, Path], tmp_path: Path) -> None:
    """It is said whose it is."""
    copies = [tmp_path / each.name for each in certificate_files]
    for copy, path in zip(copies, certificate_files, strict=True):
        copy.write_bytes(path.read_bytes())
    context = TlsContext.load(*copies)
    listeners = await listen_tcp("127.0.0.1", 0)
    ports = [Port(listeners=listeners, config=SECURE, tls_context=context, name=name) for name in ("mx", "other")]
    assert await reload_certificates(ports) == []
    copies[0].unlink()
    (error,) = await reload_certificates(ports)
    assert error == f"that of mx, other: [Errno 2] No such file or directory: '{copies[0]}'"
    await listeners[0].aclose()


async def test_unix_socket_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path is in the error, and nothing stays there."""
    path = tmp_path / "socket"
    (tmp_path / "file").write_text("mine")
    for name in ("file", "none/socket", "x" * 200):
        with pytest.raises(OSError, match=name):
            listen_unix(tmp_path / name)

    def fail(_path: Path, _mode: int) -> None:
        raise PermissionError(1, "not here")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "chmod", fail)
        with pytest.raises(PermissionError, match=f"not here: '{path}'"):
            listen_unix(path)
    assert os.listdir(tmp_path) == ["file"]
    (listener,) = listen_unix(path)
    with pytest.raises(OSError, match=f"in use: '{path}'"):
        listen_unix(path)
    assert path.is_socket()
    await listener.aclose()


@pytest.mark.parametrize("naming", [partial(tls._naming, Path("a"), None), partial(listening._naming, Path("a"))])
def test_error_that_names_another_file(naming: Callable[[], AbstractContextManager[None]]) -> None:
    """It goes on naming that."""
    with pytest.raises(FileNotFoundError, match="'b'"), naming():
        raise FileNotFoundError(2, "No such file or directory", "b")


def test_certificate_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"^a\.pem: not a certificate$"), tls._naming(Path("a.pem"), None):
        raise ValueError("not a certificate")
