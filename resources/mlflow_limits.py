"""What MLflow takes: names, lengths, how much at once."""

import json
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

__all__ = [
    "METRICS_A_BATCH",
    "PARAMETERS_A_BATCH",
    "batches",
    "cut",
    "cut_tag",
    "milliseconds",
    "pages",
    "safe_name",
    "safe_names",
    "sentence",
    "value_text",
]

# MLflow's limits of one request: a thousand things in all, of them a hundred parameters and a hundred tags.
METRICS_A_BATCH = 1000
PARAMETERS_A_BATCH = 100
LONGEST_SENTENCE = 500
NAME_CHARACTERS = "_-. /:"


def safe_name(text: str) -> str:
    """A name as MLflow takes it: other characters as underscores, no path that leads elsewhere, not too long."""
    from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH

    name = "".join(letter if letter.isalnum() or letter in NAME_CHARACTERS else "_" for letter in text)
    name = name[:MAX_ENTITY_KEY_LENGTH]
    if not _is_own_path(name):
        name = name.replace("/", "_")
    return name if _is_own_path(name) else name.replace(".", "_") or "_"


def safe_names(texts: Iterable[str]) -> dict[str, str]:
    """Names as MLflow takes them, all different, by what they stand for."""
    from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH

    found: dict[str, str] = {}
    for text in texts:
        name, number = safe_name(text), 2
        while name in found.values():
            tail = f"_{number}"
            name, number = f"{safe_name(text)[: MAX_ENTITY_KEY_LENGTH - len(tail)]}{tail}", number + 1
        found[text] = name
    return found


def value_text(value: object) -> str:
    """A parameter's value as text that YAML reads back: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def cut(value: str) -> str:
    """A parameter's value, at most as long as MLflow keeps it."""
    from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

    return value[:MAX_PARAM_VAL_LENGTH]


def cut_tag(value: str) -> str:
    """A run's tag, at most as long as MLflow keeps it."""
    from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

    return value[:MAX_TAG_VAL_LENGTH]


def sentence(error: BaseException) -> str:
    """An error's text on one line, not too long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST_SENTENCE else f"{text[:LONGEST_SENTENCE]} ..."


def batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    """The items in lists of at most so many."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def pages(search: Any, **arguments: Any) -> Iterator[Any]:
    """Everything that one of the client's searches finds, page by page."""
    token: str | None = None
    while True:
        page = search(**arguments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def milliseconds(time: datetime) -> int:
    """A time as MLflow writes it."""
    return round(time.timestamp() * 1000)


def _is_own_path(name: str) -> bool:
    return name not in ("", ".") and posixpath.normpath(name) == name and not name.startswith(("..", "/"))
