"""What `--norm`, `--tolerance` and `--check` ask for, and the exit code that follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncnet.errors import InputError

if TYPE_CHECKING:
    from syncnet.verdict import Tolerance

NORM_HELP = "Judge by a norm: itu-r-bt1359, ebu-r37, atsc-is191 or film."
TOLERANCE_HELP = "Judge by your own limits in ms, LEAD,LAG, such as 40,60."
CHECK_HELP = "Exit with 1 when the verdict is fail, for use in pipelines."


def limits_from(norm_name: str | None, own: str | None, *, check: bool) -> Tolerance | None:
    """The limits asked for, None when none are; raises `InputError` for two at once, unknown or missing ones."""
    from syncnet.verdict import norm, tolerance

    if norm_name is not None and own is not None:
        raise InputError("--norm and --tolerance are two ways to say the limits: give one of them.")
    if norm_name is not None:
        return norm(norm_name)
    if own is not None:
        return tolerance(own)
    if check:
        raise InputError("--check needs limits to check: add --norm NAME or --tolerance LEAD,LAG.")
    return None


def worse(one: int, other: int) -> int:
    """The exit code of two files together: unreadable (2) before no answer (3) before failed (1) before done (0)."""
    return max(one, other, key=(0, 1, 3, 2).index)
