"""Parts of a page: a file each in a package, found there, in the order of their places."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Generic, TypeVar

from pipeline.reports.inputs import PicturedModel

__all__ = ["Picture", "Section", "parts_in"]


Inputs = TypeVar("Inputs")


@dataclass(frozen=True)
class Section(Generic[Inputs]):
    """A part of a page with a heading.

    Attributes
    ----------
    place
        Sections stand in rising order.
    identifier
        Where links lead; no other element of the page has it.
    title
        The heading.
    html
        Makes the content; an empty text leaves the section out.
    """

    place: int
    identifier: str
    title: str
    html: Callable[[Inputs], str]


@dataclass(frozen=True)
class Picture:
    """A still picture of a model.

    Attributes
    ----------
    place
        Pictures come in rising order.
    file
        Its name.
    draw
        Makes the PNG; None where there is nothing to draw.
    """

    place: int
    file: str
    draw: Callable[[PicturedModel], bytes | None]


def parts_in(package: ModuleType, name: str) -> list[Any]:
    """Every ``SECTION``, or ``PICTURE``, of a package's modules, in the order of their places."""
    names = (f"{package.__name__}.{each.name}" for each in pkgutil.iter_modules(package.__path__))
    modules = [importlib.import_module(each) for each in names]
    return sorted((getattr(each, name) for each in modules if hasattr(each, name)), key=lambda part: part.place)
