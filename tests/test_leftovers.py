"""Half-written files of killed processes: gone with the next command; those of live processes stay."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.environment import prepare_environment
from pipeline.home import PROJECT, Home, write_whole
from pipeline.leftovers import drop_dead_files, temporary_folder, temporary_name

WRITER = """
import sys, time
from pathlib import Path
from pipeline.leftovers import temporary_name
for place in sys.argv[1:]:
    path = Path(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / temporary_name(path.name)).write_bytes(b"half")
print("written", flush=True)
time.sleep(600)
"""


def test_half_written_files_of_a_killed_process_go_and_a_live_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    places = [home.assets / "bars" / "ES" / "2019-03.parquet", home.mlflow / "mlflow.db", home.reports / "ES.html"]
    command = [sys.executable, "-c", WRITER, *map(str, places)]
    killed, living = (subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT) for _ in range(2))
    for process in (killed, living):
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
    own = home.assets / temporary_name("own.parquet")
    foreign = home.assets / own.name.replace(f".{os.getpid()}-", ".1-").replace(own.name.split("-")[1], "elsewher")
    user = home.root / ".notes.2019"
    for path in (own, foreign, user):
        path.write_bytes(b"half")
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()

    removed = drop_dead_files(home.root)

    assert sorted(path.parent for path in removed) == sorted(place.parent for place in places)
    assert all(f".{killed.pid}-" in path.name for path in removed)
    left = [path.name for path in home.root.rglob(".*") if path.is_file()]
    assert sum(f".{living.pid}-" in name for name in left) == 3
    assert {own.name, foreign.name, user.name} < set(left)

    living.kill()
    living.wait()
    for name in ("DAGSTER_HOME", "VPOC_POSTGRES_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    prepare_environment(home)  # as every command does
    assert {path.name for path in home.root.rglob(".*") if path.is_file()} == {own.name, foreign.name, user.name}


def test_number_that_another_process_has_by_now_does_not_keep_a_file(tmp_path: Path) -> None:
    own = temporary_name("a.parquet")
    pid, place, rest = own.split(".")[-2].split("-")
    path = tmp_path / own.replace(f"-{rest}.", "-00000000.")
    path.touch()

    assert drop_dead_files(tmp_path) == [path]
    assert (pid, len(place)) == (str(os.getpid()), 8)


def test_temporary_folder_of_a_killed_process_goes_with_the_next_one_and_a_live_ones_stays(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from pipeline.leftovers import temporary_folder\n"
        "with temporary_folder(Path(sys.argv[1]), 'cut') as folder:\n"
        "    (folder / 'within').mkdir(); (folder / 'within' / 'a').touch(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    with temporary_folder(tmp_path, "cut") as own:
        (own / "b").touch()
        subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=PROJECT, check=False)
        (left,) = set(tmp_path.iterdir()) - {own}
        assert (left / "within" / "a").exists()

        with temporary_folder(tmp_path, "cut") as another:
            assert set(tmp_path.iterdir()) == {own, another}
        assert (own / "b").exists()

    assert list(tmp_path.iterdir()) == []


def test_file_whose_writer_is_killed_in_the_middle_is_the_old_one_and_the_rest_goes(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    write_whole(path, "seed: 1\n")
    script = (
        "import os, signal, sys; from pathlib import Path; from pipeline import home; "
        "home.os.fdopen = lambda *_: os.kill(os.getpid(), signal.SIGKILL); "
        "home.write_whole(Path(sys.argv[1]), 'seed: 2')"
    )

    ended = subprocess.run([sys.executable, "-c", script, str(path)], cwd=PROJECT, check=False)

    assert ended.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    assert len(drop_dead_files(tmp_path)) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["settings.yaml"]
    assert path.read_text() == "seed: 1\n"
