"""`python -m foldwise` is the command `foldwise`."""

from foldwise.interface.cli import main

if __name__ == "__main__":
    main()
