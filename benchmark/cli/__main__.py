"""`python -m benchmark.cli`: the command `exitbench` where its script is not on the path."""

import sys

from benchmark.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
