"""`python -m openwork.cli` is the command line."""

import sys

from openwork.cli import main

sys.exit(main())
