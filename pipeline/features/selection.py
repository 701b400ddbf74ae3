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
        Columns that are not made, with those that mirror them: nothing is computed, audited or learned from them.
    """

    leave_out: tuple[str, ...] = ()

    @field_validator("leave_out")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(names) - set(registered())):
            raise ConfigurationError(
                f"leave_out names {', '.join(unknown)}, which the registry does not "
                "have; docs/feature_dictionary.md lists all features"
            )
        return names

    def left_out(self) -> set[str]:
        """Columns that are not made: those named, and their mirrors."""
        known = registered()
        return {*self.leave_out, *(known[name].mirror for name in self.leave_out)}

    def chosen(self) -> Mapping[str, Feature]:
        """The features to make, by name."""
        left = self.left_out()
        return {name: one for name, one in registered().items() if name not in left}
