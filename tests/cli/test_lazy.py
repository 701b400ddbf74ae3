"""Commands that are imported only when they run."""

import importlib
import inspect
import subprocess
import sys
from importlib.metadata import version

import typer
from typer.testing import CliRunner

from cli.command import app


def test_help_lists_every_command_with_its_own_first_sentence() -> None:
    for command in app.registered_commands:
        name = str(command.name)
        found = getattr(importlib.import_module(f"cli.{name}"), name)
        own = found.info.help if isinstance(found, typer.Typer) else inspect.getdoc(found)
        assert command.help == " ".join(str(own).partition("\n\n")[0].split()), name


def test_help_imports_no_command_and_none_of_their_libraries() -> None:
    program = (
        "import sys\n"
        "from cli import main\n"
        "sys.argv = ['vpoc', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'pandas', 'dagster', 'mlflow', 'sklearn', 'cli.run'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Run the whole chain" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "[]"


def test_mistyped_command_names_the_one_meant() -> None:
    result = CliRunner().invoke(app, ["modls"])
    assert result.exit_code == 2
    assert "Did you mean 'models'?" in result.output


def test_version_is_the_installed_one() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"vpoc {version('vpoc-pipeline')}\n")


def test_reading_settings_with_models_imports_no_library_that_fits_them() -> None:
    program = (
        "import sys\n"
        "from pipeline.settings import ModelSelection\n"
        "ModelSelection(families=('lightgbm', 'logistic', 'ensemble'), parameters={'mlp': {}})\n"
        "print(sorted({'sklearn', 'scipy.stats', 'torch', 'lightgbm', 'optuna'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
