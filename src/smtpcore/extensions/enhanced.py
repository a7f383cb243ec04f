"""ENHANCEDSTATUSCODES (RFC 2034, codes of RFC 3463): each reply carries class.subject.detail."""

from ._extension import Extension

ENHANCEDSTATUSCODES = Extension("ENHANCEDSTATUSCODES", rfc=2034)
