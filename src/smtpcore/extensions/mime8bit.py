"""8BITMIME (RFC 6152): bodies with octets above 127."""

import enum

from .._envelope import Body
from ._extension import Codec, Extension, Param, choice, unmet_body


class _EightBit(enum.Enum):
    """The values of BODY= without BINARYMIME."""

    SEVEN_BIT = Body.SEVEN_BIT.value
    EIGHT_BIT_MIME = Body.EIGHT_BIT_MIME.value


_values = choice(_EightBit)

EIGHTBITMIME = Extension(
    "8BITMIME",
    rfc=6152,
    # RFC 6152 2: body-value = "7BIT" / "8BITMIME"
    params=(
        Param(
            "MAIL",
            "BODY",
            "body",
            Codec(lambda text: Body(_values.decode(text).value), _values.encode),
            unmet_body,
        ),
    ),
)
