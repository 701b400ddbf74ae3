"""The trials recorded on the market, and what they leave of the results shown."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from pipeline.performance import format_value
from pipeline.reports.charts import chart, restyle
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import heads, kept, note, numbers, plain, row, table
from pipeline.reports.model_names import family_name
from pipeline.reports.section import Section
from pipeline.reports.theme import FADED, INK
from pipeline.tuning.looks import Looks

__all__ = ["SECTION", "looks_figure"]

_MOST_STUDIES = 20
_FEWEST_DRAWN = 10  # Sharpe ratios, below which a histogram shows nothing that the table does not
_MOST_BINS = 30
_WHY = (
    "Try often enough and something will look good. So every trial of every study on this market and period is "
    "counted, and so is every backtest of settings changed by hand; the same settings on more recent data are not "
    "counted again."
)
_DEFLATED = (
    "The verdict gives two probabilities of each backtest. The probabilistic Sharpe ratio is the probability that the "
    "true Sharpe ratio lies above 0, had this been the only trial. The deflated one allows for the backtest being the "
    "best of all trials: what the best of so many worthless ones shows by luck is subtracted first. From about "
    "95 % on, luck and selection are a poor explanation."
)
_ASIDES = (
    "Trials that resemble each other are fewer in effect, so the deflation is too strong rather than too weak; trials "
    "that are not in this ledger (changes to the code, studies in another database) are not allowed for."
)


def _html(inputs: ReportInputs) -> str:
    looks = inputs.looks
    if looks is not None:
        return "\n".join(_counted(inputs, looks))
    if not inputs.why_no_looks:
        return ""
    return (
        note("The number of trials recorded on this market is unknown.", "overall")
        + note(plain(inputs.why_no_looks))
        + note(
            "Every interval and probability on this page holds for a single trial; each further one lowers what it is "
            "worth."
        )
    )


def looks_figure(inputs: ReportInputs, looks: Looks) -> go.Figure | None:
    """Draw how the trials' Sharpe ratios spread, with the backtests shown; None where there are too few trials."""
    a_year = math.sqrt(inputs.instrument.periods_per_year)
    found = a_year * looks.trials["sharpe"].dropna().to_numpy()
    if len(found) < _FEWEST_DRAWN:
        return None
    counts, edges = np.histogram(found, bins=min(_MOST_BINS, max(8, round(math.sqrt(2 * len(found))))))
    top = 1.08 * counts.max()
    figure = go.Figure(
        go.Bar(
            x=((edges[1:] + edges[:-1]) / 2).round(4),
            y=counts,
            width=np.diff(edges).round(5),
            name="trials",
            marker={"color": FADED, "line": {"color": "#fff", "width": 1}},
            hovertemplate="%{y} trials at about %{x:.2f}<extra></extra>",
        )
    )
    expected = looks.expected_best * a_year
    lines = [("best expected by luck", expected, {"color": INK, "width": 2.2, "dash": "dot"})]
    for name, summary in inputs.summaries.items():
        lines.append((plain(name), float(summary.loc["sharpe_ratio", "value"]), inputs.line(name, 2.2)))
    for name, value, line in lines:
        if math.isfinite(value):
            figure.add_trace(
                go.Scatter(
                    x=[round(value, 4)] * 2,
                    y=[0, round(top, 2)],
                    mode="lines",
                    name=name,
                    line=line,
                    hovertemplate=f"{name}: %{{x:.2f}}<extra></extra>",
                )
            )
    shown = [edges[0], edges[-1], *(value for _, value, _ in lines if math.isfinite(value))]
    margin = 0.03 * (max(shown) - min(shown))
    figure.update_xaxes(
        title={"text": "Sharpe ratio"}, range=[round(min(shown) - margin, 4), round(max(shown) + margin, 4)]
    )
    figure.update_yaxes(title={"text": "Trials"}, rangemode="tozero")
    return restyle(figure, height=330, simulated=inputs.simulated)


