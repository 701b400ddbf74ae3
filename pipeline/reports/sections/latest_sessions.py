"""The last sessions with everything their profiles say: developing levels, naked VPOCs, the composite."""

from collections.abc import Iterator

import pandas as pd

from pipeline.pictures import profile_figure
from pipeline.profiles.aligned import contract_runs
from pipeline.reports.charts import chart, restyle
from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import note, plain
from pipeline.reports.section import Section

__all__ = ["SECTION"]

_SESSIONS = 10
_COMPOSITE = 20
_TIME = "TPO profile (one letter for each time bracket that touched a row, O at the open and # at the close)"
_NOTE = (
    "Red is the developing VPOC, blue the developing value area, each level drawn from the close of the bar that "
    "made it. Dashed lines are naked VPOCs, not traded since their session: they end with a dot at the first trade "
    "there, or run on to the right edge with price and age in sessions. The dotted bracket is the initial balance, the "
    "first hour of regular hours. Beside the bars are the {profile} with its nodes and a composite of the contract's "
    "latest sessions. Nothing here uses anything later than the last bar shown."
)


def _html(inputs: ReportInputs) -> str:
    if inputs.profiles.empty:
        return note("No session with volume.")
    return "\n".join(_charts(inputs))


def _charts(inputs: ReportInputs) -> Iterator[str]:
    profiles = inputs.profiles
    runs = contract_runs(profiles)
    recent = profiles.index[runs == runs[-1]][-_SESSIONS:]
    profile = _TIME if inputs.settings.allocation == "tpo" else "volume profile"
    yield note(_NOTE.format(profile=profile))
    yield f"<h3>{recent[-1]:%A %Y-%m-%d}</h3>"
    yield _chart(inputs, len(recent) - 1, recent, "session-chart")
    if len(recent) > 1:
        yield f"<h3>The latest {len(recent)} sessions{_of_contract(inputs)}</h3>"
        yield _chart(inputs, 0, recent, "sessions-chart")


def _of_contract(inputs: ReportInputs) -> str:
    return f" of {plain(inputs.profiles['contract'].iloc[-1])}" if "contract" in inputs.profiles else ""


def _chart(inputs: ReportInputs, first: int, sessions: pd.DatetimeIndex, name: str) -> str:
    settings = inputs.settings
    figure = profile_figure(
        inputs.bars,
        inputs.instrument,
        sessions[first],
        sessions[-1],
        composite=_COMPOSITE,
        **settings.profile(inputs.instrument).options,
    )
    height, margin, legend = figure.layout.height, figure.layout.margin, figure.layout.legend
    restyle(figure, height=height, simulated=inputs.simulated)
    figure.update_layout(title=None, margin=margin, legend=legend)
    figure.update_annotations(font={"size": 11})
    return chart(figure, name, wide=True, long_legend=True)


SECTION = Section(90, "sessions", "Latest sessions", _html)
