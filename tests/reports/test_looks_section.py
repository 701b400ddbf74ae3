"""The report's section on trials: its sentences, its table and its picture."""

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.performance import deflated_sharpe_ratio, format_value
from pipeline.reports import ReportInputs, build_report
from pipeline.reports.deflation import deflation
from pipeline.reports.sections import models, trials
from pipeline.reports.sections.trials import looks_figure
from pipeline.reports.theme import GOOD
from pipeline.tuning.looks import Looks
from tests.reports.chain import FADES, RULES, report_inputs, walk, with_models
from tests.reports.outline import Outline

NAMES = ("study", "number", "target", "state", "finished", "seconds")
# Best of five worthless trials whose Sharpe ratios have the variance ½: √½ ((1 − γ) Φ⁻¹(1 − 1/5) + γ Φ⁻¹(1 − 1/(5 e))).
BEST_OF_FIVE = math.sqrt(0.5) * ((1 - 0.5772157) * 0.8416212 + 0.5772157 * 1.4496)


@pytest.fixture(scope="module")
def inputs(es) -> ReportInputs:
    return report_inputs(walk(es), es)


def looks_of(trials: list[tuple], returns: np.ndarray | None = None, places: list[int] | None = None) -> Looks:
    """Trials as (study, target, state), a minute apart, with the returns of some by session × trial."""
    frame = pd.DataFrame(
        [
            (study, number, target, state, pd.Timestamp("2026-03-02", tz="UTC") + pd.Timedelta(minutes=number), 1.0)
            for number, (study, target, state) in enumerate(trials)
        ],
        columns=NAMES,
    )
    blocks = []
    if returns is not None:
        sessions = pd.bdate_range("2024-01-02", periods=len(returns), name="session").as_unit("ns")
        blocks = [pd.DataFrame(returns, index=sessions, columns=range(returns.shape[1]) if places is None else places)]
    return Looks.of("ES", pd.Timestamp("2024-01-02"), pd.Timestamp("2024-04-30"), frame, blocks)


def five() -> Looks:
    """Three trials with Sharpe ratios √2, 1/√2 and 0, one pruned and one that never traded; and one that failed."""
    own = [("ES/strategy/3f", "strategy", state) for state in ("complete", "complete", "pruned", "failed")]
    by_hand = [("ES/backtest/rules", "backtest/rules", "complete"), ("ES/backtest/mlp", "backtest/mlp", "complete")]
    pairs = np.array([[3.0, 1.0], [1.0, 0.0], [1.0, -1.0], [0.0, 0.0]]).T
    return looks_of(own + by_hand, pairs, [0, 1, 4, 5])


def many(count: int) -> Looks:
    returns = np.random.default_rng(3).normal(0, 0.01, (64, count))
    return looks_of([("ES/lightgbm/3f", "lightgbm", "complete")] * count, returns)


def plainly(looks: Looks | None, inputs: ReportInputs, why: str = "") -> str:
    shown = Outline(trials.SECTION.html(replace(inputs, looks=looks, why_no_looks=why))).text
    return shown.replace("\N{NO-BREAK SPACE}", " ").replace("\N{WORD JOINER}", "")


def test_deflation_takes_off_what_the_best_of_all_trials_shows_by_luck(inputs):
    found = deflation(five(), inputs.results, inputs.summaries)
    assert list(found.index) == [FADES, RULES]
    assert found["expected_maximum_sharpe_ratio"].tolist() == pytest.approx(
        [BEST_OF_FIVE * math.sqrt(252)] * 2, abs=2e-3
    )
    fades = found.loc[FADES]
    assert fades["sharpe_ratio"] == inputs.summaries[FADES].loc["sharpe_ratio", "value"]
    assert fades["probabilistic_sharpe_ratio"] == inputs.summaries[FADES].loc["probabilistic_sharpe_ratio", "value"]
    returns = inputs.results[FADES].daily_returns
    assert fades["deflated_sharpe_ratio"] == pytest.approx(
        100 * deflated_sharpe_ratio(returns, trials=5, sharpe_variance=0.5, dependent=True), rel=1e-12
    )


def test_deflation_of_few_trades_is_missing_as_the_probabilistic_one_is(inputs):
    assert inputs.summaries[RULES].loc["trades", "value"] < 30
    rules = deflation(five(), inputs.results, inputs.summaries).loc[RULES]
    assert math.isnan(rules["probabilistic_sharpe_ratio"])
    assert math.isnan(rules["deflated_sharpe_ratio"])


@pytest.mark.parametrize("count", [0, 1])
def test_deflation_without_a_choice_is_the_probabilistic_sharpe_ratio(inputs, count):
    found = deflation(looks_of([("ES/strategy/3f", "strategy", "complete")] * count), inputs.results, inputs.summaries)
    assert found["expected_maximum_sharpe_ratio"].tolist() == [0.0, 0.0]
    assert found.loc[FADES, "deflated_sharpe_ratio"] == pytest.approx(
        found.loc[FADES, "probabilistic_sharpe_ratio"], rel=1e-12
    )


def test_section_says_the_count_the_luck_and_who_looked(inputs):
    text = plainly(five(), inputs)
    assert all(part in text for part in ("5 trials in 3 studies", "2024-01-02", "2024-04-30", "1 of them pruned"))
    assert "1 more failed" in text
    # √252 of what stands at the head of this file: 13.38.
    assert f"{BEST_OF_FIVE * math.sqrt(252):.2f}" in text
    assert re.search(r"ES/strategy/3f Parameters [^/]+ 2 1 1 2026-03-02 2026-03-02", text)
    assert re.search(r"ES/backtest/rules Backtests [^/]+: rule signals 1 0 0 2026-03-02", text)
    assert re.search(r"ES/backtest/mlp Backtests [^/]+: MLP 1 0 0", text)
    assert "at least two trials" in text
    assert "32 sessions" in text
    assert "nan" not in text.lower().split()


