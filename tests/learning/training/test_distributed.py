import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.learning.compute import Compute
from pipeline.learning.training import checkpoint
from pipeline.learning.training.distributed import train
from pipeline.learning.training.job import Job
from pipeline.learning.training.nonfinite import NonFiniteError
from pipeline.learning.training.place import Place
from tests.learning.training.jobs import WIDTH, FailingSpec, job, largest_difference, perceptron, rows, same_weights

ONE, TWO = Compute(threads=1), Compute(devices=("cpu", "cpu"), threads=2)

# Two processes add up each batch's gradients in another order than one: float32 rounding, amplified by AdamW's
# division where gradients are near zero.
TOLERANCE = 1e-5

TORCHRUN = """
import os, sys
from pathlib import Path
from pipeline.errors import DataError
from pipeline.learning.compute import Compute
from pipeline.learning.training import checkpoint
from pipeline.learning.training.distributed import train
from tests.learning.training.jobs import job
from tests.learning.training.test_distributed import broken_job, exact_job

rank, compute = int(os.environ["RANK"]), Compute(threads=2)
found = {"first": train(exact_job(), compute).state, "again": train(exact_job(), compute).state}
for name, wrong in {"different": job(seed=rank), "broken": broken_job()}.items():
    try:
        train(wrong, compute)
    except DataError as error:
        found[name] = str(error)
checkpoint.write(Path(sys.argv[1]) / str(rank), checkpoint.pack(found))
"""


def exact_job() -> Job:
    """Without dropout, which each process draws for its own rows; 150 rows in batches of 30 and 75 to validate."""
    return job(perceptron(0.0), validation=rows(75, seed=1), epochs=6, checkpoint_every=1)


def broken_job() -> Job:
    given = rows(150)
    given.inputs.arrays[0][77, 3] = np.inf
    return job(train=given)


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=180, check=False)


@pytest.mark.parametrize(("first", "last"), [(0, 30), (30, 61), (5, 6), (7, 7)])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_share_of_all_processes_is_the_whole_batch_once(first: int, last: int, world: int) -> None:
    parts = [Place(torch.device("cpu"), rank, world).share(first, last) for rank in range(world)]

    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(first, last))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_train_by_two_processes_gives_the_weights_of_one() -> None:
    told: list[int] = []
    alone = train(exact_job(), ONE)

    together = train(exact_job(), TWO, observe=lambda epoch, figures: told.append(epoch))

    assert together.facts["processes"] == 2
    assert largest_difference(alone, together) < TOLERANCE
    assert together.best_epoch == alone.best_epoch
    assert told == [1, 2, 3, 4, 5, 6]
    for name in ("train_loss", "validation_loss", "gradient_norm"):
        assert [row[name] for row in together.log] == pytest.approx([row[name] for row in alone.log], rel=1e-4)


def test_train_by_torchrun_gives_the_weights_of_one_on_every_process(tmp_path: Path) -> None:
    alone = train(exact_job(), ONE)
    script = tmp_path / "script.py"
    script.write_text(TORCHRUN)

    ended = torchrun(str(script), str(tmp_path))

    assert ended.returncode == 0, ended.stderr
    first, second = (checkpoint.unpack((tmp_path / str(rank)).read_bytes()) for rank in range(2))
    by_torchrun = replace(alone, state=first["first"])
    assert largest_difference(alone, by_torchrun) < TOLERANCE
    for state in (first["again"], second["first"], second["again"]):
        assert same_weights(by_torchrun, replace(alone, state=state))
    # Processes that were given different jobs don't train together.
    assert first["different"] == second["different"]
    assert "were given different rows, settings or seeds" in first["different"]
    # What is wrong with a row is said by all, in the words of one process alone.
    with pytest.raises(NonFiniteError) as caught:
        train(broken_job(), ONE)
    assert first["broken"] == second["broken"] == str(caught.value)


def test_train_by_two_processes_that_run_out_of_memory_goes_on_from_the_checkpoint_with_half_the_batch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Memory runs out in the third epoch: of 30 rows each process holds 15.
    short = {"width": WIDTH, "after": 11}

    with caplog.at_level(logging.WARNING):
        together = train(
            job(FailingSpec("greedy", {**short, "most": 8}), checkpoint_every=1), TWO, checkpoint=tmp_path / "kept"
        )

    assert "ran out of memory on cpu: goes on from its checkpoint with batches of 16" in caplog.text
    assert together.facts["batch_size"] == 16
    assert together.facts["resumed_from_epoch"] == 2
    alone = train(job(FailingSpec("greedy", {**short, "most": 15})), ONE)
    assert alone.facts["batch_size"] == 16
    assert largest_difference(alone, together) < TOLERANCE
