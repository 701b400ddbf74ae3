"""Small trainings, and networks that fail; importing this makes those networks known, in a new process too."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.learning.models import networks
from pipeline.learning.models.networks import NetworkSpec
from pipeline.learning.training.job import Inputs, Job, Rows, Trained
from pipeline.learning.training.settings import TrainingSettings

FOLDER = Path(__file__).parent / "networks"
if str(FOLDER) not in networks.__path__:
    networks.__path__.append(str(FOLDER))

WIDTH = 8


@dataclass(frozen=True)
class FailingSpec(NetworkSpec):
    """A class of this module, so that a process that is sent one imports it."""


def perceptron(dropout: float = 0.2, layers: tuple[int, ...] = (16,)) -> NetworkSpec:
    return NetworkSpec("mlp", {"width": WIDTH, "layers": list(layers), "dropout": dropout})


def rows(count: int, seed: int = 0, strength: float = 2.0) -> Rows:
    draw = np.random.default_rng(seed)
    values = draw.standard_normal((count, WIDTH)).astype(np.float32)
    chance = 1 / (1 + np.exp(-strength * values[:, 0] + 0.5))
    return Rows(
        Inputs((values,), (tuple(f"column {number}" for number in range(WIDTH)),)),
        (draw.random(count) < chance).astype(np.float32),
        draw.uniform(0.2, 1.0, count).astype(np.float32),
        [f"row {number}" for number in range(count)],
    )


def job(
    network: NetworkSpec | None = None,
    *,
    train: Rows | None = None,
    validation: Rows | None = None,
    seed: int = 0,
    epochs: int | None = None,
    **settings: Any,
) -> Job:
    given: Mapping[str, Any] = {"epochs": 4, "batch_size": 32, "learning_rate": 1e-2, **settings}
    asked = TrainingSettings(**given)
    return Job(
        "mlp",
        network or perceptron(),
        train if train is not None else rows(150),
        validation,
        asked,
        seed,
        epochs or asked.epochs,
    )


def same_weights(one: Trained, other: Trained) -> bool:
    pairs = zip(one.state.items(), other.state.items(), strict=True)
    return all(name == twin and bool((left == right).all()) for (name, left), (twin, right) in pairs)


def largest_difference(one: Trained, other: Trained) -> float:
    return max(float((one.state[name] - other.state[name]).abs().max()) for name in one.state)
