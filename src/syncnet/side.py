"""On which side of the picture the sound is, in words."""


def side(offset_ms: float) -> str:
    """Say an offset (audio minus video time, ms) as "120 ms late", "40 ms early" or "0 ms off"."""
    rounded = round(abs(offset_ms))
    if rounded == 0:
        return "0 ms off"
    return f"{rounded} ms {'late' if offset_ms > 0 else 'early'}"
