"""The partition grids: months × symbol for what is made from bars, family or study × symbol, symbol."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import dagster as dg
import pandas as pd
from sqlalchemy.exc import SQLAlchemyError

from pipeline.datasets import Dataset, dataset_keys
from pipeline.environment import first_month
from pipeline.errors import PipelineError
from pipeline.home import vpoc_home
from pipeline.learning.models import families
from pipeline.made_under import require_same_settings
from pipeline.outside import sentence_of_fault
from pipeline.settings import Settings
from pipeline.tuning.targets import study_targets

__all__ = [
    "FAMILIES",
    "FIRST_MONTH",
    "GRID",
    "MODEL_GRID",
    "MONTHS",
    "OF_SYMBOL",
    "RANGE_END_TAG",
    "RANGE_START_TAG",
    "SAME_SYMBOL",
    "SINGLE_RUN",
    "STUDY_GRID",
    "SYMBOLS",
    "WHOLE_HISTORY",
    "by_symbol",
    "concatenated",
    "grid_key",
    "grid_names",
    "model_key",
    "study_key",
    "user_errors",
]

FIRST_MONTH = first_month()
# end_offset=1: the running month exists before it is over.
MONTHS = dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, fmt="%Y-%m", end_offset=1)
SYMBOLS = dg.StaticPartitionsDefinition(dataset_keys())
GRID = dg.MultiPartitionsDefinition({"month": MONTHS, "symbol": SYMBOLS})
WHOLE_HISTORY = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="symbol")
FAMILIES = dg.StaticPartitionsDefinition(list(families()))
MODEL_GRID = dg.MultiPartitionsDefinition({"family": FAMILIES, "symbol": SYMBOLS})
STUDY_GRID = dg.MultiPartitionsDefinition(
    {"study": dg.StaticPartitionsDefinition(list(study_targets())), "symbol": SYMBOLS}
)
# Between a symbol's asset and its models or studies, either way.
OF_SYMBOL = dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="symbol")
# Between two grids: a model takes every month of its symbol, a study every model.
SAME_SYMBOL = dg.MultiPartitionMapping(
    {"symbol": dg.DimensionPartitionMapping("symbol", dg.IdentityPartitionMapping())}
)
# As Dagster names them; it exports no constants.
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
# One run for a range of months: a run a partition costs seconds each, a partition in a range milliseconds.
SINGLE_RUN = dg.BackfillPolicy.single_run()


def grid_key(month: str, symbol: str) -> dg.MultiPartitionKey:
    """The grid's key of a month and a symbol."""
    return dg.MultiPartitionKey({"month": month, "symbol": symbol})


def model_key(family: str, symbol: str) -> dg.MultiPartitionKey:
    """The models' grid key of a family and a symbol."""
    return dg.MultiPartitionKey({"family": family, "symbol": symbol})


def study_key(target: str, symbol: str) -> dg.MultiPartitionKey:
    """The studies' grid key of a target and a symbol."""
    return dg.MultiPartitionKey({"study": target, "symbol": symbol})


def grid_names(grid: dg.MultiPartitionsDefinition, key: str) -> dict[str, str]:
    """A grid's key by dimension; given as plain text too, which a run from the command line has."""
    return dict(grid.get_partition_key_from_str(key).keys_by_dimension)


def by_symbol(keys: Iterable[str]) -> dict[str, dict[str, str]]:
    """Grid keys as symbol → month → key, in order."""
    grouped: dict[str, dict[str, str]] = {}
    for key in keys:
        if not isinstance(key, dg.MultiPartitionKey):
            raise dg.DagsterInvariantViolationError(f"{key!r} is no key of the month × symbol grid")
        dimensions = key.keys_by_dimension
        grouped.setdefault(dimensions["symbol"], {})[dimensions["month"]] = key
    return {symbol: dict(sorted(months.items())) for symbol, months in grouped.items()}


def concatenated(
    frames: Mapping[str, pd.DataFrame],
    dataset: Dataset,
    asset: str,
    *,
    settings: Settings | None = None,
    why_empty: str = "every row was quarantined, see there why",
) -> pd.DataFrame:
    """All months of a symbol in one frame.

    Parameters
    ----------
    frames
        By month.
    dataset, asset
        Which dataset and asset they are of.
    settings
        That each month has to be made under, where given.
    why_empty
        What the error says where all months have been made and none holds a row.

    Raises
    ------
    Failure
        Where there are none, or a month was made from another source than the symbol's present one:
        bars of two sources must not mix.
    DataError
        For a month of other settings: those of two must not mix either.
    """
    parts = []
    made = 0
    for key, frame in frames.items():
        made += 1
        source = frame.attrs.get("source")
        if source != dataset.identity:
            raise dg.Failure(
                f"{asset} of {key} was made from {source!r}, but {dataset.key}'s source is now {dataset.identity!r}: "
                f"run 'vpoc run --symbol {dataset.key}', which makes every month anew",
                allow_retries=False,
            )
        if settings is not None:
            require_same_settings({asset: frame}, settings, dataset)
        if len(frame):
            parts.append(frame)
    if not parts and made:
        raise dg.Failure(
            f"{dataset.key} has no {asset} in any month of {dataset.identity}: {why_empty}", allow_retries=False
        )
    if not parts:
        raise dg.Failure(
            f"{dataset.key} has no {asset} yet: materialize {asset} for its months first, or run 'vpoc run'",
            allow_retries=False,
        )
    whole = pd.concat(parts, ignore_index=isinstance(parts[0].index, pd.RangeIndex))
    whole.attrs = {"source": dataset.identity}
    return whole


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
