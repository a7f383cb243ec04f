"""``python -m smtpcore_trio`` is the command ``smtpcore``."""

import sys

from .cli import main

sys.exit(main())
