"""Evidence in the data itself that a file was read wrongly: one module per kind, found automatically.

A module of this package that has a function ``look(data: Evidence) -> Iterator[Finding]`` is asked; a new kind is one
new file. Findings never change a number: they are shown, and say what to set.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator

from pipeline.market.evidence.data import Evidence
from pipeline.market.evidence.finding import Finding, Severity

__all__ = ["Evidence", "Finding", "Severity", "misreadings"]

_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


def misreadings(data: Evidence) -> tuple[Finding, ...]:
    """Findings of all kinds, the gravest first; none for data that shows nothing odd."""
    found = [finding for look in _kinds() for finding in look(data)]
    if any(finding.severity == "error" for finding in found):
        # What else such data shows has the same cause.
        return tuple(finding for finding in found if finding.severity == "error")
    return tuple(sorted(found, key=lambda finding: _SEVERITIES.index(finding.severity)))


def _kinds() -> Iterator[Callable[[Evidence], Iterator[Finding]]]:
    for each in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        module = importlib.import_module(f"{__name__}.{each.name}")
        if hasattr(module, "look"):
            yield module.look
