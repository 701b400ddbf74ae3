"""A run of the chain on bars cut off, to its final models.

In a fresh process (:mod:`pipeline.fresh_processes`), which is handed the bars up to the cut and nothing else: what
another process remembers of later bars, in a module-level cache say, is not there.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from pipeline.chain import make_chain
from pipeline.datasets import Dataset
from pipeline.environment import POSTGRES_VARIABLE
from pipeline.errors import DataError, PipelineError
from pipeline.fresh_processes import FreshProcess
from pipeline.home import Home, expanded, vpoc_home
from pipeline.learning.compute import Compute
from pipeline.learning.models import Model
from pipeline.learning.models.registry import load_model
from pipeline.leftovers import temporary_folder
from pipeline.market import Instrument
from pipeline.modelling import final_model
from pipeline.settings import Settings, SimulatorSettings
from pipeline.studies import nested_model
from pipeline.tuning.database import OPTUNA_VARIABLE, tuning_url
from pipeline.tuning.trial_store import open_trials

__all__ = ["CutRun", "FinalModel", "run_on_cut_bars", "running_on_cut_bars"]

_TASK, _DONE = "task.json", "done.json"
_SCORES = "scores.parquet"
_BARS, _VIX = "bars.parquet", "vix.parquet"
_FRAMES = ("signals", "features", "sequences", "training_set")
# A study is repeated in a database of its own, so that no look counts twice.
_DATABASES = (OPTUNA_VARIABLE, POSTGRES_VARIABLE)
_FILES = ("VPOC_INSTRUMENTS", "VPOC_CALENDARS")


@dataclass(frozen=True)
class FinalModel:
    """A family's final model of the cut bars.

    Attributes
    ----------
    model
        As it was saved.
    threshold
        Its threshold.
    scores
        What it says of every candidate of the cut bars, as the chain there hands it to it.
    """

    model: Model
    threshold: float
    scores: pd.Series


@dataclass(frozen=True)
class CutRun:
    """Everything the chain made of the bars up to a cut-off.

    Attributes
    ----------
    signals, features, sequences, training_set
        As of :class:`pipeline.chain.Chain`, the second as models get them: one row per candidate.
    finals
        By family.
    """

    signals: pd.DataFrame
    features: pd.DataFrame
    sequences: pd.DataFrame
    training_set: pd.DataFrame
    finals: Mapping[str, FinalModel]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what :func:`run_on_cut_bars` had made in a folder."""
        result = json.loads((folder / _DONE).read_text(encoding="utf-8"))
        finals = {
            family: FinalModel(
                load_model(folder / family), float(threshold), pd.read_parquet(folder / family / _SCORES)["score"]
            )
            for family, threshold in result["thresholds"].items()
        }
        return cls(**{name: pd.read_parquet(folder / f"{name}.parquet") for name in _FRAMES}, finals=finals)


@contextmanager
def running_on_cut_bars(
    bars: pd.DataFrame,
    instrument: Instrument,
    settings: Settings,
    families: Iterable[str],
    until: pd.Timestamp,
    *,
    vix: pd.DataFrame | None = None,
    compute: Compute | None = None,
) -> Iterator[Callable[[], CutRun]]:
    """Run the chain in a fresh process, on what is handed over alone, beside what this process does meanwhile.

    Parameters
    ----------
    bars
        Those that open before ``until``.
    instrument, settings
        As for the whole run.
    families
        Whose final models to fit.
    until
        When the bars are cut off: up to then they are complete.
    vix
        Rows known by then.
    compute
        Where to train; the processor by default.

    Yields
    ------
    Callable
        Waits for the run and returns it; a DataError with the run's own message if it failed.
    """
    with temporary_folder(vpoc_home().root, "cut") as folder:
        bars.to_parquet(folder / _BARS)
        if vix is not None:
            vix.to_parquet(folder / _VIX)
        task = {
            "instrument": instrument.model_dump(mode="json"),
            "settings": settings.model_dump(mode="json"),
            "families": list(families),
            "until": until.isoformat(),
            "compute": asdict(compute or Compute()),
        }
        (folder / _TASK).write_text(json.dumps(task), encoding="utf-8")
        environment = {key: value for key, value in os.environ.items() if key not in _DATABASES}
        # The process works in another folder.
        environment |= {key: str(expanded(environment[key]).absolute()) for key in _FILES if environment.get(key)}
        process = FreshProcess(_answer, folder, environment=environment)

        def result() -> CutRun:
            try:
                process.result()
            except Exception as error:  # whatever stops the chain there, it did not here
                message = str(error) if isinstance(error, PipelineError) else f"{type(error).__name__}: {error}"
                raise DataError(
                    f"the chain failed on bars cut off at {until}, although it ran on all bars: {message}"
                ) from error
            return CutRun.read(folder)

        try:
            yield result
        finally:
            process.close()


def run_on_cut_bars(*given: Any, **options: Any) -> CutRun:
    """Run the chain as :func:`running_on_cut_bars` does, and wait for it."""
    with running_on_cut_bars(*given, **options) as result:
        return result()


def _answer(folder: Path) -> None:
    """Do in this process what :func:`running_on_cut_bars` wrote into the folder."""
    task = json.loads((folder / _TASK).read_text(encoding="utf-8"))
    instrument, settings = Instrument(**task["instrument"]), Settings(**task["settings"])
    compute = Compute(**task["compute"] | {"devices": tuple(task["compute"]["devices"])})
    chain = make_chain(
        pd.read_parquet(folder / _BARS),
        instrument,
        settings,
        vix=pd.read_parquet(folder / _VIX) if (folder / _VIX).exists() else None,
        known_until=pd.Timestamp(task["until"]),
    )
    inputs = chain.learning_inputs(instrument.symbol)
    frames = (chain.signals, inputs.features, inputs.sequences, inputs.training_set)
    for name, frame in zip(_FRAMES, frames, strict=True):
        frame.to_parquet(folder / f"{name}.parquet")
    thresholds = {}
    for family in task["families"]:
        make = _tuned(family, instrument, settings, folder)
        final = final_model(inputs, settings.models, family, seed=settings.seed, compute=compute, make=make)
        final.model.save(folder / family)
        given = inputs.scored(final.model.inputs)
        scores = pd.Series(final.model.predict_proba(given), given.index, name="score")
        scores.to_frame().to_parquet(folder / family / _SCORES)
        thresholds[family] = final.threshold
    (folder / _DONE).write_text(json.dumps({"thresholds": thresholds}), encoding="utf-8")


def _tuned(family: str, instrument: Instrument, settings: Settings, folder: Path) -> Callable[[], Model] | None:
    """Makes the model of a family that is tuned inside each fold; None for any other."""
    if family not in settings.tuning.nested:
        return None
    home = Home(folder)
    dataset = Dataset(instrument.symbol, instrument, SimulatorSettings())
    store = open_trials(tuning_url(home), home)
    return lambda: nested_model(family, dataset, settings, store)
