"""The certificates of a server: several by name, others after a reload; and its session tickets."""

import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trustme
from cryptography import x509
from trio_play import CONFIG, Client, Taker, deliver, serving

from smtpcore_trio import Port, TlsContext, listen_tcp, serve
from smtpcore_trio.tls import Files, channel_bindings

Issue = Callable[..., Files]


@pytest.fixture
def issue(authority: trustme.CA, tmp_path: Path) -> Issue:
    """Writes a certificate for names, in place of what there was under the first of them."""

    def write(*names: str) -> Files:
        issued = authority.issue_cert(*names)
        path = tmp_path / names[0].replace("*", "any")
        path.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        return path, None

    return write


def shown(context: TlsContext, theirs: ssl.SSLContext, name: str) -> x509.Certificate:
    certificate = handshake(context, theirs, name)[0].getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate)


def handshake(
    context: TlsContext, theirs: ssl.SSLContext, name: str, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends, in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = theirs.wrap_bio(to_client, to_server, server_hostname=name, session=session)
    server = context.context.wrap_bio(to_server, to_client, server_side=True)
    steps = [end.do_handshake for end in (client, server, client, server, client)]
    for step in (*steps, client.read):  # which reads the tickets of TLS 1.3
        with contextlib.suppress(ssl.SSLWantReadError):
            step()
    return client, server


def certificate_in(files: Files) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files[0].read_bytes())


# --- several ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mx.example.org", "mx.example.org"),
        ("mx.example.net", "mx.example.net"),
        ("MX.Example.NET", "mx.example.net"),
        ("a.example.com", "*.example.com"),
        ("b.example.com", "*.example.com"),
    ],
)
def test_certificate_by_name(issue: Issue, client_tls: ssl.SSLContext, name: str, expected: str) -> None:
    files = {each: issue(each) for each in ("mx.example.org", "mx.example.net", "*.example.com")}
    others = {"MX.example.net": files["mx.example.net"], "*.example.com": files["*.example.com"]}
    context = TlsContext.load(*files["mx.example.org"], others=others)
    assert shown(context, client_tls, name) == certificate_in(files[expected])


@pytest.mark.parametrize("name", ["other.example", "a.b.example.com", "example.com", "127.0.0.1"])
def test_name_that_nobody_has(issue: Issue, name: str) -> None:
    """It is shown the first certificate; whoever verifies that goes away."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    first = issue("mx.example.org")
    context = TlsContext.load(*first, others={"*.example.com": issue("*.example.com")})
    assert shown(context, trusting, name) == certificate_in(first)


async def test_bindings_are_those_of_what_was_shown(issue: Issue, client_tls: ssl.SSLContext) -> None:
    first, second = issue("mx.example.org"), issue("mx.example.net")
    context = TlsContext.load(*first, others={"mx.example.net": second})
    async with serving(tls_context=context, implicit_tls=True) as host:
        for name, files in (("mx.example.org", first), ("mx.example.net", second)):
            async with await host.client() as client:
                await client.start_tls(client_tls, name)
                await client.greet()
                tls = host.sessions[-1].facts.tls
                assert tls.server_name == name
                assert tls.channel_bindings == channel_bindings(certificate_in(files))


# --- reloading ----------------------------------------------------------------------------------------


async def test_reload(issue: Issue, client_tls: ssl.SSLContext) -> None:
    """Nobody is cut off by it; a mistake in the files changes nothing."""
    first, second = issue("mx.example.org"), issue("mx.example.net")
    context = TlsContext.load(*first, others={"mx.example.net": second})
    old, old_bindings = context.context, context.bindings
    async with serving(tls_context=context, implicit_tls=True) as host, await host.client() as before:
        await before.start_tls(client_tls)
        await before.greet()
        issue("mx.example.org")
        second[0].write_text("")
        with pytest.raises(ssl.SSLError):
            context.reload()
        assert (context.context, context.bindings) == (old, old_bindings)
        issue("mx.example.net")
        context.reload()
        assert context.bindings == channel_bindings(certificate_in(first)) != old_bindings
        for name, files in (("mx.example.org", first), ("mx.example.net", second)):
            async with await host.client() as after:
                stream = await after.start_tls(client_tls, name)
                seen = x509.load_der_x509_certificate(stream.getpeercert(binary_form=True))
                assert seen == certificate_in(files)
                await after.greet()
                assert host.sessions[-1].facts.tls.server_name == name
        assert (await before.ask("NOOP")).startswith("250")


def test_reload_of_what_was_not_loaded(tls_context: TlsContext) -> None:
    with pytest.raises(ValueError, match="loaded"):
        TlsContext(tls_context.context).reload()


def test_reload_of_what_has_gone(issue: Issue, client_tls: ssl.SSLContext) -> None:
    files = issue("mx.example.org")
    context = TlsContext.load(*files)
    was = certificate_in(files)
    files[0].unlink()
    with pytest.raises(OSError, match="No such file"):
        context.reload()
    assert shown(context, client_tls, "mx.example.org") == was


# --- tickets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tickets_of_each_context(issue: Issue, client_tls: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    """A session goes on where it was, and nowhere else, though the certificate is the same."""
    client_tls.maximum_version = version
    files = issue("mx.example.org")
    one, other = TlsContext.load(*files), TlsContext.load(*files)
    session = handshake(one, client_tls, "mx.example.org")[0].session
    assert session is not None
    assert handshake(one, client_tls, "mx.example.org", session)[1].session_reused
    assert not handshake(other, client_tls, "mx.example.org", session)[1].session_reused
    one.reload()
    assert not handshake(one, client_tls, "mx.example.org", session)[1].session_reused


async def test_each_port_has_its_own_context(issue: Issue, client_tls: ssl.SSLContext) -> None:
    files = [issue("mx.example.org"), issue("mx.example.net")]
    ports = [
        Port(
            listeners=await listen_tcp("127.0.0.1", 0),
            config=CONFIG,
            tls_context=TlsContext.load(*each),
            implicit_tls=True,
        )
        for each in files
    ]
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve, ports, Taker)
            for port, name in zip(ports, ("mx.example.org", "mx.example.net"), strict=True):
                where = port.addresses[0].rpartition(":")
                async with Client(await trio.open_tcp_stream(where[0], int(where[2]))) as client:
                    await client.start_tls(client_tls, name)
                    assert (await deliver(client)).startswith("250")
            server.drain()
