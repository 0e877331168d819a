"""The program `syncnet`, also as `python -m syncnet`: loads the command line, and stops quietly while doing so."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is still loading ends with the same words and code as later on."""
    try:
        from syncnet import cli
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()
