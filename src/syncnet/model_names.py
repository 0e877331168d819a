"""The names of the models that ship, apart from what runs them, so that the command line can tell them at once."""

DEFAULT_MODEL = "syncnet-wide"
"""What measures: each window of 0.2 s is judged among its neighbours, 19 frames in all."""

EMBEDDING_MODEL = "syncnet"
"""What embeds: each window of 0.2 s by itself, as in "Out of time" (Chung & Zisserman 2016)."""
