"""Measure how far sound and lips are apart in talking video, repair it, and find who speaks."""

__version__ = "0.1.0"
