import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.performance import (
    NO_EDGE_BY_ITSELF,
    compare_models,
    format_value,
    judge_model,
    model_summary,
    model_verdict,
)
from pipeline.reports import ModelFindings, ReportInputs, build_report
from pipeline.reports.model_names import family_name
from pipeline.reports.models.thresholds import threshold_figure
from pipeline.reports.sections.models import SECTION, overall_verdict
from pipeline.reports.theme import BAD, FADED, GOOD, STRATEGY_COLORS
from tests.reports.chain import RULES, report_inputs, scored_candidates, walk, with_eight_strategies, with_models
from tests.reports.outline import Outline

FAMILIES = ("constant", "logistic", "lightgbm", "lightgbm_r", "mlp")
CHARTS = ["calibration-chart", "threshold-chart", "folds-chart", "scores-chart", "importance-chart-0"]
KEPT = "\N{NO-BREAK SPACE}"


@pytest.fixture(scope="module")
def bare(es) -> ReportInputs:
    return report_inputs(walk(es), es)


@pytest.fixture(scope="module")
def inputs(bare) -> ReportInputs:
    return with_models(bare, *FAMILIES)


@pytest.fixture(scope="module")
def section(inputs) -> str:
    return SECTION.html(inputs)


@pytest.fixture(scope="module")
def outline(section) -> Outline:
    return Outline(section)


def plainly(text: str) -> str:
    return text.replace(KEPT, " ").replace("\N{WORD JOINER}", "")


def test_model_section_holds_every_chart(outline):
    assert set(CHARTS) <= set(outline.identifiers)
    assert len(set(outline.identifiers)) == len(outline.identifiers)


def test_model_section_says_the_verdict_of_every_model(inputs, outline):
    shown_text = plainly(outline.text)
    for family, findings in inputs.models.items():
        assert model_verdict(findings.judgement.summary, family_name(family)).split(". ")[0] in shown_text


def test_model_section_sets_models_beside_every_trade_and_the_rules(inputs, outline):
    scored = inputs.models["mlp"].judgement.scored
    rule = inputs.signals.loc[scored.index, "rule_signal"]
    assert 0 < rule.sum() < len(rule)
    shown_text = plainly(outline.text)
    for name, part in (("Every trade", scored), ("Rule signals", scored[rule])):
        assert f"{name} {len(part):,} of {len(scored):,} {100 * part['label'].mean():.1f} %" in shown_text
    assert f"{format_value(scored['net'].sum(), '$', digits=0)}" in shown_text


def test_model_section_of_candidates_other_than_the_reports_leaves_the_rules_out(bare):
    scored = scored_candidates(bare).set_axis(np.arange(10_000, 10_000 + len(bare.signals)))
    shown = Outline(SECTION.html(replace(bare, models={"mlp": ModelFindings(judge_model(scored))})))
    assert "Every trade" in shown.text
    assert "Rule signals" not in shown.text


def test_model_section_compares_with_both_baselines(outline):
    said = plainly(outline.text)
    for pair in ("Logistic regression minus constant", "MLP minus constant", "MLP minus logistic regression"):
        assert pair in said
    assert "Constant less" not in said


def test_model_section_takes_differences_that_were_worked_out_before(bare, inputs):
    judged = {family: each.judgement.scored for family, each in inputs.models.items()}
    stored = compare_models({family: judged[family] for family in ("constant", "logistic", "mlp")})
    shown = plainly(Outline(SECTION.html(replace(with_models(bare, "mlp"), model_differences=stored))).text)
    assert "MLP minus constant" in shown
    assert "Its probabilities are" in shown


def test_model_section_without_a_baseline_says_what_to_add(bare):
    shown = Outline(SECTION.html(with_models(bare, "mlp")))
    assert "add constant and logistic" in shown.text
    assert "Its probabilities are" not in shown.text


def test_model_section_of_an_edge_is_green_and_the_wrong_way_round_red(bare):
    good = SECTION.html(with_models(bare, "mlp", edge=1.5))
    assert f'class="verdict" style="border-color:{GOOD}"' in good
    assert "Some evidence that MLP" in good
    assert f'class="verdict" style="border-color:{BAD}"' in SECTION.html(with_models(bare, "mlp", edge=-1.5))


