"""Common parts of the torch families: transforms, the two stages of a training, saving and predicting."""

import hashlib
import io
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.learning.models.files import read_sealed, write_sealed
from pipeline.learning.models.fit_options import FitOptions, Progress
from pipeline.learning.models.networks import NetworkSpec, build
from pipeline.learning.models.protocol import Model, ModelSettings
from pipeline.learning.models.rows import TrainingRows
from pipeline.learning.training.job import Inputs, Job, Rows, Trained
from pipeline.learning.training.settings import TrainingSettings
from pipeline.learning.validation import validation_slice

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline
    from torch import nn

__all__ = ["ALIGNMENT", "NeuralModel", "aligned"]

ALIGNMENT = 32
"""Widths are multiples of this: tiles of tensor cores and of MFMA units are then full (see docs/training.md)."""

_WEIGHTS, _TRANSFORMS = "network.pt", "transforms.json"

# Scores are computed in blocks of one shape, the last one filled up: which rows come together never changes a bit.
_BLOCK = 256


def aligned(width: int) -> int:
    """The next multiple of :data:`ALIGNMENT`."""
    return -(-width // ALIGNMENT) * ALIGNMENT


class NeuralModel(Model):
    """A network on transformed rows.

    A family gives its settings, its network (:meth:`_network`) and, where they differ, its transforms
    (:meth:`_transforms`) and how a transformed frame becomes tensors (:meth:`_inputs`).

    Training has two stages. In the first the newest rows, purged, are held back, and tell after how many epochs to
    stop; transforms are learned without them. In the second all is learned again on all rows for that many epochs of
    the same schedule (``refit``). The logit of the training rows' base rate is added to the network's output, so that
    what weight decay draws towards is the constant baseline.

    Attributes
    ----------
    training_facts
        Of the last fit's last stage: device, processes, precision, threads, compiled, parameters, batch_size (used),
        epochs, best_epoch, resumed_from_epoch, seconds, samples_per_second, peak_memory_bytes, peak_memory_of; those
        of the search for the best epoch with ``search_`` before. Empty for a loaded model.
    network_spec
        What the network was made from; None before.
    """

    uses_device = True
    packages = ("torch",)
    Settings: ClassVar[type[ModelSettings]] = TrainingSettings

    settings: TrainingSettings

    def __init__(self, settings: ModelSettings | Mapping[str, Any] | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.training_facts: dict[str, Any] = {}
        self.network_spec: NetworkSpec | None = None
        self._learned: Pipeline | None = None
        self._module: nn.Module | None = None
        self._offset = 0.0

    @abstractmethod
    def _network(self, columns: Sequence[str]) -> NetworkSpec:
        """The network for a transformed frame with these columns."""

    def _transforms(self) -> "Pipeline":
        """Unfitted transforms, of the kinds that ``saved_transforms`` knows.

        Of indicators that say the same, one is enough: columns are looked through once more at the end.
        """
        from sklearn.pipeline import Pipeline

        from pipeline.learning.transforms import DropUninformative, feature_transforms

        return Pipeline([*feature_transforms("impute").steps, ("drop_copies", DropUninformative())])

    def _inputs(self, frame: pd.DataFrame) -> Inputs:
        """Tensors of a transformed frame, shape (n, width): its columns, then zeros up to an aligned width."""
        values = np.zeros((len(frame), aligned(frame.shape[1])), np.float32)
        # What float32 can't hold becomes infinite here, and the training says in which column.
        with np.errstate(over="ignore"):
            values[:, : frame.shape[1]] = frame.to_numpy(np.float64)
        padding = (f"padding {number}" for number in range(values.shape[1] - frame.shape[1]))
        return Inputs((values,), ((*map(str, frame.columns), *padding),))

    def _fit(self, rows: TrainingRows, options: FitOptions) -> None:
        self._learned = self._module = None
        self.training_facts = {}
        epochs, log, facts = self.settings.epochs, [], {}
        if self.settings.validation_share:
            searched = self._train(rows, options, [])
            log, epochs = list(searched.log), searched.best_epoch
            facts = {f"search_{name}": value for name, value in searched.facts.items()}
            trained = searched
        if self.settings.refit or not self.settings.validation_share:
            trained = self._train(rows, options, log, epochs=epochs)
            log += trained.log
        self.training_facts = facts | dict(trained.facts)
        self._offset = trained.offset
        self._load_state(trained.state)
        self.training_log = pd.DataFrame(log, index=pd.RangeIndex(1, len(log) + 1, name="step"))

    def _train(
        self,
        rows: TrainingRows,
        options: FitOptions,
        before: Sequence[Mapping[str, float]],
        epochs: int | None = None,
    ) -> Trained:
        """One stage: the search for the best epoch, or, where ``epochs`` says how many, the fit on all rows."""
        from pipeline.learning.training.distributed import train

        learn = np.arange(len(rows), dtype=np.int64)
        held: NDArray[np.int64] | None = None
        if epochs is None:
            learn, held = validation_slice(rows.outcome, self.settings.validation_share)
        transforms = self._transforms()
        frame = transforms.fit_transform(rows.features.iloc[learn])
        self._learned, self.network_spec = transforms, self._network(tuple(map(str, frame.columns)))
        job = Job(
            family=self.family,
            network=self.network_spec,
            train=self._rows(rows.take(learn), frame),
            validation=None
            if held is None
            else self._rows(rows.take(held), transforms.transform(rows.features.iloc[held])),
            settings=self.settings,
            seed=self.seed,
            epochs=self.settings.epochs if epochs is None else epochs,
        )
        steps = len(before) + job.epochs
        if epochs is None and self.settings.refit:
            steps += job.epochs

        def observe(epoch: int, figures: Mapping[str, float]) -> None:
            if options.observe is not None:
                options.observe(Progress(len(before) + epoch, steps, figures))

        checkpoint = options.checkpoint
        if checkpoint is not None and epochs is None:
            checkpoint = checkpoint.with_name(f"{checkpoint.name}.search")
        return train(job, options.compute, checkpoint=checkpoint, observe=observe)

    def _rows(self, rows: TrainingRows, frame: pd.DataFrame) -> Rows:
        return Rows(
            self._inputs(frame),
            rows.label.astype(np.float32),
            rows.weight.astype(np.float32),
            [str(name) for name in rows.features.index],
        )

    def _predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        import torch

        from pipeline.learning.training.resident import aligned_tensor
        from pipeline.learning.training.torch_state import settled

        assert self._learned is not None  # noqa: S101 - the base class asks for a fitted model
        assert self._module is not None  # noqa: S101
        inputs = self._inputs(self._learned.transform(features))
        logits = np.empty(-(-len(features) // _BLOCK) * _BLOCK)
        # On one thread of the processor in float32, whatever it was trained on: the same bits wherever it is loaded.
        with settled(torch.device("cpu"), threads=1), torch.inference_mode():
            for first in range(0, len(features), _BLOCK):
                block = inputs.take(slice(first, first + _BLOCK))
                tensors = (aligned_tensor(array, _BLOCK) for array in block.arrays)
                logits[first : first + _BLOCK] = self._module(*tensors).numpy()
        logit = logits[: len(features)] + self._offset
        return np.exp(-np.logaddexp(0.0, -logit))

    def _save(self, folder: Path) -> Mapping[str, Any]:
        import torch

        from pipeline.learning.models.saved_transforms import transforms_to_json

        assert self._learned is not None  # noqa: S101
        assert self._module is not None  # noqa: S101
        assert self.network_spec is not None  # noqa: S101
        torch.save(self._module.state_dict(), folder / _WEIGHTS)
        return {
            "network": self.network_spec.to_json(),
            "offset": self._offset,
            "weights": hashlib.sha256((folder / _WEIGHTS).read_bytes()).hexdigest(),
            "transforms": write_sealed(folder / _TRANSFORMS, json.dumps(transforms_to_json(self._learned))),
        }

    def _load(self, folder: Path, extra: Mapping[str, Any]) -> None:
        import torch

        from pipeline.learning.models.saved_transforms import transforms_from_json

        self._learned = transforms_from_json(json.loads(read_sealed(folder / _TRANSFORMS, extra["transforms"])))
        self.network_spec = NetworkSpec.from_json(extra["network"])
        self._offset = float(extra["offset"])
        raw = (folder / _WEIGHTS).read_bytes()
        if hashlib.sha256(raw).hexdigest() != extra["weights"]:
            raise ValueError(f"{_WEIGHTS} is not the file that was saved: its SHA-256 differs from the manifest's")
        self._load_state(torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True))

    def _load_state(self, state: Mapping[str, Any]) -> None:
        import torch

        assert self.network_spec is not None  # noqa: S101
        with torch.random.fork_rng(devices=[]):
            module = build(self.network_spec)
        module.load_state_dict(state)
        self._module = module.eval()
