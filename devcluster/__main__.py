"""Entry point of `python3 -m devcluster`."""

import sys

from devcluster import cli

sys.exit(cli.main(sys.argv[1:]))
