"""`python -m foldwise` is the command `foldwise`, which begins here, too: Ctrl-C while it is imported is no error."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """The command `foldwise`."""
    try:
        from foldwise.interface.cli import main as command
    except KeyboardInterrupt:  # nothing has begun yet
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
