from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest
from upath import UPath

from assets.partitions import GRID, grid_key
from resources.parquet_store import ParquetIOManager

JANUARY, FEBRUARY = grid_key("2021-01", "ES"), grid_key("2021-02", "ES")


def months(*keys: dg.MultiPartitionKey) -> list[tuple[str, pd.DataFrame]]:
    frames = []
    for number, key in enumerate(keys):
        frame = pd.DataFrame({"volume": [float(number)]})
        frame.attrs["source"] = "a file"
        frames.append((key, frame))
    return frames


@dg.asset(partitions_def=GRID, backfill_policy=dg.BackfillPolicy.single_run())
def bars(context: dg.AssetExecutionContext) -> dg.Output:
    return dg.Output(iter(months(*context.partition_keys)))


@dg.asset(partitions_def=GRID, backfill_policy=dg.BackfillPolicy.single_run())
def lacking(context: dg.AssetExecutionContext) -> dg.Output:
    return dg.Output(months(*context.partition_keys)[:-1])


def run(asset: dg.AssetsDefinition, base: Path, first: str, last: str) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [asset],
        resources={"io_manager": ParquetIOManager(base_path=UPath(base))},
        tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
        raise_on_error=False,
    )


def test_range_run_writes_a_file_a_month_with_its_attributes(tmp_path: Path) -> None:
    assert run(bars, tmp_path, JANUARY, FEBRUARY).success

    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.parquet"))
    assert files == ["bars/ES/2021-01.parquet", "bars/ES/2021-02.parquet"]
    second = pd.read_parquet(tmp_path / files[1])
    assert second["volume"].tolist() == [1.0]
    assert second.attrs == {"source": "a file"}


def test_range_run_that_lacks_a_month_fails_and_names_it(tmp_path: Path) -> None:
    result = run(lacking, tmp_path, JANUARY, FEBRUARY)

    assert not result.success
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert "2021-02|ES" in failure.step_failure_data.error.message


def test_write_that_breaks_leaves_the_old_file_whole_and_no_other(tmp_path: Path) -> None:
    manager = ParquetIOManager(base_path=UPath(tmp_path))
    path = UPath(tmp_path / "bars.parquet")
    manager.dump_to_path(None, pd.DataFrame({"volume": [1.0]}), path)

    with pytest.raises(pa.ArrowInvalid):
        manager.dump_to_path(None, pd.DataFrame({"volume": [1.0, "x", object()]}), path)

    assert [entry.name for entry in tmp_path.iterdir()] == ["bars.parquet"]
    assert pd.read_parquet(path)["volume"].tolist() == [1.0]


def test_same_frame_written_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    manager = ParquetIOManager(base_path=UPath(tmp_path))
    frame = pd.DataFrame({"volume": [1.0, 2.0], "contract": ["ESH21", "ESM21"]})

    for name in ("a.parquet", "b.parquet"):
        manager.dump_to_path(None, frame, UPath(tmp_path / name))

    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
