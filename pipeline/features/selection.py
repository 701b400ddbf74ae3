"""Selection of features: the whole registry, except those that the settings leave out."""

from collections.abc import Mapping

from pydantic import field_validator

from pipeline.errors import ConfigurationError
from pipeline.features.registry import Feature, registered
from pipeline.frozen_settings import FrozenSettings

__all__ = ["FeatureSelection"]


class FeatureSelection(FrozenSettings):
    """The part of the settings that is about features.

    Attributes
    ----------
    leave_out
        Columns that are not made, with those that mirror them: nothing is computed, audited or learned from them. The
        name of a family, ``technical`` say, stands for all of its columns.
    """

    leave_out: tuple[str, ...] = ()

    @field_validator("leave_out")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        families = sorted({one.family for one in registered().values()})
        if unknown := sorted(set(names) - set(registered()) - set(families)):
            raise ConfigurationError(
                f"leave_out names {', '.join(unknown)}, which is neither a feature nor one of the families "
                f"{', '.join(families)}; docs/feature_dictionary.md lists all features"
            )
        return names

    def left_out(self) -> set[str]:
        """Columns that are not made: those named, and their mirrors."""
        known, asked = registered(), set(self.leave_out)
        named = {name for name, one in known.items() if name in asked or one.family in asked}
        return named | {known[name].mirror for name in named}

    def chosen(self) -> Mapping[str, Feature]:
        """The features to make, by name."""
        left = self.left_out()
        return {name: one for name, one in registered().items() if name not in left}
