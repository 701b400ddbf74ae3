"""Views of an experiment's runs for MLflow's page: which runs, in which columns, and the charts that come first.

MLflow keeps a view that was saved in its page as a tag of the experiment, ``mlflow.sharedViewState.<id>``, and opens it
by ``viewStateShareKey=<id>`` in the address. Without one its list shows no figure at all, and its charts are some
four hundred in the order of the alphabet.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["BACKTESTS", "HEADLINE_PREFIX", "STUDIES", "TRAININGS", "RunsView", "runs_page", "save_views"]

HEADLINE_PREFIX = "headline."
"""Of the tags that hold a run's headline figures as text, with their intervals."""
SHARED_VIEW_PREFIX = "mlflow.sharedViewState."
CHART_SECTION = "headline"


@dataclass(frozen=True)
class RunsView:
    """A view of an experiment's runs.

    Attributes
    ----------
    key, name
        In the address, and in MLflow's menu of views.
    kind
        The tag ``vpoc.kind`` of the runs that it shows.
    columns
        Columns, as MLflow names them.
    charts
        Metrics whose charts come first.
    width
        Of a column, in pixels; by default as wide as a figure with its interval.
    """

    key: str
    name: str
    kind: str
    columns: tuple[str, ...]
    charts: tuple[str, ...] = ()
    width: int = 210

    def state(self) -> dict[str, Any]:
        """Return what MLflow keeps of the view, by the names of its page's own state."""
        charts = [
            {
                "uuid": f"{CHART_SECTION}-{metric}",
                "type": "BAR",
                "runsCountToCompare": 10,
                "metricSectionId": CHART_SECTION,
                "deleted": False,
                "isGenerated": True,
                "metricKey": metric,
                "displayName": metric,
            }
            for metric in self.charts
        ]
        section = {"uuid": CHART_SECTION, "name": "Headline figures", "display": True, "isReordered": False}
        section |= {"deleted": False, "isGenerated": False}
        return {
            "searchFilter": f"tags.`vpoc.kind` = '{self.kind}'",
            "orderByKey": "attributes.start_time",
            "orderByAsc": False,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "modelVersionFilter": "All Runs",
            "datasetsFilter": [],
            "selectedColumns": list(self.columns),
            "columnOrder": list(self.columns),
            "columnWidths": dict.fromkeys(self.columns, self.width),
            **({"compareRunCharts": charts, "compareRunSections": [section]} if charts else {}),
        }


def _headlines(*names: str) -> tuple[str, ...]:
    return tuple(f"tags.`{HEADLINE_PREFIX}{name}`" for name in names)


TRAININGS = RunsView(
    "trainings",
    "Trainings",
    "training",
    _headlines("auc_within_folds", "sharpe_ratio", "pnl", "trades", "log_loss", "precision"),
    ("auc_within_folds", "sharpe_ratio", "pnl", "log_loss", "trades", "precision"),
)
BACKTESTS = RunsView(
    "backtests",
    "Backtests",
    "research",
    (*_headlines("rules", "models", "fades"), "metrics.`trials`", "metrics.`probability_of_backtest_overfitting`"),
    ("rules.sharpe_ratio", "rules.pnl", "rules.trades", "fades.sharpe_ratio", "fades.pnl", "fades.trades"),
    width=310,
)
STUDIES = RunsView(
    "studies",
    "Studies",
    "study",
    (
        "tags.`vpoc.target`",
        "tags.`vpoc.best_values`",
        "metrics.`trials_complete`",
        "metrics.`deflated_sharpe_ratio`",
        "metrics.`probability_of_backtest_overfitting`",
    ),
)


def save_views(client: Any, experiment: Any, views: Iterable[RunsView]) -> None:
    """Save views with an experiment, each unless it is there as it should be."""
    for view in views:
        tag = f"{SHARED_VIEW_PREFIX}{view.key}"
        made = experiment.creation_time or 0  # and no other time, so that it is written once
        kept = json.dumps(
            {"name": view.name, "createdAt": made, "updatedAt": made, "state": json.dumps(view.state())}, sort_keys=True
        )
        if experiment.tags.get(tag) != kept:
            client.set_experiment_tag(experiment.experiment_id, tag, kept)


def runs_page(experiment_id: str | None = None, view: RunsView = TRAININGS) -> str:
    """Return the part of an address, after the server's, that opens a view of an experiment's runs.

    MLflow opens on its pages for language models otherwise, where none of these runs shows.
    """
    if experiment_id is None:
        return "#/experiments?workflowType=machine_learning"
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={view.key}"
