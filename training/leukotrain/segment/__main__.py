"""`python -m leukotrain.segment`, the same as `leukotrain segment`."""

from __future__ import annotations

import sys

from leukotrain.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "segment")
    main()
