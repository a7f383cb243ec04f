"""Write docs/reference.md from what the engine runs; ``--check`` only says whether it is stale."""

import sys
from pathlib import Path

from smtpcore import Limits, __main__ as tells

PAGE = Path(__file__).parent / "reference.md"


def page() -> str:
    """The page as it should be."""
    return f"""# Reference

Made from the code by `make docs`; do not edit. `python -m smtpcore TOPIC` prints each part.

## States

The server's phases and what leads from one to another. An edge marked ✗ is taken when the answer is no.

```mermaid
{tells.diagram()}```

## Edges

A verb with no edge from the present phase is answered with 503; an unknown one with 500; a known one that is not
enabled with 502; a malformed argument with 501. None of these asks the application. After a refused BDAT, and after a
BDAT out of place, its octets are consumed before the reply.

{tells.edges()}
## Limits

One connection holds at most {Limits().memory():,} octets because of the limits as they stand, and one read more.

{tells.limits()}
## Deadlines

Times are arguments, in seconds of any monotonic clock. COMMAND and BODY count only while the engine waits for the
client, so a slow application makes no client late.

{tells.deadlines()}
## Extensions

Those that are standard are on without being asked for; the others need something from the application, or promise
something that it must keep.

{tells.extension_table()}
## Replies

The replies that the engine gives by itself. Replace any of them in `ServerConfig.replies`.

{tells.replies()}"""


def main() -> int:
    """Write the page, or check it."""
    fresh = page()
    if "--check" not in sys.argv:
        PAGE.write_text(fresh, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == fresh:
        return 0
    sys.stderr.write("docs/reference.md is stale: run make docs\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
