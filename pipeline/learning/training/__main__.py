"""Train one model from a training-set file: alone, or in each of torchrun's processes.

``torchrun --nproc-per-node 2 -m pipeline.learning.training --family mlp --rows training_set.parquet --save model``
"""

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import ArrowInvalid

from pipeline.errors import DataError, PipelineError
from pipeline.learning.compute import choose_compute
from pipeline.learning.models import FitOptions, Progress, TrainingRows, make_model

_log = logging.getLogger("pipeline.learning.training")


def main(given: Sequence[str] | None = None) -> None:
    """Read rows, train, and let the first process save the model; the command line's arguments where none are given."""
    arguments = _parser().parse_args(given)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        _train(arguments)
    except (PipelineError, OSError) as error:
        raise SystemExit(str(error)) from error


def _train(arguments: argparse.Namespace) -> None:
    rows = TrainingRows.from_training_set(_read(arguments.rows))
    compute = choose_compute(arguments.device, arguments.precision)
    model = make_model(arguments.family, arguments.settings, seed=arguments.seed)
    model.fit(rows, FitOptions(compute, _say, arguments.checkpoint))
    if _first_process():
        model.save(arguments.save)
        _log.info("saved in %s", arguments.save)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ArrowInvalid) as error:
        raise DataError(
            f"{path} can't be read ({type(error).__name__}); give the asset training_set, a Parquet file"
        ) from error


def _say(progress: Progress) -> None:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in progress.figures.items())
    _log.info("epoch %d of at most %d: %s", progress.step, progress.steps, figures)


def _first_process() -> bool:
    from torch import distributed

    return not distributed.is_initialized() or distributed.get_rank() == 0


def _hyperparameters(text: str) -> dict[str, Any]:
    read = json.loads(text)
    if not isinstance(read, dict):
        raise argparse.ArgumentTypeError(f"{text} is no JSON object")
    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline.learning.training", description=__doc__)
    parser.add_argument("--family", default="mlp", help="model family")
    parser.add_argument("--rows", type=Path, required=True, help="the asset training_set, a Parquet file")
    parser.add_argument("--save", type=Path, required=True, help="folder for the model")
    parser.add_argument("--settings", type=_hyperparameters, default="{}", help="hyperparameters, JSON")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu, cuda:0, or several with commas between")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--checkpoint", type=Path, help="file by which a killed training goes on")
    return parser


if __name__ == "__main__":
    main()
