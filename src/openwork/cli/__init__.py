"""The command line: `openwork COMMAND`."""

from openwork.cli.app import main

__all__ = ["main"]