def test_model_section_of_separated_winners_without_a_profit_is_not_green(bare):
    found = with_models(bare, "mlp", edge=1.5)
    scored = found.models["mlp"].judgement.scored
    # Winners make no more than they cost.
    poor = judge_model(scored.assign(net=scored["net"].where(scored["label"] == 0, 0.01)))
    section = SECTION.html(replace(found, models={"mlp": ModelFindings(poor)}))
    assert "Some evidence that MLP" in section
    assert NO_EDGE_BY_ITSELF in section
    assert f'class="verdict" style="border-color:{GOOD}"' not in section


def test_model_section_shows_when_each_fold_learned_and_scored(inputs, outline):
    scored = inputs.models["mlp"].judgement.scored
    part = scored[scored["fold"] == 2]
    span = f"{part['session'].min():%Y-%m-%d} to {part['session'].max():%Y-%m-%d}"
    share = f"{100 * part['label'].mean():.1f} %"
    assert f"Fold 2 2024-03-05 {span} {len(part)} {share}" in outline.text


def test_model_section_without_folds_or_importance_is_whole(bare):
    shown = Outline(SECTION.html(replace(bare, models={"mlp": ModelFindings(judge_model(scored_candidates(bare)))})))
    assert "Learned from" not in shown.text
    assert "What the models look at" not in shown.text
    assert "scores-chart" in shown.identifiers


def test_model_section_of_a_constant_alone_draws_no_empty_charts(bare):
    shown = Outline(SECTION.html(with_models(bare, "constant")))
    assert "the same score" in shown.text
    assert "calibration-chart" in shown.identifiers
    assert not {"threshold-chart", "scores-chart", "importance-chart-0"} & set(shown.identifiers)


def test_model_section_says_that_a_model_has_no_score(bare):
    nothing = judge_model(scored_candidates(bare).iloc[:0])
    shown = Outline(SECTION.html(replace(bare, models={"lstm": ModelFindings(nothing)})))
    assert shown.text.startswith("LSTM: no trade")


@pytest.mark.parametrize("rows", [1, 29])
def test_model_section_of_few_trades_judges_nothing(bare, rows):
    scored = scored_candidates(bare).iloc[:rows]
    section = SECTION.html(replace(bare, models={"mlp": ModelFindings(judge_model(scored))}))
    shown = Outline(section)
    assert f"Too few trades to judge MLP ({rows})" in shown.text
    assert f'class="verdict" style="border-color:{FADED}"' in section
    assert "nan" not in shown.text.lower().split()
    assert "NaN" not in "".join(shown.scripts)


def test_model_section_of_one_class_is_whole(bare):
    scored = scored_candidates(bare).assign(label=0.0, net=-250.0, r_multiple=-1.0)
    section = SECTION.html(replace(bare, models={"mlp": ModelFindings(judge_model(scored))}))
    shown = Outline(section)
    assert "can't be said" in shown.text
    assert "NaN" not in "".join(shown.scripts)


def test_model_section_of_a_simulated_market_says_so(bare):
    shown = Outline(SECTION.html(with_models(replace(bare, simulated=True), "mlp")))
    assert "On a simulated market: " in shown.text
    charts = [script for script in shown.scripts if "Plotly.newPlot" in script]
    assert all('"text":"simulated market"' in script for script in charts)


def test_model_section_escapes_what_comes_from_data(bare):
    hostile = "<b>x</b>"
    found = with_models(bare, hostile)
    named = found.models[hostile].importance.replace("feature_0", "</script><script>alert(1)</script>")
    section = SECTION.html(replace(found, models={hostile: replace(found.models[hostile], importance=named)}))
    assert hostile not in section
    assert "<script>alert" not in section
    assert hostile in Outline(section).text


def test_model_section_of_the_same_inputs_has_the_same_bytes(inputs, section):
    assert SECTION.html(inputs) == section


def _summary(low: float, high: float) -> pd.DataFrame:
    return pd.DataFrame({"low": [low], "high": [high]}, index=["auc_within_folds"])


@pytest.mark.parametrize(
    ("models", "expected_text"),
    [
        (
            {"mlp": (0.45, 0.55)},
            "MLP shows no evidence of telling winners from losers",
        ),
        (
            {"constant": (np.nan, np.nan), "logistic": (0.51, 0.6), "mlp": (0.45, 0.55), "lstm": (0.4, 0.5)},
            "None of the 2 models, baselines aside, shows evidence of telling winners from losers",
        ),
        (
            {"mlp": (0.45, 0.55), "lstm": (0.51, 0.6), "attention": (0.4, 0.6), "lightgbm": (np.nan, np.nan)},
            "LSTM shows some evidence of telling winners from losers; of 3 models that know nothing, at least one does "
            f"in up to 7 cases of 100. {NO_EDGE_BY_ITSELF}",
        ),
        ({"mlp": (0.51, 0.6)}, f"MLP shows some evidence of telling winners from losers. {NO_EDGE_BY_ITSELF}"),
        ({"mlp": (np.nan, np.nan)}, "No model can be judged"),
    ],
)
def test_overall_verdict_says_what_the_intervals_of_all_models_allow(models, expected_text):
    assert overall_verdict({family: _summary(*ends) for family, ends in models.items()}).startswith(expected_text)


