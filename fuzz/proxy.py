"""The header of the PROXY protocol: octets from a proxy, or from whoever passes for one."""

from _harness import fuzz, instrumented

with instrumented():
    from smtpcore.proxy import BLOCK_OCTETS, V2_FIXED_OCTETS, ProxyError, ProxyHeader, ProxyParser


def read(octets: bytes, step: int) -> tuple[ProxyHeader, bytes] | str | None:
    """The header and what follows it, the fault, or None where the header is not complete."""
    parser = ProxyParser()
    for at in range(0, len(octets), step):
        try:
            header = parser.receive(octets[at : at + step])
        except ProxyError as error:
            return str(error)
        if header is not None:
            return header, parser.rest + octets[at + step :]
    return None


def target(octets: bytes) -> None:
    whole = read(octets, max(1, len(octets)))
    assert whole == read(octets, 1)
    assert whole == read(octets, 7)
    if isinstance(whole, tuple):
        header, rest = whole
        assert octets.endswith(rest)
        assert header.secure == (header.tls_info() is not None)
    elif whole is None:
        assert len(octets) < V2_FIXED_OCTETS + BLOCK_OCTETS


if __name__ == "__main__":
    fuzz(target)
