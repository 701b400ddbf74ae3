"""The wheel: built from the checkout, installed into an empty folder, run there."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from pipeline.home import PROJECT

pytestmark = pytest.mark.slow

SMALL = "simulator: {start: 2021-01-04, sessions: 60, seed: 3, bar: 15min}\nmodels: {families: []}\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; what it depends on comes from the tests' own environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(PROJECT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--quiet", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (packages,) = folder.glob("venv/lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def vpoc(installed: Path, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VPOC_", "MLFLOW_", "DAGSTER_", "PYTHONPATH"))
    }
    return subprocess.run(
        [str(installed / "venv" / "bin" / "vpoc"), *words],
        env={**kept, "HOME": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_wheel_runs_the_chain_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "vpoc").mkdir()
    (tmp_path / "vpoc" / "settings.yaml").write_text(SMALL)

    ended = vpoc(installed, tmp_path, "run")

    assert ended.returncode == 0, ended.stderr + ended.stdout
    assert (tmp_path / "vpoc" / "reports" / "ES-SIM.html").is_file()
    assert "All fades" in ended.stdout
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {"vpoc"}


def test_doctor_of_the_wheel_finds_its_instance_files(installed: Path, tmp_path: Path) -> None:
    ended = vpoc(installed, tmp_path, "doctor", "--json")

    assert str(installed / "venv") in ended.stdout
    assert "dagster.yaml does not exist" not in ended.stdout


def test_wheel_holds_the_files_of_the_checkout_that_it_runs_on(installed: Path) -> None:
    (packages,) = installed.glob("venv/lib/python*/site-packages")
    for file, place in {
        "dagster.yaml": "pipeline/instance/dagster.yaml",
        "workspace.yaml": "pipeline/instance/workspace.yaml",
        "deploy/postgres/dagster.yaml": "pipeline/instance/postgres/dagster.yaml",
    }.items():
        assert (packages / place).read_bytes() == (PROJECT / file).read_bytes()
    assert not (packages / "tests").exists()
