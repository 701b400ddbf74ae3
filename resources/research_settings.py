"""The user's settings as a resource, read anew at each run."""

import dagster as dg

from pipeline.home import vpoc_home
from pipeline.settings import Settings, load_settings

__all__ = ["ResearchSettings"]


class ResearchSettings(dg.ConfigurableResource):
    """``settings.yaml`` of the home; the project's defaults where it is absent."""

    def load(self) -> Settings:
        """Read and validate the settings."""
        return load_settings(vpoc_home())
