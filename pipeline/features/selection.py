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
        Columns that are not made, with those that mirror them: nothing is computed, audited or learned from them. The
        name of a family, ``technical`` say, stands for all of its columns.
    """

    leave_out: tuple[str, ...] = ()

    @field_validator("leave_out")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        families = sorted({one.family for one in registered().values()})
        unknown = sorted(set(names) - set(registered()) - set(families))
        if unknown and not feature_faults():  # a file that can't be used may hold them, and stops nothing else
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

    def without(self, names: Collection[str]) -> Self:
        """Return a selection that leaves out these too."""
        if not names:
            return self
        return self.model_copy(update={"leave_out": tuple(dict.fromkeys((*self.leave_out, *names)))})

    def chosen(self) -> Mapping[str, Feature]:
        """The features to make, by name."""
        left = self.left_out()
        return {name: one for name, one in registered().items() if name not in left}
