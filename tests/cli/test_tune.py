"""``vpoc tune`` on a small market: it finds, remembers every look, goes on where it was, and says so."""

import json
from collections.abc import Iterator

import pandas as pd
import pytest
from typer.testing import CliRunner

from jobs.chain import run_chain
from pipeline.cli import app
from pipeline.datasets import find_dataset
from pipeline.definitions import defs
from pipeline.errors import ConfigurationError, PipelineError
from pipeline.home import Home
from pipeline.research import run_research
from pipeline.settings import Settings
from pipeline.strategy import StrategySettings
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.storage import tuning_url
from tests.orchestration.conftest import made_home


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with pytest.MonkeyPatch.context() as patch:
        home = made_home(tmp_path_factory.mktemp("tune"), patch)
        patch.delenv("VPOC_OPTUNA_URL", raising=False)
        run_chain(defs, "ES-SIM", home, lambda event: None)
        yield home


def tuned(*arguments: str) -> dict:
    done = CliRunner().invoke(app, ["tune", *arguments, "--symbol", "ES-SIM", "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_tune_strategy_best_trial_is_what_the_backtest_of_its_settings_gives_and_every_look_is_remembered(
    made: Home,
) -> None:
    document = tuned("strategy", "--trials", "8", "--objective", "net")

    best = document["best"]
    own = {name: value for name, value in best["params"].items() if not name.startswith("account.")}
    account = {"entry_cutoff": best["params"]["account.entry_cutoff"], "max_contracts": 1}
    dataset = find_dataset("ES-SIM", made)
    bars = dataset.read().frame.drop(columns=["source_file", "source_line"])
    settings = Settings(strategy=StrategySettings(**own), account=account)
    trades = run_research(bars, dataset.instrument, settings).results["Rule signals"].trades
    each = trades["pnl"] / trades["quantity"]
    assert best["values"]["net"] == pytest.approx(each.sum(), rel=1e-5)
    assert document["trials"] == {"complete": 8, "pruned": 0, "failed": 0}
    looks = Ledger(tuning_url(made)).looks("ES-SIM", pd.Timestamp("2021-01-01"), pd.Timestamp("2023-01-01"))
    assert looks.count == document["looks"] >= 8


def test_tune_called_again_goes_on_with_the_same_study(made: Home) -> None:
    first = tuned("logistic", "--trials", "3")
    again = tuned("logistic", "--trials", "5")

    assert again["study"] == first["study"]
    assert sum(again["trials"].values()) == 5
    assert again["looks"] == first["looks"] + 2
    folder = next((made.root / "tuning" / "ES-SIM").glob("logistic-*"))
    assert {"history.png"} <= {path.name for path in folder.glob("*.png")}


def test_tune_with_two_workers_loses_and_doubles_no_trial(made: Home) -> None:
    document = tuned("logistic", "--trials", "8", "--objective", "sharpe_low", "--workers", "2")

    looks = Ledger(tuning_url(made)).trials(document["study"])
    assert sum(document["trials"].values()) == 8
    assert looks["number"].tolist() == list(range(8))


def test_tune_pareto_front_holds_no_trial_that_another_beats(made: Home) -> None:
    document = tuned("strategy", "--trials", "10", "--objective", "net", "--objective", "drawdown")

    front = [one["values"] for one in document["front"]]
    assert front
    for one in front:
        assert not any(
            other["net"] >= one["net"] and other["drawdown"] <= one["drawdown"] and other != one for other in front
        )


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("lightgbn",), ConfigurationError, "there is no model family 'lightgbn'"),
        (("constant",), ConfigurationError, "constant"),
        (("lightgbm_r",), ConfigurationError, "no probabilities, so log_loss can't judge them"),
        (("lightgbm", "--objective", "fun"), ConfigurationError, "fun"),
        (("lightgbm", "--sampler", "magic"), ConfigurationError, "sampler is 'magic'"),
        (("lightgbm", "--symbol", "ES"), PipelineError, "ES has no source of bars yet"),
    ],
)
def test_tune_mistakes_are_one_sentence(
    made: Home, arguments: tuple[str, ...], error: type[Exception], said: str
) -> None:
    options = arguments if "--symbol" in arguments else (*arguments, "--symbol", "ES-SIM")
    done = CliRunner().invoke(app, ["tune", *options, "--trials", "2"])

    assert isinstance(done.exception, error)
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)


def test_tune_says_what_many_looks_leave_of_the_best(made: Home) -> None:
    done = CliRunner().invoke(app, ["tune", "strategy", "--symbol", "ES-SIM", "--trials", "6"])

    assert "looked at ES-SIM between" in done.stdout
    assert "Deflated Sharpe ratio of the best" in done.stdout
    assert "Probability of overfitting (CSCV)" in done.stdout