def _counted(inputs: ReportInputs, looks: Looks) -> Iterator[str]:
    yield note(plain(looks.sentence()), "overall")
    yield note(_WHY)
    yield f"<p>{kept(_luck(inputs, looks))}</p>"
    yield note(kept(f"{_DEFLATED} {_ASIDES}"))
    yield "<h3>Probability of backtest overfitting</h3>"
    yield f"<p>{kept(_overfitting(looks))}</p>"
    figure = looks_figure(inputs, looks)
    if figure is not None:
        yield "<h3>Sharpe ratios of the trials</h3>" + note("Lines are the backtests on this page.")
        yield chart(figure, "looks-chart", long_legend=True)
    if len(looks.trials):
        yield "<h3>Studies</h3>"
        yield _study_table(looks)


def _luck(inputs: ReportInputs, looks: Looks) -> str:
    """Say what luck does in so many trials, in a sentence or two."""
    if not looks.count:
        return "So nothing was selected, and the deflated Sharpe ratio equals the probabilistic one."
    if looks.count == 1:
        return "With one trial nothing was selected: the deflated Sharpe ratio equals the probabilistic one."
    expected = looks.expected_best * math.sqrt(inputs.instrument.periods_per_year)
    if math.isnan(expected):
        return (
            "Fewer than two of these trials have a Sharpe ratio, so how far luck carries the best of them is unknown, "
            "and so is the deflated Sharpe ratio. It is below the probabilistic one."
        )
    return (
        f"If none of these {looks.count:,} trials had an edge, the best of them would still be expected to show a "
        f"Sharpe ratio of {format_value(expected, '')}."
    )


def _overfitting(looks: Looks) -> str:
    chance = looks.overfitting()
    sessions, trials = looks.trial_returns.shape
    if math.isnan(chance):
        return "It takes at least two trials whose returns are known over the same 32 sessions; there are not so many."
    return (
        f"{format_value(100 * chance, '%')} over {trials:,} trials and the {sessions:,} sessions they share: how often "
        "the trial that is best in one half of the sessions is no better than the median one in the other half. Where "
        "only luck separates the trials it is about 50 %; near 0 %, the best stays best. It judges the selection, not "
        "the strategy selected."
    )


def _study_table(looks: Looks) -> str:
    studies = looks.by_study().sort_values(["until", "since"], ascending=False, kind="stable")
    body = []
    for name, study in studies.iloc[:_MOST_STUDIES].iterrows():
        body.append(_study_row(str(name), _looked(str(study["target"])), study.to_dict()))
    rest = studies.iloc[_MOST_STUDIES:]
    if len(rest):
        summed = {state: rest[state].sum() for state in ("complete", "pruned", "failed")}
        summed |= {"since": rest["since"].min(), "until": rest["until"].max()}
        body.append(_study_row(f"{len(rest):,} more studies", "", summed))
    head = heads("Study", "Complete", "Pruned", "Failed", "Since", "Until")
    return table(head, body, "The latest first; dates are UTC. Failed trials showed nothing and don't count.")


def _study_row(name: str, what: str, study: Mapping[Any, Any]) -> str:
    beside = f'<div class="note">{plain(what)}</div>' if what else ""
    counts = (f"{int(study[state]):,}" for state in ("complete", "pruned", "failed"))
    dates = (f"{study[when]:%Y-%m-%d}" for when in ("since", "until"))
    return row(plain(name) + beside, numbers(*counts, *dates), head="long")


def _looked(target: str) -> str:
    """Name what was tried."""
    kind, _, of = target.partition("/")
    if kind == "backtest" and of:
        return f"Backtests of settings changed by hand: {'rule signals' if of == 'rules' else family_name(of)}"
    strategy, scored, family = target.partition("@")
    if scored:
        return f"Parameters of the {strategy}, traded by the scores of {family_name(family)}"
    strategy, joint, family = target.partition("+")
    if joint:
        return f"Parameters of the {strategy} and hyperparameters of {family_name(family)} together"
    family, inside, _ = target.partition(" nested")
    if inside:
        return f"Hyperparameters of {family_name(family)}, inside a fold"
    return "Parameters of the strategy" if target == "strategy" else f"Hyperparameters of {family_name(target)}"


SECTION = Section(60, "looks", "Trials on this market", _html)
