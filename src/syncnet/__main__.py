"""`python -m syncnet` is the command line."""

from syncnet.cli import main

if __name__ == "__main__":
    main()
