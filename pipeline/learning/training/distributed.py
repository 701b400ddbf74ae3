"""Processes of a training: this one, or several that share the rows of each batch.

Several are started here (spawn), one a device, or were started by ``torchrun`` before this program began. Both come to
the same :func:`~pipeline.learning.training.loop.run`, one process a device, NCCL (RCCL on ROCm) between CUDA devices
and gloo between processors.
"""

import atexit
import json
import logging
import multiprocessing
import os
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException, start_processes

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning.compute import Compute
from pipeline.learning.training import checkpoint as checkpoints
from pipeline.learning.training.job import Job, Trained
from pipeline.learning.training.loop import Observer, is_out_of_memory, run
from pipeline.learning.training.nonfinite import NonFiniteError
from pipeline.learning.training.place import Place

__all__ = ["train", "under_torchrun"]

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05


def train(job: Job, compute: Compute, *, checkpoint: Path | None = None, observe: Observer | None = None) -> Trained:
    """Train where ``compute`` says; the result is the same whichever way the processes were started.

    Under ``torchrun`` every process calls this with the same job and gets the same result; only the first observes
    and writes checkpoints.

    Raises
    ------
    DataError
        As :func:`~pipeline.learning.training.loop.run`; under ``torchrun`` also where processes were given different
        jobs, or memory runs out.
    """
    if under_torchrun():
        return _joined(job, compute, checkpoint, observe)
    if len(compute.devices) > 1:
        return _spawned(job, compute, checkpoint, observe)
    return run(job, compute, checkpoint=checkpoint, observe=observe)


def under_torchrun() -> bool:
    """Return True if this process is one of several that ``torchrun`` started."""
    return distributed.is_torchelastic_launched() and int(os.environ.get("WORLD_SIZE", "1")) > 1


def _joined(job: Job, compute: Compute, checkpoint: Path | None, observe: Observer | None) -> Trained:
    device = _device(compute, int(os.environ["LOCAL_RANK"]))
    if not distributed.is_initialized():
        _join(device)
        atexit.register(distributed.destroy_process_group)
    try:
        return _run(job, compute, device, None, checkpoint, observe)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise DataError(
            f"training {job.family} ran out of memory on {device} with batches of {job.settings.batch_size} over "
            f"{distributed.get_world_size()} processes; give a smaller batch_size"
        ) from error


def _device(compute: Compute, local: int) -> torch.device:
    """Return the device of torchrun's process of this number here: the one named, or one of the same kind."""
    if compute.device.startswith("cpu"):
        return torch.device("cpu")
    named = [torch.device(device) for device in compute.devices]
    device = named[local] if local < len(named) else torch.device("cuda", local)
    if device in named[:local]:
        raise ConfigurationError(
            f"torchrun started process {local + 1} of this machine, but no GPU is left for it besides "
            f"{', '.join(compute.devices)}; name a device for each process, or start fewer"
        )
    return device


