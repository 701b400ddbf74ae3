import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import ConfigurationError
from pipeline.learning.compute import Compute
from pipeline.learning.models.networks import NetworkSpec
from pipeline.learning.training import checkpoint
from pipeline.learning.training.distributed import _device, train
from pipeline.learning.training.job import Inputs, Job
from pipeline.learning.training.nonfinite import NonFiniteError
from pipeline.learning.training.place import Place
from tests.learning.training.jobs import WIDTH, FailingSpec, job, largest_difference, perceptron, rows, same_weights

pytestmark = pytest.mark.slow

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
from tests.learning.training.test_distributed import broken_job, exact_job, few_job, same_rows_job

rank, compute = int(os.environ["RANK"]), Compute(threads=2)
jobs = {"first": exact_job(), "again": exact_job(), "few": few_job(), "dropped": same_rows_job(64)}
found = {name: train(one, compute).state for name, one in jobs.items()}
other = Compute(threads=2, precision=("fp32", "bf16")[rank])
wrong = {"different": (job(seed=rank), compute), "otherwise": (job(), other), "broken": (broken_job(), compute)}
for name, given in wrong.items():
    try:
        train(*given)
    except DataError as error:
        found[name] = str(error)
checkpoint.write(Path(sys.argv[1]) / str(rank), checkpoint.pack(found))
"""


def exact_job() -> Job:
    """Without dropout, which each process draws for its own rows; 150 rows in batches of 30 and 75 to validate."""
    return job(perceptron(0.0), validation=rows(75, seed=1), epochs=6, checkpoint_every=1)


def few_job() -> Job:
    """The last batch is one row, so that the first process has none of it; an LSTM takes no empty batch everywhere."""
    given = rows(3)
    values, known = given.inputs.arrays[0].reshape(3, 4, 2), np.ones((3, 4, 2), np.bool_)
    names = given.inputs.names[0]
    network = NetworkSpec("lstm", {"channels": [2], "width": 8})
    return job(network, train=replace(given, inputs=Inputs((values, known), (names, names))), batch_size=2)


def same_rows_job(count: int) -> Job:
    """One batch of rows that are all the same: only dropout tells them apart."""
    given = rows(count)
    given.inputs.arrays[0][:], given.label[:], given.weight[:] = 0.5, 1.0, 1.0
    return job(perceptron(0.5), train=given, batch_size=count, warmup=0.0)


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


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (("cpu",), ["cpu", "cpu"]),
        (("cuda:0",), ["cuda:0", "cuda:1"]),
        (("cuda:2", "cuda:0"), ["cuda:2", "cuda:0"]),
    ],
)
def test_device_of_each_of_torchruns_processes_is_another_gpu(named: tuple[str, ...], found: list[str]) -> None:
    assert [_device(Compute(devices=named), local) for local in range(2)] == [torch.device(name) for name in found]


def test_device_that_another_process_has_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match="started process 2 of this machine, but no GPU is left for it besides"
    ):
        _device(Compute(devices=("cuda:1",)), 1)


@pytest.fixture
def spaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files whose name takes more than letters."""
    folder = tmp_path / "names with spaces, ünd %41"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_train_by_two_processes_gives_the_weights_of_one_also_where_memory_runs_out(
    spaced: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Memory runs out in the third epoch: of 30 rows each process holds 15.
    def greedy(most: int) -> Job:
        network = FailingSpec("greedy", {"width": WIDTH, "after": 11, "most": most})
        return job(network, validation=rows(75, seed=1), epochs=6, checkpoint_every=1)

    # What one process alone has kept is not gone on from.
    def stop(epoch: int, figures: object) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        train(greedy(8), ONE, checkpoint=spaced / "kept", observe=stop)
    told: list[int] = []
    with caplog.at_level(logging.WARNING):
        together = train(greedy(8), TWO, checkpoint=spaced / "kept", observe=lambda epoch, figures: told.append(epoch))

    assert "ran out of memory on cpu: continuing from its checkpoint with batches of 16" in caplog.text
    alone = train(greedy(15), ONE)
    for trained in (together, alone):
        assert trained.facts["batch_size"] == 16
    assert (together.facts["processes"], together.facts["resumed_from_epoch"]) == (2, 2)
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
    # Each process draws dropout of its own: the first alone, with its half of the rows, learns something else.
    half = replace(alone, state=train(same_rows_job(32), ONE).state)
    assert largest_difference(half, replace(alone, state=first["dropped"])) > 1e-3
    # Processes that were given different jobs don't train together.
    assert first["different"] == second["different"]
    assert "were given different rows, settings, seeds, precision" in first["different"]
    assert first["otherwise"] == first["different"]
    for found in (first, second):
        assert largest_difference(train(few_job(), ONE), replace(alone, state=found["few"])) < TOLERANCE
    # What is wrong with a row is said by all, in the words of one process alone.
    with pytest.raises(NonFiniteError) as caught:
        train(broken_job(), ONE)
    assert first["broken"] == second["broken"] == str(caught.value)
