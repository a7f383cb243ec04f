"""PIPELINING (RFC 2920): commands sent in groups. The engine reads them so whether offered or not."""

from ._extension import Extension

PIPELINING = Extension("PIPELINING", rfc=2920)
