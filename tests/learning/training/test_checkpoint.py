import importlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch

from pipeline.learning.compute import Compute
from pipeline.learning.models.networks import NetworkSpec
from pipeline.learning.training import checkpoint, loop
from pipeline.learning.training.checkpoint import fingerprint
from pipeline.learning.training.job import Inputs, Job
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


def test_run_killed_in_the_middle_continues_to_the_same_bits(tmp_path: Path) -> None:
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
def test_run_interrupted_at_any_epoch_continues_to_the_same_bits(after: int, tmp_path: Path) -> None:
    one = job(validation=rows(75, seed=1), checkpoint_every=1)
    interrupted(one, tmp_path / "checkpoint", after)

    resumed = run(one, CPU, checkpoint=tmp_path / "checkpoint")

    assert resumed.facts["resumed_from_epoch"] == after
    assert resumed.best_epoch == 4
    assert same_weights(resumed, run(one, CPU))


def test_run_interrupted_after_its_best_epoch_still_knows_it(tmp_path: Path) -> None:
    one = job(train=rows(60), validation=rows(60, seed=1, strength=-2.0), epochs=50, patience=4, checkpoint_every=1)
    straight = run(one, CPU)
    assert len(straight.log) == straight.best_epoch + 4
    interrupted(one, tmp_path / "checkpoint", straight.best_epoch + 2)

    resumed = run(one, CPU, checkpoint=tmp_path / "checkpoint")

    assert resumed.facts["resumed_from_epoch"] == straight.best_epoch + 2
    assert (resumed.best_epoch, len(resumed.log)) == (straight.best_epoch, len(straight.log))
    assert same_weights(resumed, straight)


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
def test_run_with_a_broken_checkpoint_warns_and_trains_from_scratch(
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
    assert "moved to checkpoint.broken, training from scratch" in record.message


def test_run_with_a_checkpoint_of_other_rows_trains_from_scratch(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    interrupted(job(checkpoint_every=1), path, 2)
    other = job(train=rows(150, seed=9), checkpoint_every=1)

    trained = run(other, CPU, checkpoint=path)

    assert trained.facts["resumed_from_epoch"] == 0
    assert same_weights(trained, run(other, CPU))


@pytest.mark.parametrize("other", [Compute(threads=1, precision="bf16"), Compute(threads=2)])
def test_run_with_a_checkpoint_of_another_precision_or_more_threads_trains_from_scratch(
    other: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_WORTH_THREADS", 0)
    one = job(checkpoint_every=1)
    interrupted(one, tmp_path / "checkpoint", 2)

    assert run(one, other, checkpoint=tmp_path / "checkpoint").facts["resumed_from_epoch"] == 0


def test_run_with_a_batch_halved_before_the_kill_continues_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    greedy = job(NetworkSpec("greedy", {"width": 8, "most": 10}), checkpoint_every=1)
    interrupted(greedy, tmp_path / "checkpoint", 2)
    caplog.clear()

    resumed = run(greedy, CPU, checkpoint=tmp_path / "checkpoint")

    assert resumed.facts["batch_size"] == 8
    assert not caplog.records  # memory doesn't run out again
    assert same_weights(resumed, run(greedy, CPU))


def test_write_leaves_no_half_written_file(tmp_path: Path) -> None:
    path = tmp_path / "made" / "checkpoint"
    checkpoint.write(path, b"old")
    with path.open("rb") as held:
        checkpoint.write(path, b"new")
        assert held.read() == b"old"

    assert path.read_bytes() == b"new"
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint"]


def test_unpack_refuses_what_would_need_pickle() -> None:
    with pytest.raises(ValueError, match="Weights only load failed"):
        checkpoint.unpack(checkpoint.pack({"path": PurePosixPath("x")}))


def test_fingerprint_changes_with_all_that_decides_the_weights_and_nothing_else() -> None:
    one = job(validation=rows(40, seed=1))
    heavier, relabelled, other = rows(150), rows(150), rows(150)
    (values,) = one.train.inputs.arrays
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
        replace(one, train=replace(one.train, inputs=Inputs((values.reshape(-1, 4, 2),), one.train.inputs.names))),
    ]

    marks = [fingerprint(each, device="cpu") for each in (one, *changed)] + [fingerprint(one, device="cuda")]

    assert len(set(marks)) == len(marks)
    rarer = replace(one, settings=one.settings.model_copy(update={"checkpoint_every": 7}))
    assert fingerprint(rarer, device="cpu") == marks[0]
    assert fingerprint(job(validation=rows(40, seed=1)), device="cpu") == marks[0]


def test_fingerprint_changes_with_torch_and_with_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "loop.py"
    monkeypatch.setattr(checkpoint, "_code", checkpoint._code.__wrapped__)
    monkeypatch.setattr(checkpoint, "sources", lambda: [source])
    marks = []
    for version, text in (("2.13.0", "one"), ("2.13.0", "two"), ("2.13.1", "two")):
        source.write_text(text)
        monkeypatch.setattr(torch, "__version__", version)
        marks.append(fingerprint(job()))

    assert len(set(marks)) == 3


def test_fingerprint_reads_all_code_that_networks_are_made_of() -> None:
    read = {source.name for source in checkpoint.sources()}

    for name in ("mlp", "lstm", "attention"):
        module = importlib.import_module(f"pipeline.learning.models.networks.{name}")
        used = {sys.modules[each.__module__] for each in vars(module).values() if hasattr(each, "__module__")}
        own = {Path(str(each.__file__)).name for each in used if each.__name__.startswith("pipeline.")}
        assert own <= read
    assert {"loop.py", "schedule.py", "dropout.py", "sequence_network.py", "attention.py"} <= read


def test_run_offered_more_threads_than_pay_continues_from_the_same_checkpoint(tmp_path: Path) -> None:
    one = job(checkpoint_every=1)
    interrupted(one, tmp_path / "checkpoint", 2)

    resumed = run(one, Compute(threads=2), checkpoint=tmp_path / "checkpoint")

    assert (resumed.facts["threads"], resumed.facts["resumed_from_epoch"]) == (1, 2)
