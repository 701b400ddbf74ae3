"""The settings that the launchpad of Dagster's page shows as the defaults of a run's configuration.

They are those of ``settings.yaml`` as it was when the definitions were loaded. What a run is given as shown changes
nothing, so that a nightly run follows the file as it is then.
"""

from functools import lru_cache

from pipeline.errors import PipelineError
from pipeline.home import vpoc_home
from pipeline.settings import Settings, load_settings

__all__ = ["shown_settings"]


@lru_cache(maxsize=1)
def shown_settings() -> Settings:
    """Return the settings as the definitions found them; the defaults where they can't be read, which a run tells."""
    try:
        return load_settings(vpoc_home())
    except PipelineError:
        return Settings()
