"""Faults of the world outside: one sentence each, that names the place and says what to do."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from pipeline.home import Home, write_whole
from pipeline.outside import damaged_databases, sentence_of_fault, sentence_of_words

pytestmark = pytest.mark.slow

VPOC = [sys.executable, "-c", "from cli import main; main()"]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk can't be mounted here: that takes the rights of root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def run(home: Path, *arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    own = {name: value for name, value in os.environ.items() if not name.startswith(("VPOC_", "DAGSTER_", "MLFLOW_"))}
    environment = {**own, "VPOC_HOME": str(home)}
    options = {"stdout": subprocess.PIPE, **options}
    return subprocess.run(
        [*VPOC, *arguments], env=environment, stderr=subprocess.PIPE, text=True, check=False, **options
    )


def test_full_disk_is_reported_with_its_place_and_leaves_the_old_file_whole(full_disk: Path) -> None:
    write_whole(full_disk / "settings.yaml", "seed: 1\n")
    with pytest.raises(OSError, match="No space left") as failed:
        write_whole(full_disk / "settings.yaml", "x" * 2_000_000)

    message = sentence_of_fault(failed.value, Home(full_disk))

    assert message is not None
    assert f"no room left on the disk of {full_disk}" in message
    assert (full_disk / "settings.yaml").read_text() == "seed: 1\n"
    assert [path.name for path in full_disk.iterdir()] == ["settings.yaml"]


def test_full_disk_of_temporary_files_is_told_as_such(
    full_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(full_disk))
    (full_disk / "any").write_bytes(bytes(600_000))
    with (full_disk / "any").open("ab", buffering=0) as file:
        os.write(file.fileno(), bytes(200_000))  # as much as there is room for
        with pytest.raises(OSError, match="No space left") as failed:
            os.write(file.fileno(), b"one more")
    assert failed.value.filename is None

    said = sentence_of_fault(failed.value, Home(tmp_path / "home"))

    assert said is not None
    assert f"no room left on the disk of {full_disk}" in said
    assert "TMPDIR" in said


def test_run_on_a_full_disk_ends_in_one_sentence(full_disk: Path) -> None:
    ended = run(full_disk, "run")

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "no room left on the disk of" in ended.stderr.splitlines()[-1]


def test_output_onto_a_full_disk_ends_in_one_sentence(tmp_path: Path) -> None:
    bars = tmp_path / "bars.csv"
    times = pd.date_range("2024-01-03 14:30", periods=70, freq="5min", tz="UTC")
    pd.DataFrame(
        {"timestamp": times, "open": 4700.0, "high": 4701.0, "low": 4699.0, "close": 4700.5, "volume": 10}
    ).to_csv(bars, index=False)

    with Path("/dev/full").open("w") as full:
        ended = run(tmp_path / "home", "profile", str(bars), "--json", stdout=full)

    assert ended.returncode == 1
    assert "no room left" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("database", "arguments", "sentence"),
    [
        ("dagster/history/runs.db", ["run"], "Dagster's database"),
        ("mlflow/mlflow.db", ["models", "list"], "MLflow's database"),
        ("tuning/optuna.db", ["tune", "--dashboard"], "the studies' database"),
    ],
)
def test_damaged_database_is_named_in_one_sentence(
    tmp_path: Path, database: str, arguments: list[str], sentence: str
) -> None:
    path = tmp_path / database
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database at all, by any reading" * 200)
    assert damaged_databases(Home(tmp_path)) == [path]

    ended = run(tmp_path, *arguments)

    assert ended.returncode in (1, 2)
    assert "Traceback" not in ended.stderr
    assert sentence in ended.stderr
    assert str(path) in ended.stderr.replace("\n", "")
    assert "move it away" in ended.stderr.replace("\n", " ")


def test_words_of_other_errors_are_not_faults_outside(tmp_path: Path) -> None:
    assert sentence_of_words("ZeroDivisionError: division by zero", Home(tmp_path)) is None
    assert sentence_of_fault(ValueError("x"), Home(tmp_path)) is None
