"""The user's settings as a resource, read anew at each run."""

import dagster as dg

from pipeline.books import Book, find_book
from pipeline.home import vpoc_home
from pipeline.settings import Settings, load_settings

__all__ = ["ResearchSettings"]


class ResearchSettings(dg.ConfigurableResource):
    """``settings.yaml`` of the home, the project's defaults where it is absent, and the books it names."""

    def load(self) -> Settings:
        """Read and validate the settings."""
        return load_settings(vpoc_home())

    def book(self, name: str) -> Book:
        """Read the settings and find a book: its bars, strategy and models."""
        return find_book(name, vpoc_home())
