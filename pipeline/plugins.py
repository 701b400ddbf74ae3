"""Plug-ins: classes found in the files of a package, and in those of a folder that is the user's.

A user's file that can't be used is a fault of that file, told with its line, and stops nothing else.
"""

import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Generic, TypeVar

from pipeline.errors import ConfigurationError, PipelineError
from pipeline.home import vpoc_home

__all__ = ["Execute", "Fault", "Plugins", "fault_of", "find_plugins", "make_importable", "user_modules"]

Base = TypeVar("Base")

Execute = Callable[[Callable[[], None], ModuleType], None]

_NAMESPACE = "vpoc_home"
_DEPTH = 3  # of vpoc_home.strategies.mine
# User's modules by file, with the state of the file that they were made from.
_imported: dict[Path, tuple[tuple[int, int], ModuleType | None, "Fault | None"]] = {}


@dataclass(frozen=True)
class Fault:
    """A user's file that can't be used.

    Attributes
    ----------
    path
        The file.
    line
        Where in it; None where no line is to blame.
    message
        What is wrong, and what to do.
    """

    path: Path
    line: int | None
    message: str

    @property
    def sentence(self) -> str:
        """File, line and message in one sentence."""
        return f"{self.path}{'' if self.line is None else f':{self.line}'}: {self.message}"


@dataclass(frozen=True)
class Plugins(Generic[Base]):
    """Plug-ins by name, sorted.

    Attributes
    ----------
    by_name
        Those that can be used.
    places
        The user's file of each that is not built in.
    faults
        The user's files that can't be used.
    """

    by_name: Mapping[str, type[Base]]
    places: Mapping[str, Path]
    faults: tuple[Fault, ...]


def find_plugins(
    base: type[Base], package: str, folder: Path, check: Callable[[type[Base]], None], called: str = "name"
) -> Plugins[Base]:
    """Find the subclasses of ``base`` that have a name of their own.

    Parameters
    ----------
    base
        The plug-ins' protocol.
    package
        Of the built-in ones, one file each.
    folder
        The user's; may be absent. Files whose names begin with an underscore or a dot are left alone.
    check
        Raises a :class:`~pipeline.errors.PipelineError` for a declaration that can't be.
    called
        The class attribute that holds the name.

    Raises
    ------
    ConfigurationError
        For two built-in ones of one name.
    """
    built_in: dict[str, type[Base]] = {}
    for each in _modules_of(package):
        for one in _classes(each, base, called):
            check(one)
            if built_in.setdefault(name := getattr(one, called), one) is not one:
                raise ConfigurationError(f"two {base.__name__} classes have the name {name}; rename one of them")
    own: dict[str, list[tuple[Path, type[Base]]]] = {}
    faults: list[Fault] = []
    for path, module in user_modules(folder):
        if isinstance(module, Fault):
            faults.append(module)
            continue
        classes = list(_classes(module, base, called))
        if not classes:
            faults.append(
                Fault(path, None, f"holds no subclass of {base.__name__} with a {called}; add one, or move the file")
            )
        for one in classes:
            try:
                check(one)
            except PipelineError as error:
                faults.append(Fault(path, _line_of(one), str(error)))
            else:
                own.setdefault(getattr(one, called), []).append((path, one))
    usable: dict[str, type[Base]] = dict(built_in)
    places: dict[str, Path] = {}
    for name, found in own.items():
        if name not in built_in and len(found) == 1:
            places[name], usable[name] = found[0]
            continue
        for path, one in found:
            others = ["the built-in one"] if name in built_in else [str(other) for other, _ in found if other != path]
            rest = f", as is that of {', '.join(others)}" if others else " twice"
            faults.append(Fault(path, _line_of(one), f"its name is {name}{rest}; give it another one"))
    return Plugins(MappingProxyType(dict(sorted(usable.items()))), MappingProxyType(places), tuple(faults))


def user_modules(folder: Path, execute: Execute | None = None) -> Iterator[tuple[Path, "ModuleType | Fault"]]:
    """Import a folder's files, in order; what can't be imported is a fault.

    Parameters
    ----------
    folder
        May be absent. Files whose names begin with an underscore or a dot are left alone.
    execute
        Runs the import that it is given, for whoever wants to know what a file declares while it is imported.
    """
    make_importable()
    for path in sorted(folder.glob("[!_.]*.py")):
        module, fault = _user_module(path, folder.name, execute or (lambda run, _: run()))
        if fault is not None:
            yield path, fault
        elif module is not None:
            yield path, module


class _HomeFinder(MetaPathFinder):
    """Finds the modules of a user's files by name, as unpickling in another process does."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        parts = fullname.split(".")
        if parts[0] != _NAMESPACE or len(parts) > _DEPTH:
            return None
        place = vpoc_home().root.joinpath(*parts[1:])
        if len(parts) < _DEPTH:
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(place)]
            return spec
        file = place.with_suffix(".py")
        return importlib.util.spec_from_file_location(fullname, file) if file.is_file() else None


def make_importable() -> None:
    """Let the modules of a user's files be imported by name; done again, it changes nothing."""
    if not any(isinstance(finder, _HomeFinder) for finder in sys.meta_path):
        sys.meta_path.append(_HomeFinder())


def _modules_of(package: str) -> Iterable[ModuleType]:
    home = importlib.import_module(package)
    for found in sorted(pkgutil.iter_modules(home.__path__), key=lambda each: each.name):
        yield importlib.import_module(f"{package}.{found.name}")


def _classes(module: ModuleType, base: type[Base], called: str) -> Iterable[type[Base]]:
    for one in vars(module).values():
        if (
            isinstance(one, type)
            and issubclass(one, base)
            and one.__module__ == module.__name__
            and called in vars(one)
        ):
            yield one


def _user_module(path: Path, kind: str, execute: Execute) -> tuple[ModuleType | None, Fault | None]:
    """Import a user's file, or return what it was imported as where it has not changed since."""
    path = path.resolve()
    try:
        state = path.stat()
    except OSError as error:
        return None, Fault(path, None, f"can't be read: {error.strerror}")
    stamp = state.st_mtime_ns, state.st_size
    if path in _imported and _imported[path][0] == stamp:
        return _imported[path][1:]
    found = _execute(path, f"{_NAMESPACE}.{kind}.{path.stem}", execute)
    _imported[path] = stamp, *found
    return found


def _execute(path: Path, name: str, execute: Execute) -> tuple[ModuleType | None, Fault | None]:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101
    loader = spec.loader
    assert loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pydantic look up a class's names
    try:
        execute(lambda: loader.exec_module(module), module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        sys.modules.pop(name, None)
        return None, _fault(path, error)
    return module, None


def fault_of(one: type, error: BaseException) -> Fault:
    """Return what a plug-in's code raised, with its file and the last line of it that the error went through."""
    try:
        path = Path(inspect.getfile(one))
    except (TypeError, OSError):  # typed into an interpreter
        path = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    return _fault(path, error)


def _fault(path: Path, error: BaseException) -> Fault:
    kind = "" if isinstance(error, PipelineError) else f"{type(error).__name__}: "
    return Fault(path, _line_in(path, error), f"{kind}{_text(error)}")


def _line_in(path: Path, error: BaseException) -> int | None:
    """The last line of a file that an error went through."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def _line_of(one: type) -> int | None:
    """The line that a class begins on."""
    try:
        return inspect.getsourcelines(one)[1]
    except (OSError, TypeError):
        return None


def _text(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return str(error.msg)
    return " ".join(str(error).split()) or "no reason given"