def _spawned(job: Job, compute: Compute, checkpoint: Path | None, observe: Observer | None) -> Trained:
    """Start a process a device; where one runs out of memory, all start again with half the batch."""
    world, batch_size = len(compute.devices), job.settings.batch_size
    with tempfile.TemporaryDirectory(prefix="vpoc-training-") as made:
        kept = checkpoint or Path(made) / "checkpoint"
        for attempt in range(batch_size.bit_length()):
            folder = Path(made) / str(attempt)
            folder.mkdir()
            failure = _attempt(folder, job, compute, batch_size, kept, observe)
            if failure is None:
                return _read_result(folder)
            _raise_unless_memory(failure)
            if batch_size <= world:
                break
            batch_size = max(world, min(batch_size, len(job.train)) // 2)
            _log.warning(
                "training %s ran out of memory on %s: continuing from its checkpoint with batches of %d",
                job.family,
                failure["device"],
                batch_size,
            )
    raise DataError(
        f"training {job.family} needs more memory for one row than {', '.join(compute.devices)} have; use a smaller "
        "network or other devices"
    )


def _attempt(
    folder: Path, job: Job, compute: Compute, batch_size: int, checkpoint: Path, observe: Observer | None
) -> Mapping[str, Any] | None:
    """Run all processes to their end; what one of them could say of its failure, if any failed."""
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    processes = start_processes(
        _process,
        (folder, job, compute, batch_size, checkpoint, queue),
        nprocs=len(compute.devices),
        join=False,
        start_method="spawn",
    )
    assert processes is not None  # noqa: S101 - only join=True gives None
    try:
        ended = False
        while not ended:
            try:
                ended = processes.join(timeout=_POLL_SECONDS)
            finally:  # also where one fails: these epochs were trained, and may be kept in a checkpoint
                while not queue.empty():
                    epoch, figures = queue.get()
                    if observe is not None:
                        observe(epoch, figures)
    except (ProcessRaisedException, ProcessExitedException):
        # A process that loses its peer fails too; the one that failed first says why.
        failures = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("failure-*.json"))]
        if not failures:
            raise
        return min(failures, key=lambda failure: failure["kind"] != "memory")
    finally:
        for process in processes.processes:
            if process.is_alive():
                process.terminate()
            process.join()
    return None


def _process(
    rank: int, folder: Path, job: Job, compute: Compute, batch_size: int, checkpoint: Path, queue: Any
) -> None:
    """One process of several that were started here."""
    device = torch.device(compute.devices[rank])
    _join(device, folder / "rendezvous", rank, len(compute.devices))
    try:
        trained = _run(job, compute, device, batch_size, checkpoint, lambda *figures: queue.put(figures))
        if rank == 0:
            result = {field.name: getattr(trained, field.name) for field in fields(trained)}
            checkpoints.write(folder / "result", checkpoints.pack(result))
        distributed.barrier()
        distributed.destroy_process_group()
    except NonFiniteError as error:
        _tell_failure(folder, rank, {"kind": "nonfinite", "arguments": error.arguments})
    except DataError as error:
        _tell_failure(folder, rank, {"kind": "data", "text": str(error)})
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        _tell_failure(folder, rank, {"kind": "memory", "device": str(device)})


def _tell_failure(folder: Path, rank: int, failure: Mapping[str, Any]) -> None:
    part = folder / f"part-{rank}.json"
    part.write_text(json.dumps(failure), encoding="utf-8")
    part.replace(folder / f"failure-{rank}.json")
    # At once: leaving the process group would wait for the others, and they wait for this one's gradients.
    os._exit(1)


def _raise_unless_memory(failure: Mapping[str, Any]) -> None:
    if failure["kind"] == "nonfinite":
        raise NonFiniteError(*failure["arguments"])
    if failure["kind"] == "data":
        raise DataError(failure["text"])


def _read_result(folder: Path) -> Trained:
    return Trained(**checkpoints.unpack((folder / "result").read_bytes()))


def _join(device: torch.device, rendezvous: Path | None = None, rank: int = -1, world: int = -1) -> None:
    """Join the process group: by a file on this machine, or as torchrun's environment says."""
    # A store, for torch reads a path from a URL without undoing its %20.
    store = None if rendezvous is None else distributed.FileStore(str(rendezvous), world)
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if cuda else "gloo",
        store=store,
        rank=rank,
        world_size=world,
        device_id=device if cuda else None,
    )


def _run(
    job: Job,
    compute: Compute,
    device: torch.device,
    batch_size: int | None,
    checkpoint: Path | None,
    observe: Observer | None,
) -> Trained:
    place = Place(device, distributed.get_rank(), distributed.get_world_size())
    marks: list[str] = [""] * place.world
    mark = checkpoints.fingerprint(job, precision=compute.precision, resumes=checkpoint is not None)
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        distributed.all_gather_object(marks, mark)
    if len(set(marks)) > 1:
        raise DataError(
            f"the {place.world} processes that train {job.family} together were given different rows, settings, seeds, "
            "precision, or not all of them a checkpoint; give all of them the same"
        )
    return run(job, compute, place=place, batch_size=batch_size, checkpoint=checkpoint, observe=observe)
