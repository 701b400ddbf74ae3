"""Frames as Parquet files, and backtests as archives of them, one a partition, behind Dagster's IO manager protocol."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any, TypeVar

import dagster as dg
import pandas as pd
from dagster import InputContext, OutputContext
from upath import UPath

from pipeline.backtest import Backtests, read_backtests, write_backtests
from pipeline.datasets import dataset_keys
from pipeline.errors import DataError
from pipeline.home import vpoc_home
from pipeline.leftovers import temporary_name
from pipeline.outside import sentence_of_fault

__all__ = ["BacktestStore", "ParquetStore", "PartitionedBacktests", "PartitionedFrames"]


Stored = TypeVar("Stored")


class _Partitioned(Mapping[str, Stored]):
    """What is stored by partition key, each read when asked for, so that memory stays flat over many months.

    Parameters
    ----------
    paths
        File by partition key, in the order of the partitions.
    read
        Reads one file.
    """

    def __init__(self, paths: Mapping[str, UPath], read: Callable[[UPath], Stored]) -> None:
        self._paths = dict(paths)
        self._read = read

    def __getitem__(self, key: str) -> Stored:
        return self._read(self._paths[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


class PartitionedFrames(_Partitioned[pd.DataFrame]):
    """Frames by partition key."""


class PartitionedBacktests(_Partitioned[Backtests]):
    """Backtests by partition key."""


class _IOManager(dg.UPathIOManager):
    """Files at ``<base>/<asset>/<symbol>/<month>``, ``<base>/<asset>/<book>`` or ``<base>/<asset>/<book>/<family>``.

    One convention in one place, whatever the number of partitions in a run: an asset on the month grid
    hands over an iterable of (partition key, frame); any other hands over one thing. An asset takes one thing, or all
    that there are by partition, as it declares its input. A file is written under a temporary name and renamed, so that
    a killed run leaves the old one whole.

    Dagster's own base class refuses runs over a range of partitions (dagster #14332, #10490), hence the
    overrides.
    """

    whole: type
    """What one file holds."""
    many: type[_Partitioned[Any]]

    def write(self, file: IO[bytes], obj: Any) -> None:
        """Write to an open file."""
        raise NotImplementedError

    def read(self, file: IO[bytes]) -> Any:
        """Read what :meth:`write` wrote; an OSError, ValueError or DataError where it can't be read."""
        raise NotImplementedError

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Write one, or each of an iterable of (partition key, frame)."""
        if isinstance(obj, self.whole):
            self.dump_to_path(context, obj, self._single_path(context))
            return
        paths = self._get_paths_for_partitions(context)
        left = set(paths)
        for key, frame in _checked(obj):
            self.dump_to_path(context, frame, paths[key])
            left.discard(key)
        if left:
            raise dg.DagsterInvariantViolationError(f"{context.asset_key} made no frame for {sorted(left)}")

    def load_input(self, context: InputContext) -> Any:
        """Read one, or give all partitions' as they are asked for, by what the asset's input is declared as."""
        if not context.has_asset_partitions:
            return self.load_from_path(context, self._get_path(context))
        paths = self._get_paths_for_partitions(context)
        if context.dagster_type.typing_type is not self.many:
            return self.load_from_path(context, paths[context.asset_partition_key])
        allow_missing = (context.definition_metadata or {}).get("allow_missing_partitions", False)
        if allow_missing:
            paths = {key: path for key, path in paths.items() if path.exists()}
        # Dagster gives the keys in no order; ours begin with the month.
        return self.many(dict(sorted(paths.items())), lambda path: self.load_from_path(context, path))

    def get_path_for_partition(self, context: InputContext | OutputContext, path: UPath, partition: str) -> UPath:
        """Symbol before month, and book before family, so that their files lie together."""
        part, _, whose = partition.replace("|", "/").partition("/")
        return path / whose / part if whose else path / part

    def dump_to_path(self, context: OutputContext, obj: Any, path: UPath) -> None:
        """Write under a temporary name, then rename it."""
        temporary = path.parent / temporary_name(path.name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    self.write(file, obj)
                temporary.rename(path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            message = sentence_of_fault(error, vpoc_home())
            if message is None:
                raise
            raise dg.Failure(message, allow_retries=False) from error

    def load_from_path(self, context: InputContext, path: UPath) -> Any:
        """Read one, or fail with what to materialize first."""
        try:
            with path.open("rb") as file:
                return self.read(file)
        except FileNotFoundError:
            name, of, run = _called(context, path)
            raise dg.Failure(
                f"{name} has not been made{of}: materialize {name} first{run}", allow_retries=False
            ) from None
        except (OSError, ValueError, DataError) as error:  # pyarrow's own errors are one or the other
            name, of, run = _called(context, path)
            message = " ".join(str(error).split())
            raise dg.Failure(
                f"{name}{of} can't be read from {path} ({message}): remove the file and materialize {name} again{run}",
                allow_retries=False,
            ) from error

    def _single_path(self, context: OutputContext) -> UPath:
        if not context.has_asset_partitions:
            return self._get_path(context)
        return self._get_paths_for_partitions(context)[context.asset_partition_key]


class ParquetIOManager(_IOManager):
    """Parquet (zstd) files; ``frame.attrs`` is kept in them."""

    extension = ".parquet"
    whole = pd.DataFrame
    many = PartitionedFrames

    def write(self, file: IO[bytes], obj: pd.DataFrame) -> None:
        """Write a frame."""
        obj.to_parquet(file, compression="zstd")

    def read(self, file: IO[bytes]) -> pd.DataFrame:
        """Read a frame."""
        return pd.read_parquet(file)


class BacktestIOManager(_IOManager):
    """Archives of backtests; see :mod:`pipeline.backtest.stored`."""

    extension = ".zip"
    whole = Backtests
    many = PartitionedBacktests

    def write(self, file: IO[bytes], obj: Backtests) -> None:
        """Write backtests."""
        write_backtests(obj, file)

    def read(self, file: IO[bytes]) -> Backtests:
        """Read backtests."""
        return read_backtests(file)


class ParquetStore(dg.ConfigurableIOManagerFactory):
    """Makes the Parquet IO manager of the home.

    It has no fields: a field would be run configuration, by which whoever launches a run could choose the folder.
    """

    def create_io_manager(self, context: dg.InitResourceContext) -> ParquetIOManager:
        """Make the IO manager for a run."""
        return ParquetIOManager(base_path=UPath(vpoc_home().assets))


class BacktestStore(dg.ConfigurableIOManagerFactory):
    """Makes the IO manager of the home's backtests."""

    def create_io_manager(self, context: dg.InitResourceContext) -> BacktestIOManager:
        """Make the IO manager for a run."""
        return BacktestIOManager(base_path=UPath(vpoc_home().assets))


def _called(context: InputContext, path: UPath) -> tuple[str, str, str]:
    """An input's asset, of which partition its file is, and what makes everything of that symbol or book."""
    name = context.asset_key.to_user_string()
    if not context.has_asset_partitions:
        return name, "", ""
    # Without path.stem: a symbol may have a dot in its name.
    part = path.name.removesuffix(path.suffix)
    whose, of = (part, "") if path.parent.name == name else (path.parent.name, f" {part}")
    option = "--symbol" if whose in dataset_keys() else "--book"
    return name, f" for {whose}{of}", f", or run 'vpoc run {option} {whose}'"


def _checked(obj: object) -> Iterable[tuple[str, pd.DataFrame]]:
    if isinstance(obj, Mapping):
        return obj.items()
    if isinstance(obj, Iterable):
        return obj
    raise dg.DagsterInvariantViolationError(
        f"an asset must hand over a frame, or (partition key, frame) pairs; got {type(obj).__name__}"
    )
