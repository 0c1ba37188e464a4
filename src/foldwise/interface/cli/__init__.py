"""The stair: every command, what it takes, and the exit code it ends with."""

from foldwise.interface.cli.commands import main

__all__ = ["main"]
