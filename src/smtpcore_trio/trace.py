"""Trace fields: Return-Path and Received (RFC 5321 section 4.4)."""

import re
from datetime import datetime
from email.utils import format_datetime
from ipaddress import ip_address

from smtpcore import AddressLiteral, Envelope, Hello, Identity, Peer, TlsInfo, safe

_special = re.compile(r"([\\()])")
_not_ascii = re.compile(r"[^\x00-\x7f]")


def comment(text: str) -> str:
    """*text* for use within a comment: printable ASCII, with quoted specials (RFC 5322 section 3.2.2)."""
    ascii_only = _not_ascii.sub(lambda match: f"\\x{{{ord(match[0]):02X}}}", safe(text))
    return _special.sub(r"\\\1", ascii_only)


def return_path(envelope: Envelope) -> bytes:
    """The Return-Path field, which "preserves the information in the <reverse-path> from the MAIL command"."""
    return f"Return-Path: <{envelope.reverse_path}>\r\n".encode()


def received(
    *,
    by: str,
    identifier: str,
    envelope: Envelope,
    peer: Peer,
    hello: Hello,
    tls: TlsInfo | None,
    identity: Identity | None,
    at: datetime,
) -> bytes:
    """The Received field.

    Args:
        by: our name.
        identifier: the message's, an atom.
        envelope, peer, hello, tls, identity: how it came.
        at: when it came, with a time zone.
    """
    literal = "" if peer.address is None else str(AddressLiteral(ip_address(peer.address)))
    if isinstance(hello.host, str):  # no domain: it may stand in a comment only
        extended = f"unknown ({' '.join(filter(None, (comment(f'{hello.verb} {hello.host}'), literal)))})"
    else:
        extended = f"{hello.host} ({literal})" if literal else str(hello.host)
    about = []
    if tls is not None:
        about.append(f"{tls.version} {tls.cipher}".strip())
    if identity is not None:
        about.append(f"user {identity.username}")
    told = f" ({comment('; '.join(about))})" if about else ""
    lines = [
        f"Received: from {extended}",
        f"by {by} with {protocol(envelope, hello, tls, identity)}{told}",
        f"id {identifier}",
    ]
    # To name one of several would tell each who the others are.
    if len(envelope.recipients) == 1:
        lines.append(f"for <{envelope.recipients[0].path}>")
    return ("\r\n ".join(lines) + f";\r\n {format_datetime(at)}\r\n").encode()


def protocol(envelope: Envelope, hello: Hello, tls: TlsInfo | None, identity: Identity | None) -> str:
    """The word behind WITH (RFC 3848, RFC 6531 section 4.3)."""
    if hello.verb == "HELO":
        return "SMTP"
    plain, utf8 = ("LMTP", "UTF8LMTP") if hello.verb == "LHLO" else ("ESMTP", "UTF8SMTP")
    word = utf8 if envelope.params.smtputf8 else plain
    return word + ("S" if tls else "") + ("A" if identity else "")