def test_section_says_the_probability_of_overfitting_of_the_trials(inputs):
    looks = many(12)
    assert f"{100 * looks.overfitting():.1f} % over 12 trials and the 64 sessions" in plainly(looks, inputs)


def test_section_without_a_trial_says_that_none_was_made(inputs):
    text = plainly(looks_of([]), inputs)
    assert "No trial recorded on ES" in text
    assert "deflated Sharpe ratio equals" in text
    assert "Complete Pruned Failed" not in text


def test_section_of_one_trial_says_that_nothing_was_chosen(inputs):
    assert "nothing was selected" in plainly(looks_of([("ES/backtest/rules", "backtest/rules", "complete")]), inputs)


def test_section_of_trials_without_returns_says_that_the_deflation_is_unknown(inputs):
    text = plainly(looks_of([("ES/mlp/3f", "mlp", "complete")] * 3), inputs)
    assert "Fewer than two" in text
    assert "Hyperparameters of MLP 3 0 0" in text


def test_section_of_a_ledger_that_does_not_answer_says_so_and_why(inputs):
    text = plainly(None, inputs, "the ledger <b> of trials does not answer")
    assert "unknown" in text
    assert "the ledger <b> of trials" in text
    assert "<b>" not in trials.SECTION.html(replace(inputs, why_no_looks="<b>"))


def test_section_sums_up_the_studies_it_has_no_room_for(inputs):
    looks = looks_of([(f"ES/strategy@mlp/{number:02d}", "strategy@mlp", "complete") for number in range(24)])
    text = plainly(looks, inputs)
    assert re.search(r"ES/strategy@mlp/23 Parameters [^/]+ scores of MLP 1 0 0", text)
    assert "ES/strategy@mlp/03" not in text
    assert "4 more studies 4 0 0 2026-03-02 2026-03-02" in text


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("strategy+lightgbm", "Parameters of the strategy and hyperparameters of LightGBM together"),
        ("mlp nested", "Hyperparameters of MLP, inside a fold"),
        ("backtest/lightgbm_r", "Backtests of settings changed by hand: LightGBM on R"),
    ],
)
def test_section_says_what_a_study_was_of(inputs, target, kind):
    assert f"ES/{target}/3f {kind} 1 0 0" in plainly(looks_of([(f"ES/{target}/3f", target, "complete")]), inputs)


def test_figure_holds_every_trial_the_expected_best_and_the_backtests(inputs):
    looks = many(40)
    figure = looks_figure(inputs, looks)
    assert sum(figure.data[0].y) == 40
    assert [line.name for line in figure.data[1:]] == ["best expected by luck", FADES, RULES]
    assert figure.data[1].x[0] == pytest.approx(looks.expected_best * math.sqrt(252), abs=1e-4)
    assert figure.data[2].x[0] == pytest.approx(inputs.summaries[FADES].loc["sharpe_ratio", "value"], abs=1e-4)
    low, high = figure.layout.xaxis.range
    assert all(low < line.x[0] < high for line in figure.data[1:])
    assert looks_figure(inputs, many(9)) is None
    simulated = looks_figure(replace(inputs, simulated=True), looks)
    assert [note.text for note in simulated.layout.annotations] == ["simulated market"]


def test_page_with_looks_has_their_section_and_deflates_the_verdict(inputs):
    page = build_report(replace(inputs, looks=five()))
    shown = Outline(page)
    assert "#looks" in shown.links
    text = shown.text.replace("\N{NO-BREAK SPACE}", " ")
    deflated = deflation(five(), inputs.results, inputs.summaries).loc[FADES, "deflated_sharpe_ratio"]
    chance = inputs.summaries[FADES].loc["probabilistic_sharpe_ratio", "value"]
    assert f"{format_value(chance, '%')} {format_value(deflated, '%')} {len(inputs.results[FADES].trades)} " in text
    assert "5 trials recorded on this market" in text
    assert build_report(replace(inputs, looks=five())) == page


def test_page_whose_count_is_unknown_is_whole(inputs):
    shown = Outline(build_report(replace(inputs, why_no_looks="the ledger does not answer")))
    assert "#looks" in shown.links
    assert "the ledger" in shown.text
    assert "Deflated: " not in shown.text


def test_verdict_of_an_edge_that_luck_explains_has_no_colour(inputs):
    table = inputs.summaries[FADES].copy()
    table.loc["sharpe_ratio", ["value", "low", "high"]] = [1.0, 0.2, 1.8]
    lucky = replace(inputs, summaries={FADES: table, RULES: inputs.summaries[RULES]})

    def colors(page: str) -> list[str]:
        return re.findall(r'class="says" style="color:(#\w+)"', page)

    assert colors(build_report(lucky)) == [GOOD]
    assert colors(build_report(replace(lucky, looks=five()))) == []


def test_model_section_says_how_a_family_was_tuned(inputs):
    found = with_models(inputs, "constant", "mlp")
    tuned = replace(found.models["mlp"], tuned="tuned inside each fold: 20 trials by log_loss")
    text = Outline(models.SECTION.html(replace(found, models={**found.models, "mlp": tuned}))).text
    assert text.count("20 trials by log_loss") == 1
