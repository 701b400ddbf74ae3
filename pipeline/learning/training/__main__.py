"""Train one model from a training-set file: alone, or in each of torchrun's processes.

``torchrun --nproc-per-node 2 -m pipeline.learning.training --family mlp --rows training_set.parquet --save model``
"""

import argparse
import json
import logging
from pathlib import Path

import pandas as pd

from pipeline.errors import PipelineError
from pipeline.learning.compute import Compute
from pipeline.learning.models import FitOptions, Progress, TrainingRows, make_model

_log = logging.getLogger("pipeline.learning.training")


def main() -> None:
    """Read rows, train, and let the first process save the model."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        _train(arguments)
    except (PipelineError, OSError) as error:
        raise SystemExit(str(error)) from error


def _train(arguments: argparse.Namespace) -> None:
    rows = TrainingRows.from_training_set(pd.read_parquet(arguments.rows))
    compute = Compute(devices=tuple(arguments.device.split(",")), precision=arguments.precision)
    model = make_model(arguments.family, json.loads(arguments.settings), seed=arguments.seed)
    model.fit(rows, FitOptions(compute, _say, arguments.checkpoint))
    if _first_process():
        model.save(arguments.save)
        _log.info("saved in %s", arguments.save)


def _say(progress: Progress) -> None:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in progress.figures.items())
    _log.info("epoch %d of at most %d: %s", progress.step, progress.steps, figures)


def _first_process() -> bool:
    from torch import distributed

    return not distributed.is_initialized() or distributed.get_rank() == 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline.learning.training", description=__doc__)
    parser.add_argument("--family", default="mlp", help="model family")
    parser.add_argument("--rows", type=Path, required=True, help="the asset training_set, a Parquet file")
    parser.add_argument("--save", type=Path, required=True, help="folder for the model")
    parser.add_argument("--settings", default="{}", help="hyperparameters, JSON")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu, cuda:0, or several with commas between")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--checkpoint", type=Path, help="file by which a killed training goes on")
    return parser


if __name__ == "__main__":
    main()
