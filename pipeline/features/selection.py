"""Selection of features: the whole registry, except those that the settings leave out."""

from collections.abc import Collection, Mapping
from typing import Self

from pydantic import field_validator

from pipeline.errors import ConfigurationError
from pipeline.features.registry import Feature, feature_faults, registered
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
        # A file that can't be used may hold them; that stops what it holds, and nothing else.
        if (unknown := sorted(set(names) - set(registered()))) and not feature_faults():
            raise ConfigurationError(
                f"leave_out names {', '.join(unknown)}, which the registry does not "
                "have; docs/feature_dictionary.md lists all features"
            )
        return names

    def left_out(self) -> set[str]:
        """Columns that are not made: those named, and their mirrors."""
        known = registered()
        return {*self.leave_out, *(known[name].mirror for name in self.leave_out if name in known)}

    def without(self, names: Collection[str]) -> Self:
        """Return a selection that leaves out these too."""
        if not names:
            return self
        return self.model_copy(update={"leave_out": tuple(dict.fromkeys((*self.leave_out, *names)))})

    def chosen(self) -> Mapping[str, Feature]:
        """The features to make, by name."""
        left = self.left_out()
        return {name: one for name, one in registered().items() if name not in left}
