"""What can go wrong, in words a user can act on, with the exit code of the command line."""


class SyncNetError(Exception):
    """Base of every error that this package raises on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class InputError(SyncNetError):
    """Wrong use or unreadable input: a missing file, no sound track, an impossible option."""

    exit_code = 2


class NoAnswer(SyncNetError):
    """The input is readable but holds no answer: no face, no speech, too short."""

    exit_code = 3
