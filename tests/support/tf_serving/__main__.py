"""The stand-in as a command."""

from __future__ import annotations

import sys

from tests.support.tf_serving.server import main

if __name__ == "__main__":
    main(sys.argv[1:])
