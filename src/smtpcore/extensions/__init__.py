"""The service extensions. Put those that you want into `ServerConfig.extensions`.

`STANDARD` holds those that the engine keeps by itself for a server that stores messages as they
come. The others are promises that the application must keep, or need something from it. `ALL` is
what a client knows of: it uses what its server offers.
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
from .future_release import FutureRelease, future_release
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
from .xclient import encode_xclient, xclient
from .xforward import encode_xforward, xforward

STANDARD: Final = (PIPELINING, SIZE, EIGHTBITMIME, ENHANCEDSTATUSCODES, SMTPUTF8, CHUNKING)

# Those that a server's config makes are here as one would make them that promises the least and trusts nobody; a
# client looks at none of what they were made with.
ALL: Final = (
    *STANDARD,
    BINARYMIME,
    STARTTLS,
    AUTH,
    DSN,
    LIMITS,
    REQUIRETLS,
    RRVS,
    MT_PRIORITY,
    ETRN,
    future_release(1, "1970-01-01T00:00:00Z"),
    deliver_by(),
    no_soliciting(),
    xclient(lambda peer: False),
    xforward(lambda peer: False),
)

__all__ = [
    "ALL",
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
    "FutureRelease",
    "Param",
    "Verb",
    "choice",
    "decimal",
    "deliver_by",
    "encode_xclient",
    "encode_xforward",
    "future_release",
    "integer",
    "mt_priority",
    "no_soliciting",
    "xclient",
    "xforward",
    "xtext",
]
