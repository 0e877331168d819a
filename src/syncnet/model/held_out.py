"""Which speakers training leaves out, decided by the name alone, so that everything that measures can know."""

import hashlib


def is_held_out(speaker: str, share: float, salt: str = "") -> bool:
    """Whether a speaker belongs to the held-out part, decided by a hash of the name alone."""
    digest = hashlib.sha1(f"{salt}{speaker}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32
