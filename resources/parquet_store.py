"""Frames as Parquet files, one a partition, behind Dagster's IO manager protocol."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import dagster as dg
import pandas as pd
from dagster import InputContext, MultiPartitionKey, OutputContext
from upath import UPath

from pipeline.home import vpoc_home
from pipeline.leftovers import temporary_name
from pipeline.outside import sentence_of_fault

__all__ = ["ParquetStore", "PartitionedFrames"]


class PartitionedFrames(Mapping[str, pd.DataFrame]):
    """Frames by partition key, each read when asked for, so that memory stays flat over many months.

    Parameters
    ----------
    paths
        File by partition key, in the order of the partitions.
    read
        Reads one file.
    """

    def __init__(self, paths: Mapping[str, UPath], read: Callable[[UPath], pd.DataFrame]) -> None:
        self._paths = dict(paths)
        self._read = read

    def __getitem__(self, key: str) -> pd.DataFrame:
        return self._read(self._paths[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


class ParquetIOManager(dg.UPathIOManager):
    """Parquet (zstd) files at ``<base>/<asset>/<symbol>/<month>.parquet``.

    One convention in one place, whatever the number of partitions in a run: an asset on the month grid
    hands over an iterable of (partition key, frame), and takes a :class:`PartitionedFrames`; any other
    hands over and takes a frame. A file is written under a temporary name and renamed, so that a killed
    run leaves the old one whole. ``frame.attrs`` is kept in the file.

    Dagster's own base class refuses runs over a range of partitions (dagster #14332, #10490), hence the
    overrides.
    """

    extension = ".parquet"

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Write one frame, or each of an iterable of (partition key, frame)."""
        if isinstance(obj, pd.DataFrame):
            self.dump_to_path(context, obj, self._single_path(context))
            return
        paths = self._get_paths_for_partitions(context)
        left = set(paths)
        for key, frame in _checked(obj):
            self.dump_to_path(context, frame, paths[key])
            left.discard(key)
        if left:
            raise dg.DagsterInvariantViolationError(f"{context.asset_key} made no frame for {sorted(left)}")

    def load_input(self, context: InputContext) -> pd.DataFrame | PartitionedFrames:
        """Read one frame, or give those of a grid as they are asked for, by what the asset's input is declared as."""
        if not context.has_asset_partitions:
            return self.load_from_path(context, self._get_path(context))
        paths = self._get_paths_for_partitions(context)
        # Of a grid an asset may take one frame, which it says by its input's type, or many, were it only one.
        on_grid = any(isinstance(key, MultiPartitionKey) for key in context.asset_partition_keys)
        if not on_grid or context.dagster_type.typing_type is pd.DataFrame:
            return self.load_from_path(context, paths[context.asset_partition_key])
        allow_missing = (context.definition_metadata or {}).get("allow_missing_partitions", False)
        if allow_missing:
            paths = {key: path for key, path in paths.items() if path.exists()}
        # Dagster gives the keys in no order; ours begin with the month.
        return PartitionedFrames(dict(sorted(paths.items())), lambda path: self.load_from_path(context, path))

    def get_path_for_partition(self, context: InputContext | OutputContext, path: UPath, partition: str) -> UPath:
        """Symbol before month, so that a symbol's files lie together."""
        month, _, symbol = partition.partition("/")
        return path / symbol / month if symbol else path / month

    def dump_to_path(self, context: OutputContext, obj: pd.DataFrame, path: UPath) -> None:
        """Write a frame under a temporary name, then rename it."""
        temporary = path.parent / temporary_name(path.name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    obj.to_parquet(file, compression="zstd")
                temporary.rename(path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            message = sentence_of_fault(error, vpoc_home())
            if message is None:
                raise
            raise dg.Failure(message, allow_retries=False) from error

    def load_from_path(self, context: InputContext, path: UPath) -> pd.DataFrame:
        """Read a frame, or fail with what to materialize first."""
        try:
            with path.open("rb") as file:
                return pd.read_parquet(file)
        except FileNotFoundError:
            name, of, run = _called(context, path)
            raise dg.Failure(
                f"{name} has not been made{of}: materialize {name} first{run}", allow_retries=False
            ) from None
        except (OSError, ValueError) as error:  # pyarrow's own errors are one or the other
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


class ParquetStore(dg.ConfigurableIOManagerFactory):
    """Makes the Parquet IO manager of the home.

    It has no fields: a field would be run configuration, by which whoever launches a run could choose the folder.
    """

    def create_io_manager(self, context: dg.InitResourceContext) -> ParquetIOManager:
        """Make the IO manager for a run."""
        return ParquetIOManager(base_path=UPath(vpoc_home().assets))


def _called(context: InputContext, path: UPath) -> tuple[str, str, str]:
    """An input's asset, of which partition its file is, and what makes everything of that symbol."""
    name = context.asset_key.to_user_string()
    if not context.has_asset_partitions:
        return name, "", ""
    on_grid = any(isinstance(key, MultiPartitionKey) for key in context.asset_partition_keys)
    symbol, of = (
        (path.parent.name, f" for {path.parent.name} {path.stem}") if on_grid else (path.stem, f" for {path.stem}")
    )
    return name, of, f", or run 'vpoc run --symbol {symbol}'"


def _checked(obj: object) -> Iterable[tuple[str, pd.DataFrame]]:
    if isinstance(obj, Mapping):
        return obj.items()
    if isinstance(obj, Iterable):
        return obj
    raise dg.DagsterInvariantViolationError(
        f"an asset must hand over a frame, or (partition key, frame) pairs; got {type(obj).__name__}"
    )
