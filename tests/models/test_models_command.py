"""``vpoc models`` as a user calls it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.models import models
from pipeline.errors import DataError
from pipeline.home import Home
from resources.mlflow_store import Store
from resources.model_upload import upload
from tests.models.conftest import Keep, free_port


def vpoc(*arguments: str) -> tuple[int, str, str]:
    """Call the command; returns exit code, standard output, and standard error with the error's sentence."""
    result = CliRunner().invoke(models, list(arguments))
    message = result.stderr
    if isinstance(result.exception, DataError):
        message += f"Error: {result.exception}\n"  # as `vpoc` shows it
    else:
        assert result.exception is None, result.exception
    return result.exit_code, result.stdout, message


def test_upload_tells_what_it_did_and_list_shows_it(
    store: Store, home: Home, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    upload(store, keep("earlier").folder)
    waiting, constant = keep("waiting", seed=1), keep("other", family="constant")
    broken = keep("broken", family="mlp")
    (broken.folder / "record.json").write_text("{")

    code, out, err = vpoc("list")
    assert (code, err) == (0, "")
    assert "vpoc-ES-logistic" in out
    assert "challenger" in out
    assert "0.61 (0.52 to 0.70)" in out
    assert "3 trainings are waiting" in out
    assert "ES/logistic/waiting" in out

    code, out, err = vpoc("upload")
    assert code == 1
    assert out.splitlines()[0].startswith("ES/logistic/waiting: vpoc-ES-logistic version 2, run ")
    assert out.splitlines()[1].startswith("ES/constant/other: vpoc-ES-constant version 1, run ")
    assert "ES/mlp/broken: the training's record" in err
    assert err.splitlines()[-1].startswith("Error: 1 training is waiting in ")
    assert "Traceback" not in err

    (broken.folder / "record.json").unlink()
    code, out, err = vpoc("upload")
    assert (code, err) == (0, "")
    assert "nothing to upload" in out

    code, out, err = vpoc("list", "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert [(one["name"], one["version"], one["aliases"]) for one in document["registered"]] == [
        ("vpoc-ES-constant", 1, ["challenger"]),
        ("vpoc-ES-logistic", 2, ["challenger"]),
        ("vpoc-ES-logistic", 1, []),
    ]
    assert document["registered"][1]["trained"] == waiting.trained.isoformat()
    assert (document["waiting"], document["away"]) == ([], None)
    assert (constant.folder / "uploaded.json").exists()


def test_mlflow_unreachable_is_one_sentence_and_what_waits_is_shown(
    home: Home, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    keep("waiting")

    code, out, err = vpoc("upload")
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: MLflow at {uri} does not answer (")
    assert "1 training is waiting in" in err
    assert err.count("\n") == 1

    code, out, err = vpoc("list", "--json")
    assert code == 1
    assert [one["training"] for one in json.loads(out)["waiting"]] == ["ES/logistic/waiting"]
    assert err.count("\n") == 1


def test_home_without_models_says_how_to_get_some(store: Store, home: Home) -> None:
    code, out, err = vpoc("list")
    assert (code, err) == (0, "")
    assert "'vpoc run'" in out
    assert not list(Path(home.models).glob("*"))
