"""The same lines on a GPU; they need one, of NVIDIA or AMD."""

import numpy as np
import pytest
import torch

from pipeline.learning.compute import Compute
from pipeline.learning.training.distributed import train
from pipeline.learning.training.loop import run
from tests.learning.training.jobs import WIDTH, FailingSpec, job, largest_difference, perceptron, rows, same_weights

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA or ROCm device")

CPU, GPU = Compute(threads=1), Compute(devices=("cuda:0",))


def test_run_on_a_gpu_gives_the_weights_of_the_processor() -> None:
    one = job(perceptron(0.0), validation=rows(75, seed=1), epochs=3)

    assert largest_difference(run(one, CPU), run(one, GPU)) < 1e-4


def test_run_on_a_gpu_twice_gives_the_same_bits() -> None:
    one = job(validation=rows(75, seed=1))

    assert same_weights(run(one, GPU), run(one, GPU))


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
