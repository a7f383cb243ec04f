"""The service extensions. Put those that you want into `ServerConfig.extensions`.

`STANDARD` holds those that the engine keeps by itself for a server that stores messages as they
come. The others are promises that the application must keep, or need something from it.
"""

from typing import Final

from ._extension import Codec, Extension, Facts, Param, Verb, choice, decimal, integer, xtext
from .auth import AUTH
from .binarymime import BINARYMIME
from .chunking import CHUNKING
from .deliver_by import deliver_by
from .dsn import DSN
from .enhanced import ENHANCEDSTATUSCODES
from .etrn import ETRN
from .future_release import future_release
from .limits import LIMITS
from .mime8bit import EIGHTBITMIME
from .mt_priority import MT_PRIORITY, mt_priority
from .no_soliciting import no_soliciting
from .pipelining import PIPELINING
from .requiretls import REQUIRETLS
from .rrvs import RRVS
from .size import SIZE
from .smtputf8 import SMTPUTF8
from .starttls import STARTTLS
from .xclient import xclient
from .xforward import xforward

STANDARD: Final = (PIPELINING, SIZE, EIGHTBITMIME, ENHANCEDSTATUSCODES, SMTPUTF8, CHUNKING)

__all__ = [
    "AUTH",
    "BINARYMIME",
    "CHUNKING",
    "DSN",
    "EIGHTBITMIME",
    "ENHANCEDSTATUSCODES",
    "ETRN",
    "LIMITS",
    "MT_PRIORITY",
    "PIPELINING",
    "REQUIRETLS",
    "RRVS",
    "SIZE",
    "SMTPUTF8",
    "STANDARD",
    "STARTTLS",
    "Codec",
    "Extension",
    "Facts",
    "Param",
    "Verb",
    "choice",
    "decimal",
    "deliver_by",
    "future_release",
    "integer",
    "mt_priority",
    "no_soliciting",
    "xclient",
    "xforward",
    "xtext",
]
