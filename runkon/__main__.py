"""`python -m runkon` is the command `runkon`."""

from __future__ import annotations

import sys

from runkon.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
