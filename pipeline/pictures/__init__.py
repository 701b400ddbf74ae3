"""Drawings of sessions and their profiles: for a page, as a still picture, for the terminal."""

from pipeline.pictures.interactive import profile_figure
from pipeline.pictures.still import profile_png
from pipeline.pictures.text import profile_text

__all__ = ["profile_figure", "profile_png", "profile_text"]
