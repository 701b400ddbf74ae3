"""The training loop: rows resident on the device, and no wait for the device within an epoch."""

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.parallel import DistributedDataParallel

from pipeline.errors import DataError
from pipeline.hardware import processors
from pipeline.learning.compute import Compute
from pipeline.learning.models.networks import build
from pipeline.learning.training import checkpoint as checkpoints
from pipeline.learning.training.compilation import compiled, pays
from pipeline.learning.training.job import Job, Rows, Trained
from pipeline.learning.training.nonfinite import LESS, NonFiniteError, find_culprit
from pipeline.learning.training.place import Place
from pipeline.learning.training.resident import Resident
from pipeline.learning.training.schedule import batch_cuts, learning_rate
from pipeline.learning.training.torch_state import derived_seed, seed_generators, settled

__all__ = ["Observer", "is_out_of_memory", "run"]

_log = logging.getLogger(__name__)

Observer = Callable[[int, Mapping[str, float]], None]
"""Told the number of the epoch that ended, from 1, and its figures."""

# What the processor's allocator says, the driver, and libraries that allocate by themselves.
_NO_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA error: out of memory",
    "HIP error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)

# Multiplications per step from which a second thread on the processor is worth waking (docs/training.md).
_WORTH_THREADS = 1_000_000_000


def run(
    job: Job,
    compute: Compute,
    *,
    place: Place | None = None,
    batch_size: int | None = None,
    checkpoint: Path | None = None,
    observe: Observer | None = None,
) -> Trained:
    """Train in this process: alone, or as one of several whose process group is joined already.

    Parameters
    ----------
    job
        What.
    compute
        Where.
    place
        This process's part; alone on the first device where None.
    batch_size
        Below that of the settings where memory is known to be short.
    checkpoint
        File to go on from, and to write to.
    observe
        Called by the first process after each epoch.

    Raises
    ------
    NonFiniteError
        For a loss or gradient that is not finite.
    DataError
        If memory does not suffice for the rows, or for a step of one row.
    """
    place = place or Place(torch.device(compute.device))
    cuda = place.device.type == "cuda"
    threads = _threads(job, compute, place)
    with (
        settled(place.device, threads, compute.memory_share),
        torch.cuda.device(place.device) if cuda else nullcontext(),
    ):
        begun = False
        try:
            training = _Training(job, compute, place, threads, batch_size, checkpoint, observe)
            begun = True
            return training.run()
        except RuntimeError as error:
            # Processes that train together stop and start together, with smaller batches.
            if not is_out_of_memory(error) or (begun and place.world > 1):
                raise
            held = [job.train, *([] if job.validation is None else [job.validation])]
            size = sum(array.nbytes for rows in held for array in rows.inputs.arrays)
            raise DataError(
                f"{place.device} has no memory for the network of {job.family} and {sum(map(len, held))} rows "
                f"({size / 2**30:.2f} GiB); use a smaller network or another device"
            ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if an error means out of memory; only torch's GPU allocator has a type of its own for it."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
    )


