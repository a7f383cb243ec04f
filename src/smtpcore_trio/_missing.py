"""What is not installed, and how to have it. Nothing that has to be installed besides the engine is imported here."""

from typing import Final

EXTRAS: Final = {
    "cryptography": "trio",
    "outcome": "trio",
    "trio": "trio",
    "prometheus_client": "relay",
    "structlog": "relay",
}
"""What each package comes with, by the name it is imported by."""

PROGRAM_EXTRA: Final = "relay"


def is_missing(package: str, extra: str) -> str:
    """A line that says what to install."""
    return f"{package} is missing: pip install 'smtpcore[{extra}]'"
