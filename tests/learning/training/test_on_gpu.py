"""The same lines on a GPU; they need one, of NVIDIA or AMD."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import DataError
from pipeline.learning.compute import Compute, Precision
from pipeline.learning.models.networks import NetworkSpec
from pipeline.learning.training.distributed import train
from pipeline.learning.training.job import Inputs, Job
from pipeline.learning.training.loop import run
from tests.learning.training.jobs import WIDTH, FailingSpec, job, largest_difference, perceptron, rows, same_weights

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA or ROCm device")

CPU, GPU = Compute(threads=1), Compute(devices=("cuda:0",))

LSTM = NetworkSpec("lstm", {"channels": [2], "width": 32})
ATTENTION = NetworkSpec("attention", {"channels": [2], "steps": [4], "width": 32, "heads": 4})


def sequences(network: NetworkSpec, dropout: float) -> Job:
    """Rows of four steps, one in five of whose values is missing."""
    given = rows(150)
    values = given.inputs.arrays[0].reshape(-1, 4, 2)
    known = np.random.default_rng(0).random(values.shape) > 0.2
    inputs = Inputs((values, known), given.inputs.names * 2)
    network = NetworkSpec(network.name, {**network.arguments, "dropout": dropout})
    return job(network, train=replace(given, inputs=inputs), epochs=3)


def test_run_on_a_gpu_gives_the_weights_of_the_processor() -> None:
    one = job(perceptron(0.0), validation=rows(75, seed=1), epochs=3)

    assert largest_difference(run(one, CPU), run(one, GPU)) < 1e-4


@pytest.mark.parametrize("network", [LSTM, ATTENTION], ids=["lstm", "attention"])
def test_run_of_sequences_on_a_gpu_gives_the_weights_of_the_processor(network: NetworkSpec) -> None:
    one = sequences(network, dropout=0.0)

    # TF32, which cuDNN's LSTM takes by itself, would differ by a thousandth.
    assert largest_difference(run(one, CPU), run(one, GPU)) < 1e-4


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_run_on_a_gpu_twice_gives_the_same_bits(precision: Precision) -> None:
    compute = Compute(devices=("cuda:0",), precision=precision)
    for one in (job(validation=rows(75, seed=1)), sequences(LSTM, 0.3), sequences(ATTENTION, 0.3)):
        assert same_weights(run(one, compute), run(one, compute))


def test_run_on_a_gpu_leaves_torch_as_it_was() -> None:
    def state() -> tuple[object, ...]:
        cudnn = torch.backends.cudnn
        generators = [torch.cuda.get_rng_state(device).tolist() for device in range(torch.cuda.device_count())]
        return cudnn.allow_tf32, cudnn.rnn.fp32_precision, torch.cuda.get_per_process_memory_fraction(0), generators

    before = state()
    run(job(), Compute(devices=("cuda:0",), memory_share=0.5))

    assert state() == before


def test_run_on_a_gpu_continues_after_a_kill_to_the_same_bits(tmp_path: Path) -> None:
    def stop(epoch: int, figures: object) -> None:
        if epoch == 2:
            raise InterruptedError

    one = job(validation=rows(75, seed=1), checkpoint_every=1)
    with pytest.raises(InterruptedError):
        run(one, GPU, checkpoint=tmp_path / "checkpoint", observe=stop)

    resumed = run(one, GPU, checkpoint=tmp_path / "checkpoint")

    assert resumed.facts["resumed_from_epoch"] == 2
    assert same_weights(resumed, run(one, GPU))


def test_run_on_a_gpu_whose_share_of_memory_is_too_small_says_so() -> None:
    layers = [32 * int(0.02 * torch.cuda.get_device_properties(0).total_memory // (4 * 32 * WIDTH))]
    network = NetworkSpec("mlp", {"width": WIDTH, "layers": layers, "dropout": 0.0})

    with pytest.raises(DataError, match="cuda:0 has no memory for the network"):
        run(job(network), Compute(devices=("cuda:0",), memory_share=0.01))


def test_run_on_a_gpu_in_bfloat16_comes_near() -> None:
    one = job(perceptron(0.0))

    assert largest_difference(run(one, GPU), run(one, Compute(devices=("cuda:0",), precision="bf16"))) < 0.05


def test_run_on_a_gpu_waits_once_an_epoch() -> None:
    one = job(epochs=1, batch_size=2)
    run(one, GPU)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchronizing") as caught:
            run(one, GPU)
    finally:
        torch.cuda.set_sync_debug_mode("default")

    # 75 steps; rows and order go to the device, figures and weights come back.
    assert len(caught) < 40


def test_run_on_a_gpu_that_is_really_out_of_memory_halves_the_batch() -> None:
    wide = np.zeros((4096, 8), np.float32)
    given = rows(4096)
    given.inputs.arrays[0][:] = wide
    memory = torch.cuda.get_device_properties(0).total_memory
    # Activations of the whole batch in one hidden layer take the whole device.
    layers = [int(memory // (4 * 4096))]
    network = FailingSpec("mlp", {"width": WIDTH, "layers": layers, "dropout": 0.0})

    trained = run(job(network, train=given, batch_size=4096, epochs=1), GPU)

    assert trained.facts["batch_size"] < 4096


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_train_by_two_gpus_gives_the_weights_of_one() -> None:
    one = job(perceptron(0.0), validation=rows(75, seed=1), epochs=3)

    together = train(one, Compute(devices=("cuda:0", "cuda:1")))

    assert largest_difference(train(one, GPU), together) < 1e-4