class _Training:
    """One run of the loop; its state between two epochs is what a checkpoint holds."""

    def __init__(
        self,
        job: Job,
        compute: Compute,
        place: Place,
        threads: int,
        batch_size: int | None,
        checkpoint: Path | None,
        observe: Observer | None,
    ) -> None:
        self.job, self.settings, self.place, self.device = job, job.settings, place, place.device
        self.checkpoint, self.observe = checkpoint, observe
        self.precision, self.threads = compute.precision, threads
        asked = job.settings.batch_size
        self.batch_size = max(place.world, asked if batch_size is None else min(batch_size, asked))
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self.rows = Resident.of(job.train, self.device)
        self.held = None if job.validation is None else Resident.of(job.validation, self.device)
        self.offset = _base_rate_logit(job.train)

        # Drawn on the processor, so that the first weights are the same on every device.
        seed_generators(derived_seed(job.seed, "weights"), self.device)
        self.network = build(job.network).to(self.device)
        self.parameters = [one for one in self.network.parameters() if one.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [one for one in self.parameters if one.ndim > 1]},
            {"params": [one for one in self.parameters if one.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
            fused=True,
        )
        wanted = self.settings.compile
        self.compiled = wanted == "always" or (wanted == "auto" and pays(job, self.device.type))
        stepping = compiled(self.network) if self.compiled else self.network
        if place.world > 1:
            stepping = DistributedDataParallel(
                stepping, device_ids=[self.device] if self.device.type == "cuda" else None, forward_sync_buffers=False
            )
        self.stepping = stepping

        self.epoch = self.resumed_from = 0
        self.best_epoch, self.best_loss = 0, math.inf
        self.best_state: dict[str, Tensor] = {}
        self.log: list[dict[str, float]] = []
        self.seconds = 0.0
        self.seen = 0

    def run(self) -> Trained:
        mark = self._mark() if self.checkpoint is not None else ""
        if self.checkpoint is not None:
            self._resume(mark)
        while not self._finished():
            figures = self._next_epoch()
            self.epoch += 1
            self.log.append(figures)
            if (loss := figures.get("validation_loss")) is None:
                self.best_epoch = self.epoch
            elif loss < self.best_loss:
                self.best_epoch, self.best_loss, self.best_state = self.epoch, loss, _copied(self.network.state_dict())
            if self._finished() or self.epoch % self.settings.checkpoint_every == 0:
                self._write(mark)
            if self.observe is not None and self.place.first:
                self.observe(self.epoch, figures)
        weights = self.network.state_dict() if self.held is None else self.best_state
        state = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
        self._require_finite(state)
        return Trained(
            state,
            self.offset,
            self.best_epoch,
            self.log,
            self._facts(),
        )

    def _finished(self) -> bool:
        stale = self.held is not None and self.epoch - self.best_epoch >= self.settings.patience
        return stale or self.epoch >= self.job.epochs

    def _next_epoch(self) -> dict[str, float]:
        """Train an epoch, again with half the batch as often as memory runs out."""
        before = self._state()
        while True:
            try:
                return self._train_epoch(before)
            except RuntimeError as error:
                # Processes that train together stop and start together: others wait for this one's gradients.
                if not is_out_of_memory(error) or self.place.world > 1:
                    raise
                message = " ".join(str(error).split())[:200]
            # Only here are the tensors that the error's traceback held free.
            if min(self.batch_size, len(self.rows)) == 1:
                raise DataError(
                    f"training {self.job.family} needs more memory for one row than {self.device} has ({message}); use "
                    "a smaller network or another device"
                )
            self.batch_size = min(self.batch_size, len(self.rows)) // 2
            _log.warning(
                "training %s ran out of memory on %s in epoch %d: continuing with batches of %d",
                self.job.family,
                self.device,
                self.epoch + 1,
                self.batch_size,
            )
            self.optimizer.zero_grad(set_to_none=True)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            self._restore(before)

    def _train_epoch(self, before: Mapping[str, Any]) -> dict[str, float]:
        started = time.perf_counter()
        cuts = batch_cuts(len(self.rows), self.batch_size)
        _, rows = self._shuffled()
        record = self._steps(rows, cuts, len(cuts) - 1)
        if self.place.world > 1:
            sums_of_all = record[:, 0].contiguous()
            distributed.all_reduce(sums_of_all)
            record[:, 0] = sums_of_all
        del rows
        loss = record.new_zeros(1) if self.held is None else self._held_loss(self.held)
        flat = torch.cat([record.flatten(), loss])
        if self.place.world > 1:
            distributed.broadcast(flat, 0)  # all processes go by the same figures
        *steps, held = flat.cpu().tolist()  # the epoch's one wait for the device
        seconds = time.perf_counter() - started
        sums, norms, totals = np.reshape(steps, (-1, 3)).T
        if (bad := ~(np.isfinite(sums) & np.isfinite(norms))).any():
            self._restore(before)
            self._explain(int(np.argmax(bad)), cuts)
        if not math.isfinite(held):
            self._explain_held(cuts)
        self.seconds += seconds
        self.seen += len(self.rows)
        figures = {"train_loss": float(sums.sum() / totals.sum())}
        if self.held is not None:
            figures["validation_loss"] = held
        return figures | {
            "learning_rate": self._rate(len(cuts) - 2, len(cuts) - 1),
            "gradient_norm": float(norms.mean()),
            "samples_per_second": len(self.rows) / seconds,
        }

    def _shuffled(self) -> tuple[Tensor, Resident]:
        """The order of this epoch, and the rows in it; sets the generator that dropout draws from."""
        generator = torch.Generator().manual_seed(derived_seed(self.job.seed, "order", self.epoch))
        order = torch.randperm(len(self.rows), generator=generator).to(self.device)
        seed_generators(derived_seed(self.job.seed, "dropout", self.epoch, self.place.rank), self.device)
        return order, self.rows.in_order(order)

    def _steps(self, rows: Resident, cuts: Sequence[int], steps: int) -> Tensor:
        """Train the first so many batches; per batch the weighted sum of losses, gradient norm and sum of weights."""
        self.network.train()
        figures: list[Tensor] = []
        clip = math.inf if self.settings.gradient_clip is None else self.settings.gradient_clip
        for step in range(steps):
            rate = self._rate(step, len(cuts) - 1)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            first, last = cuts[step], cuts[step + 1]
            total = rows.weight[first:last].sum()
            loss = self._loss(self.stepping, self._own(rows, first, last))
            # Gradients are averaged over the processes; scaled so, the average is the whole batch's gradient.
            (loss * (self.place.world / total)).backward()
            norm = nn.utils.clip_grad_norm_(self.parameters, clip)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            figures += [loss.detach(), norm, total]
        return torch.stack(figures).reshape(-1, 3) if figures else torch.empty(0, 3, device=self.device)

    def _own(self, rows: Resident, first: int, last: int) -> Resident:
        """The part of a batch that is this process's; of one with too few rows for all a row that counts nothing."""
        share = self.place.share(first, last)
        # Not every kernel takes no rows at all, and the others wait for this process's gradients.
        return rows.part(share) if share.start < share.stop else rows.part(slice(first, first + 1)).weightless()

    def _loss(self, network: nn.Module, rows: Resident) -> Tensor:
        """Weighted sum of the rows' log losses."""
        bf16 = self.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16) if bf16 else nullcontext():
            logits = network(*rows.inputs)
        return binary_cross_entropy_with_logits(
            logits.float() + self.offset, rows.label, weight=rows.weight, reduction="sum"
        )

    @torch.no_grad()
    def _held_loss(self, rows: Resident) -> Tensor:
        """Weighted mean log loss of rows that are not learned from, shape (1,)."""
        self.network.eval()
        total = rows.weight.new_zeros(1)
        for first, last in pairwise(batch_cuts(len(rows), self.batch_size)):
            total += self._loss(self.network, rows.part(slice(first, last)))
        return total / rows.weight.sum()

    def _rate(self, step: int, steps: int) -> float:
        return learning_rate((self.epoch + step / steps) / self.settings.epochs, self.settings)

    def _explain(self, step: int, cuts: Sequence[int]) -> None:
        """Come to the step that failed once more, and look at it closely."""
        order, rows = self._shuffled()
        self._steps(rows, cuts, step)
        batch = slice(cuts[step], cuts[step + 1])
        part = rows.part(batch)
        culprit, advice = find_culprit(
            self.network, part.inputs, self.job.train, order[batch], lambda: self._loss(self.network, part)
        )
        raise NonFiniteError(self.job.family, self.epoch + 1, step + 1, len(cuts) - 1, culprit, advice)

    def _explain_held(self, cuts: Sequence[int]) -> None:
        held, rows = self.held, self.job.validation
        assert held is not None  # noqa: S101
        assert rows is not None  # noqa: S101
        with torch.no_grad():
            culprit, advice = find_culprit(
                self.network, held.inputs, rows, torch.arange(len(held)), lambda: self._loss(self.network, held)
            )
        raise NonFiniteError(self.job.family, self.epoch + 1, None, len(cuts) - 1, culprit, advice)

    def _require_finite(self, state: Mapping[str, Tensor]) -> None:
        """The last step's weights have no step after them, nor always a validation, in which they would show."""
        bad = next((name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())), None)
        if bad is not None:
            steps = len(batch_cuts(len(self.rows), self.batch_size)) - 1
            culprit = f"{bad} is not finite after it"
            raise NonFiniteError(self.job.family, self.epoch, steps, steps, culprit, LESS)

    def _state(self) -> dict[str, Any]:
        """Weights and optimizer, copied on the device."""
        return {
            "network": _copied(self.network.state_dict()),
            "optimizer": _copied_optimizer(self.optimizer.state_dict()),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(deepcopy(state["optimizer"]))

    def _mark(self) -> str:
        cuda = self.device.type == "cuda"
        return checkpoints.fingerprint(
            self.job,
            device=torch.cuda.get_device_name(self.device) if cuda else "cpu",
            world=self.place.world,
            precision=self.precision,
            threads=None if cuda else self.threads,
            compiled=self.compiled,
        )

    def _write(self, mark: str) -> None:
        if self.checkpoint is None or not self.place.first:
            return
        state = self._state() | {
            "fingerprint": mark,
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
            "best_state": self.best_state,
            "batch_size": self.batch_size,
            "log": self.log,
        }
        checkpoints.write(self.checkpoint, checkpoints.pack(state))

    def _resume(self, mark: str) -> None:
        state: dict[str, Any] | None = None
        if self.place.first and self.checkpoint is not None:
            state = checkpoints.read(self.checkpoint, mark)
        if self.place.world > 1:
            held = [None if state is None else checkpoints.pack(state)]
            distributed.broadcast_object_list(held, 0, device=self.device)
            state = None if held[0] is None else checkpoints.unpack(held[0])
        if state is None:
            return
        self._restore(state)
        self.epoch = self.resumed_from = int(state["epoch"])
        self.best_epoch, self.best_loss = int(state["best_epoch"]), float(state["best_loss"])
        self.best_state = {name: tensor.to(self.device) for name, tensor in state["best_state"].items()}
        self.batch_size = min(self.batch_size, int(state["batch_size"]))
        self.log = list(state["log"])
        if self.place.first:
            _log.info("training %s resumes after epoch %d, by %s", self.job.family, self.epoch, self.checkpoint)

    def _facts(self) -> dict[str, Any]:
        cuda = self.device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(self.device) if cuda else _process_peak()
        return {
            "device": str(self.device),
            "processes": self.place.world,
            "precision": self.precision,
            "threads": self.threads,
            "compiled": self.compiled,
            "parameters": sum(one.numel() for one in self.parameters),
            "batch_size": self.batch_size,
            "epochs": self.epoch,
            "best_epoch": self.best_epoch,
            "resumed_from_epoch": self.resumed_from,
            "seconds": self.seconds,
            "samples_per_second": self.seen / self.seconds if self.seconds else 0.0,
            "peak_memory_bytes": peak,
            "peak_memory_of": "device" if cuda else "process",
        }


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _copied_optimizer(state: Mapping[str, Any]) -> dict[str, Any]:
    """As a deep copy, which takes a hundred times as long: tensors are all that an optimizer changes in place."""
    moments = {place: _copied(tensors) for place, tensors in state["state"].items()}
    return {**state, "state": moments, "param_groups": [dict(group) for group in state["param_groups"]]}


def _base_rate_logit(rows: Rows) -> float:
    """Logit of the weighted share of ones, half an average row added to either side: finite for one class too."""
    weight: NDArray[np.float64] = rows.weight.astype(np.float64)
    half = weight.mean() / 2
    ones = float((weight * rows.label).sum() + half)
    return math.log(ones / float(weight.sum() + 2 * half - ones))


def _threads(job: Job, compute: Compute, place: Place) -> int:
    """Threads on the processor: a fixed rule, because their number decides the last bits."""
    most = max(1, (compute.threads or processors()) // place.world)
    with torch.device("meta"):
        parameters = sum(one.numel() for one in build(job.network).parameters())
    steps = max(array.shape[1] if array.ndim > 2 else 1 for array in job.train.inputs.arrays)
    rows = min(len(job.train), job.settings.batch_size) // place.world
    return most if rows * parameters * steps >= _WORTH_THREADS else 1


def _process_peak() -> int:
    if sys.platform == "win32":
        return 0
    import resource

    # The kernel counts in KiB, but for macOS, which counts in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