def test_model_findings_of_stored_predictions_judge_the_out_of_fold_scores(bare):
    scored = scored_candidates(bare)
    outcomes = scored.drop(columns=["fold", "score", "threshold"])
    predictions = scored[["fold", "score", "threshold"]].assign(origin="out_of_fold")
    predictions["trained_until"] = scored["start"].groupby(scored["fold"]).transform("min") - pd.Timedelta("1D")
    predictions.loc[predictions.index[:20], ["score", "origin"]] = [np.nan, ""]
    found = ModelFindings.of(predictions, outcomes, seed=4)
    pd.testing.assert_frame_equal(found.judgement.summary, model_summary(found.judgement.scored, seed=4))
    assert len(found.judgement.scored) == len(scored) - 20
    until = found.trained_until[2]
    assert until == scored.loc[scored["fold"] == 2, "start"].min() - pd.Timedelta("1D")
    shown = Outline(SECTION.html(replace(bare, models={"mlp": found})))
    assert f"Fold 2 {until:%Y-%m-%d} " in shown.text


def test_threshold_figure_holds_each_value_back_to_the_score_before(inputs):
    model = next(model for model in inputs.shown_models if model.family == "mlp")
    figure = threshold_figure(model, "$", simulated=False)
    # A trade is taken at its own score, so what a threshold gives holds down to the next score below it.
    assert figure.data[1].line.shape == "vh"
    assert figure.data[1].y[0] == inputs.models["mlp"].judgement.scored["net"].sum()


def test_model_colors_are_those_of_the_backtests_and_else_free_ones(inputs):
    def colors(strategies: dict[str, str]) -> dict[str, str]:
        models = {name: replace(inputs.models["mlp"], strategy=strategy) for name, strategy in strategies.items()}
        return {model.family: model.color for model in replace(inputs, models=models).shown_models}

    found = colors({"mlp": RULES, "constant": "", "logistic": ""})
    assert list(found.values()) == [STRATEGY_COLORS[1], *STRATEGY_COLORS[2:4]]
    many = colors({str(number): "" for number in range(12)})
    assert [many["9"], many["10"], many["11"]] == [STRATEGY_COLORS[11], FADED, FADED]


# Sight without middle cones (Machado, Oliveira & Fernandes 2009), of linear sRGB.
DEUTERANOPIA = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])


def _lab(color: str, sight: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of an sRGB colour as seen."""
    rgb = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.clip(sight @ np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92), 0, 1)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(matrix @ linear / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize(("sight", "least"), [(np.eye(3), 35), (DEUTERANOPIA, 14)], ids=["usual", "no middle cones"])
def test_strategy_colors_are_twelve_that_differ_from_each_other_and_from_white(sight, least):
    seen = [_lab(color, sight) for color in (*STRATEGY_COLORS, "#ffffff")]
    apart = [np.linalg.norm(one - other) for place, one in enumerate(seen) for other in seen[:place]]
    assert len(seen) == 13
    assert min(apart) > least


@pytest.fixture(scope="module")
def page(inputs) -> str:
    return build_report(with_eight_strategies(inputs))


def test_page_with_models_has_their_section_after_the_returns(page):
    links = Outline(page).links
    assert links.index("#models") == links.index("#returns") + 1


@pytest.mark.parametrize("width", [1280, 400])
def test_page_in_a_browser_runs_without_an_error_and_never_scrolls_sideways(page, tmp_path, width):
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine; install it to see the page in a browser")
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        shown = browser.new_page(viewport={"width": width, "height": 900})
        shown.on("pageerror", lambda error: errors.append(str(error)))
        shown.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        shown.goto(path.as_uri())
        shown.wait_for_selector("#scores-chart .main-svg")
        shown.wait_for_selector(".session .main-svg")
        assert shown.evaluate("document.documentElement.scrollWidth") == width
        drawn = shown.evaluate("[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('.main-svg'))")
        browser.close()
    assert errors == []
    assert drawn
