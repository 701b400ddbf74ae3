"""YAML files of users, read safely: settings, sources, instruments.

Only mappings, lists, numbers, texts, dates, truths and null are taken. A file is refused, with its name and line,
where a key comes twice (YAML itself keeps the last in silence), where it is too large, too deep or blown up by
aliases, and where it holds tags, which name types of Python.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigurationError
from pipeline.shown import shown

__all__ = ["place_in_yaml", "read_yaml_mapping", "yaml_value"]

LARGEST = 1 << 20  # bytes
DEEPEST = 20  # levels
MOST = 100_000  # values, those that aliases repeat included

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml_mapping(
    path: Path, *, example: str = "account: {risk_per_trade: 0.01}", absent: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read a file that must hold a mapping of names to values; an empty one is an empty mapping.

    Parameters
    ----------
    path
        The file.
    example
        What a mapping looks like, for the error.
    absent
        What a missing file stands for; an error without.

    Returns
    -------
    dict
        By name as it is written: ``ON`` and ``1`` are texts where they are keys.

    Raises
    ------
    ConfigurationError
        For a file that can't be read, is no YAML or no mapping, or breaks one of the limits: names file and line.
    """
    try:
        text = _text(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        if absent is not None:
            return dict(absent)
        raise ConfigurationError(f"{path} does not exist: {error.strerror}") from error
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}") from error
    found = yaml_value(text, str(path))
    if not isinstance(found, dict | None):
        raise ConfigurationError(f"{path} must map names to values, e.g. {example!r}")
    return found or {}


def yaml_value(text: str, place: str) -> Any:
    """Read one value from YAML text; errors begin with ``place``.

    Raises
    ------
    ConfigurationError
        As of :func:`read_yaml_mapping`.
    """
    node = _composed(place, text)
    if node is None:
        return None
    _require_finite(place, node)
    return _NamedKeys(place).value(node)


def place_in_yaml(path: Path, *names: object) -> str:
    """Say where a value stands: file and line, or the file alone where the value is not written in it.

    Parameters
    ----------
    path
        A file that :func:`read_yaml_mapping` has read.
    names
        Keys and positions that lead to the value, such as pydantic's ``loc``.
    """
    try:
        node = _composed(str(path), _text(path))
    except (OSError, ConfigurationError):
        return str(path)
    line = None
    for name in names:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if str(pair[0].value) == str(name)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(name, int) and name < len(node.value):
            found = [(node.value[name], node.value[name])]
        else:
            break
        if not found:
            break
        line, node = _line(found[0][0]), found[0][1]
    return str(path) if line is None else f"{path}, line {line}"


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ConfigurationError(f"{path} is larger than {LARGEST >> 20} MB, too large for such a file: check it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from error


def _composed(path: str, text: str) -> yaml.Node | None:
    try:
        # The events first: their parser keeps no stack of Python's, so that depth and number can be limited.
        depth = 0
        for number, event in enumerate(yaml.parse(text, _Loader)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            _require(path, event, depth <= DEEPEST, f"more than {DEEPEST} levels deep; flatten it")
            _require(path, event, number <= 2 * MOST, f"more than {MOST:,} values; make the file shorter")
            tag = getattr(event, "tag", None)
            _require(path, event, tag is None, f"the tag {tag} is not taken; write the plain value")
        return yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        message = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigurationError(f"{path}{line}: not YAML ({shown(message)}); fix it there") from error
    except yaml.YAMLError as error:  # a character that no YAML may hold
        raise ConfigurationError(f"{path} is not YAML: {' '.join(str(error).split())}") from error


def _require(path: str, at: yaml.Event | yaml.Node, holds: bool, otherwise: str) -> None:
    if not holds:
        raise ConfigurationError(f"{path}, line {_line(at)}: {shown(otherwise)}")


def _line(at: yaml.Event | yaml.Node) -> int:
    mark: Any = at.start_mark
    return int(mark.line) + 1


def _require_finite(path: str, root: yaml.Node) -> None:
    """Refuse what aliases blow up: the values that a file stands for are counted without being made."""
    sizes: dict[int, tuple[int, int]] = {}  # values and levels by node
    inside: set[int] = set()

    def measure(node: yaml.Node) -> tuple[int, int]:
        if id(node) not in sizes:
            _require(path, node, id(node) not in inside, "an alias that holds itself; write the values out")
            inside.add(id(node))
            parts = [measure(each) for each in _children(node)]
            size = 1 + sum(part[0] for part in parts)
            levels = 1 + max((part[1] for part in parts), default=0)
            _require(path, node, size <= MOST, f"its aliases stand for more than {MOST:,} values; write them out")
            _require(path, node, levels <= 2 * DEEPEST, "its aliases lead too deep; write the values out")
            sizes[id(node)] = size, levels
        return sizes[id(node)]

    measure(root)


def _children(node: yaml.Node) -> Sequence[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else ()


class _NamedKeys:
    """Makes plain data of nodes: each mapping by the names of its keys, none of them twice."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._scalars = yaml.SafeLoader("")

    def value(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each) for each in node.value]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            _require(self._path, key, isinstance(key, yaml.ScalarNode), "a name must be a text, not a list or mapping")
            name = str(key.value)
            again = f"{name} is set twice, the first time in line {lines.get(name)}; keep one of them"
            _require(self._path, key, name not in lines, again)
            lines[name] = _line(key)
            if key.tag == "tag:yaml.org,2002:merge":
                merged |= self._merged(value)
            else:
                found[name] = self.value(value)
        return merged | found

    def _merged(self, node: yaml.Node) -> dict[str, Any]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, Any] = {}
        for part in reversed(parts):  # the first wins
            _require(self._path, part, isinstance(part, yaml.MappingNode), "<< takes a mapping, or a list of them")
            found |= self._mapping(part)
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        text = str(node.value)
        # YAML 1.1 takes 9:30 for a number to the base of sixty; here it is a time of day.
        if ":" in text and node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
            return text if text[1] != ":" else f"0{text}"
        try:
            return self._scalars.construct_object(node)
        except ValueError:  # a month 13, a number of thousands of digits: for the setting to refuse
            return text
