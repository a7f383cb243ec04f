"""Certificates and a hub for all tests of the adapter."""

import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trustme
from cryptography import x509

from smtpcore_trio import TlsContext
from smtpcore_trio._hub import Hub


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate_files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    issued = authority.issue_cert("localhost", "127.0.0.1", "mx.example.org")
    directory = tmp_path_factory.mktemp("certificate")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return certificate, key


@pytest.fixture
def certificate(certificate_files: tuple[Path, Path]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate_files[0].read_bytes())


@pytest.fixture
def tls_context(certificate_files: tuple[Path, Path]) -> TlsContext:
    return TlsContext.load(*certificate_files)


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    """Trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    """A hub at work."""
    if sys.platform != "linux":
        pytest.skip("there is no hub")
    made = Hub()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.run)
            yield made
            assert not made._watched
            nursery.cancel_scope.cancel()
    assert made._epoll.closed
