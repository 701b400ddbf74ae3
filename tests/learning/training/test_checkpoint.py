import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from pipeline.learning.compute import Compute
from pipeline.learning.models.networks import NetworkSpec
from pipeline.learning.training import checkpoint
from pipeline.learning.training.checkpoint import fingerprint
from pipeline.learning.training.job import Job
from pipeline.learning.training.loop import run
from tests.learning.training.jobs import job, perceptron, rows, same_weights

CPU = Compute(threads=1)

KILLED = """
import sys, time
from pathlib import Path
from pipeline.learning.compute import Compute
from pipeline.learning.training.loop import run
from tests.learning.training.test_checkpoint import long_job

def say(epoch, figures):
    print(epoch, flush=True)
    time.sleep(0.02)

run(long_job(), Compute(threads=1), checkpoint=Path(sys.argv[1]), observe=say)
"""


class InterruptedTrainingError(Exception):
    pass


def long_job() -> Job:
    return job(validation=rows(50, seed=1), epochs=150, patience=150, checkpoint_every=3)


def interrupted(one: Job, path: Path, after: int) -> None:
    def stop(epoch: int, figures: object) -> None:
        if epoch == after:
            raise InterruptedTrainingError

    with pytest.raises(InterruptedTrainingError):
        run(one, CPU, checkpoint=path, observe=stop)


def test_run_killed_in_the_middle_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    path, straight = tmp_path / "checkpoint", run(long_job(), CPU)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 31:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL

    resumed = run(long_job(), CPU, checkpoint=path)

    assert 30 <= resumed.facts["resumed_from_epoch"] < 150
    assert resumed.facts["resumed_from_epoch"] % 3 == 0
    assert same_weights(resumed, straight)
    assert resumed.best_epoch == straight.best_epoch
    figures = ["train_loss", "validation_loss", "learning_rate", "gradient_norm"]
    assert [[row[name] for name in figures] for row in resumed.log] == [
        [row[name] for name in figures] for row in straight.log
    ]


@pytest.mark.parametrize("after", [1, 2, 3])
def test_run_interrupted_at_any_epoch_goes_on_to_the_same_bits(after: int, tmp_path: Path) -> None:
    one = job(validation=rows(75, seed=1), checkpoint_every=1)
    interrupted(one, tmp_path / "checkpoint", after)

    resumed = run(one, CPU, checkpoint=tmp_path / "checkpoint")

    assert resumed.facts["resumed_from_epoch"] == after
    assert resumed.best_epoch == 4
    assert same_weights(resumed, run(one, CPU))


def test_run_that_ended_is_not_trained_again(tmp_path: Path) -> None:
    told: list[int] = []
    first = run(job(), CPU, checkpoint=tmp_path / "checkpoint")

    second = run(job(), CPU, checkpoint=tmp_path / "checkpoint", observe=lambda epoch, figures: told.append(epoch))

    assert told == []
    assert same_weights(first, second)
    assert second.log == first.log


def test_run_checkpoints_only_every_so_many_epochs(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    interrupted(job(checkpoint_every=3), path, 2)
    assert not path.exists()

    interrupted(job(checkpoint_every=3), path, 3)
    assert path.exists()


@pytest.mark.parametrize("harm", ["cut off", "bit flipped", "empty", "text"])
def test_run_with_a_broken_checkpoint_warns_and_trains_anew(
    harm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, one = tmp_path / "checkpoint", job(checkpoint_every=1)
    interrupted(one, path, 2)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(
        {"cut off": path.read_bytes()[:-100], "bit flipped": bytes(content), "empty": b"", "text": b"hello"}[harm]
    )

    trained = run(one, CPU, checkpoint=path)

    assert trained.facts["resumed_from_epoch"] == 0
    assert same_weights(trained, run(one, CPU))
    assert path.with_name("checkpoint.broken").exists()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "is broken" in record.message
    assert "moved to checkpoint.broken, trained anew" in record.message


def test_run_with_a_checkpoint_of_other_rows_trains_anew(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    interrupted(job(checkpoint_every=1), path, 2)
    other = job(train=rows(150, seed=9), checkpoint_every=1)

    trained = run(other, CPU, checkpoint=path)

    assert trained.facts["resumed_from_epoch"] == 0
    assert same_weights(trained, run(other, CPU))


def test_run_with_a_batch_halved_before_the_kill_goes_on_with_it(tmp_path: Path) -> None:
    greedy = job(NetworkSpec("greedy", {"width": 8, "most": 10}), checkpoint_every=1)
    interrupted(greedy, tmp_path / "checkpoint", 2)

    resumed = run(greedy, CPU, checkpoint=tmp_path / "checkpoint")

    assert resumed.facts["batch_size"] == 8
    assert same_weights(resumed, run(greedy, CPU))


def test_write_leaves_no_half_written_file(tmp_path: Path) -> None:
    path = tmp_path / "made" / "checkpoint"
    checkpoint.write(path, b"old")
    checkpoint.write(path, b"new")

    assert path.read_bytes() == b"new"
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint"]


def test_unpack_refuses_what_would_need_pickle() -> None:
    with pytest.raises(ValueError, match="Weights only load failed"):
        checkpoint.unpack(checkpoint.pack({"path": PurePosixPath("x")}))


def test_fingerprint_changes_with_all_that_decides_the_weights_and_nothing_else() -> None:
    one = job(validation=rows(40, seed=1))
    heavier, relabelled, other = rows(150), rows(150), rows(150)
    heavier.weight[3] *= 1.5
    relabelled.label[3] = 1 - relabelled.label[3]
    other.inputs.arrays[0][3, 3] = np.nextafter(other.inputs.arrays[0][3, 3], np.float32(9))
    changed = [
        replace(one, seed=1),
        replace(one, epochs=3),
        replace(one, network=perceptron(0.3)),
        replace(one, settings=one.settings.model_copy(update={"learning_rate": 0.02})),
        replace(one, validation=None),
        replace(one, validation=rows(40, seed=2)),
        replace(one, train=heavier),
        replace(one, train=relabelled),
        replace(one, train=other),
    ]

    marks = [fingerprint(each, device="cpu") for each in (one, *changed)] + [fingerprint(one, device="cuda")]

    assert len(set(marks)) == len(marks)
    rarer = replace(one, settings=one.settings.model_copy(update={"checkpoint_every": 7}))
    assert fingerprint(rarer, device="cpu") == marks[0]
    assert fingerprint(job(validation=rows(40, seed=1)), device="cpu") == marks[0]


def test_run_offered_more_threads_than_pay_goes_on_from_the_same_checkpoint(tmp_path: Path) -> None:
    one = job(checkpoint_every=1)
    interrupted(one, tmp_path / "checkpoint", 2)

    resumed = run(one, Compute(threads=2), checkpoint=tmp_path / "checkpoint")

    assert (resumed.facts["threads"], resumed.facts["resumed_from_epoch"]) == (1, 2)
