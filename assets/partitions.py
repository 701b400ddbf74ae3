"""Partitions: months × symbol for what is made from bars, then symbol, book, and a model family or study of a book."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from assets.shown_settings import shown_settings
from pipeline.books import book_symbols
from pipeline.datasets import dataset_keys
from pipeline.environment import first_month
from pipeline.errors import PipelineError
from pipeline.home import vpoc_home
from pipeline.learning.models import families
from pipeline.outside import sentence_of_fault
from pipeline.tuning.targets import study_targets

__all__ = [
    "BOOKS",
    "BOOKS_OF_SYMBOL",
    "BOOK_OF_MODELS",
    "FIRST_MONTH",
    "GRID",
    "MODELS",
    "MODELS_OF_BOOK",
    "MODELS_OF_SYMBOL",
    "MONTHS",
    "RANGE_END_TAG",
    "RANGE_START_TAG",
    "SINGLE_RUN",
    "STUDIES",
    "STUDIES_OF_BOOK",
    "STUDIES_OF_MODEL",
    "STUDIES_OF_SYMBOL",
    "SYMBOLS",
    "WHOLE_HISTORY",
    "by_symbol",
    "grid_key",
    "of_book",
    "part_and_book",
    "user_errors",
]

FIRST_MONTH = first_month()
# end_offset=1: the running month exists before it is over.
MONTHS = dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, fmt="%Y-%m", end_offset=1)
SYMBOLS = dg.StaticPartitionsDefinition(dataset_keys())
GRID = dg.MultiPartitionsDefinition({"month": MONTHS, "symbol": SYMBOLS})
WHOLE_HISTORY = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="symbol")
# As Dagster names them; it exports no constants.
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
# One run for a range of months: a run a partition costs seconds each, a partition in a range milliseconds.
SINGLE_RUN = dg.BackfillPolicy.single_run()


def of_book(part: str, book: str) -> str:
    """Return the key of a model family, or a study, of a book: ``lightgbm|ES``."""
    return f"{part}|{book}"


def part_and_book(key: str) -> tuple[str, str]:
    """Return the model family, or the study, and the book of a key."""
    part, _, book = key.partition("|")
    return part, book


# Dagster's page knows its own mappings only, and none of these leads from a symbol to a grid of books: so keys of two
# parts stand in one dimension.
def _keys(parts: Iterable[str]) -> dict[str, list[str]]:
    """Return the keys of each book."""
    named = list(parts)
    return {book: [of_book(part, book) for part in named] for book in _SYMBOL_OF}


def _by_symbol(keys: Mapping[str, Iterable[str]]) -> dg.StaticPartitionMapping:
    """Map from a symbol to the keys of its books."""
    found: dict[str, list[str]] = {symbol: [] for symbol in dataset_keys()}
    for book, own in keys.items():
        found[_SYMBOL_OF[book]] += own
    return dg.StaticPartitionMapping(found)


_SYMBOL_OF = book_symbols(shown_settings())
BOOKS = dg.StaticPartitionsDefinition(list(_SYMBOL_OF))
BOOKS_OF_SYMBOL = _by_symbol({book: [book] for book in _SYMBOL_OF})

_MODELS, _STUDIES = _keys(families()), _keys(study_targets())
MODELS = dg.StaticPartitionsDefinition([key for keys in _MODELS.values() for key in keys])
MODELS_OF_BOOK = dg.StaticPartitionMapping(_MODELS)
MODELS_OF_SYMBOL = _by_symbol(_MODELS)
STUDIES = dg.StaticPartitionsDefinition([key for keys in _STUDIES.values() for key in keys])
STUDIES_OF_BOOK = dg.StaticPartitionMapping(_STUDIES)
STUDIES_OF_SYMBOL = _by_symbol(_STUDIES)
STUDIES_OF_MODEL = dg.StaticPartitionMapping({key: _STUDIES[book] for book, keys in _MODELS.items() for key in keys})
BOOK_OF_MODELS = dg.StaticPartitionMapping({key: book for book, keys in _MODELS.items() for key in keys})


def grid_key(month: str, symbol: str) -> dg.MultiPartitionKey:
    """Return the grid's key of a month and a symbol."""
    return dg.MultiPartitionKey({"month": month, "symbol": symbol})


def by_symbol(keys: Iterable[str]) -> dict[str, dict[str, str]]:
    """Grid keys as symbol → month → key, in order."""
    grouped: dict[str, dict[str, str]] = {}
    for key in keys:
        if not isinstance(key, dg.MultiPartitionKey):
            raise dg.DagsterInvariantViolationError(f"{key!r} is no key of the month × symbol grid")
        dimensions = key.keys_by_dimension
        grouped.setdefault(dimensions["symbol"], {})[dimensions["month"]] = key
    return {symbol: dict(sorted(months.items())) for symbol, months in grouped.items()}


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what the user can mend, a mistake or a full disk, into a failure of one sentence, not retried."""
    try:
        yield
    except PipelineError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    except (OSError, SQLAlchemyError) as error:
        if (message := sentence_of_fault(error, vpoc_home())) is None:
            raise
        raise dg.Failure(message, allow_retries=False) from error
