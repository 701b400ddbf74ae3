"""Number of examples of a property."""

from hypothesis import settings

__all__ = ["at_least"]


def at_least(count: int) -> settings:
    """Settings of so many examples, or of the profile's where those are more (``--hypothesis-profile thorough``)."""
    return settings(max_examples=max(count, settings().max_examples), deadline=None)
