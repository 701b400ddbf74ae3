import math
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.errors import DataError
from pipeline.learning.compute import Compute
from pipeline.learning.models.networks import NetworkSpec, build
from pipeline.learning.training.job import Job, Trained
from pipeline.learning.training.loop import run
from pipeline.learning.training.schedule import batch_cuts, learning_rate
from pipeline.learning.training.torch_state import derived_seed
from tests.learning.training.jobs import WIDTH, job, largest_difference, perceptron, rows, same_weights

CPU = Compute(threads=1)


def plain_training(one: Job) -> dict[str, torch.Tensor]:
    """The same training in the plainest words: torch's unfused AdamW, a loop over rows' losses."""
    torch.manual_seed(derived_seed(one.seed, "weights"))
    network = build(one.network)
    values, label = torch.from_numpy(one.train.inputs.arrays[0]), torch.from_numpy(one.train.label)
    weight = torch.from_numpy(one.train.weight)
    half = weight.double().mean() / 2
    share = (weight @ label + half) / (weight.sum() + 2 * half)
    offset = torch.log(share / (1 - share))
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    decay = one.settings.weight_decay
    groups = [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, fused=False, foreach=False)
    for epoch in range(one.epochs):
        generator = torch.Generator().manual_seed(derived_seed(one.seed, "order", epoch))
        order = torch.randperm(len(label), generator=generator)
        cuts = batch_cuts(len(label), one.settings.batch_size)
        for step, batch in enumerate(np.split(order.numpy(), cuts[1:-1])):
            logits = network(values[batch]) + offset
            chance = torch.sigmoid(logits)
            losses = -(label[batch] * chance.log() + (1 - label[batch]) * (1 - chance).log())
            loss = (losses * weight[batch]).sum() / weight[batch].sum()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), one.settings.gradient_clip or math.inf)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate((epoch + step / (len(cuts) - 1)) / one.settings.epochs, one.settings)
            optimizer.step()
    return network.state_dict()


@pytest.mark.parametrize("clip", [None, 0.05])
def test_run_without_dropout_gives_the_weights_of_a_plain_loop(clip: float | None) -> None:
    one = job(perceptron(dropout=0.0), epochs=3, gradient_clip=clip, weight_decay=0.5, warmup=0.2)

    trained = run(one, CPU)

    expected = plain_training(one)
    for name, weights in trained.state.items():
        torch.testing.assert_close(weights, expected[name], rtol=1e-4, atol=1e-5)


def test_run_twice_gives_the_same_bits() -> None:
    one = job(validation=rows(50, seed=1))

    assert same_weights(run(one, CPU), run(one, CPU))


def test_run_after_other_random_numbers_gives_the_same_bits() -> None:
    first = run(job(), CPU)
    torch.manual_seed(99)
    torch.rand(7)

    assert same_weights(first, run(job(), CPU))


def test_run_with_another_seed_gives_other_weights() -> None:
    assert not same_weights(run(job(seed=1), CPU), run(job(seed=2), CPU))


def test_run_in_two_threads_at_once_gives_the_same_bits_as_alone() -> None:
    alone = run(job(epochs=8), CPU)
    found: list[Trained] = []
    threads = [threading.Thread(target=lambda: found.append(run(job(epochs=8), CPU))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [same_weights(alone, one) for one in found] == [True, True]


def test_run_leaves_torch_as_it_was() -> None:
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        before = torch.get_rng_state()
        run(job(), CPU)
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.get_num_threads() == 2
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(threads)


def test_run_that_fails_leaves_torch_as_it_was() -> None:
    def stop(epoch: int, figures: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job(), CPU, observe=stop)

    assert not torch.are_deterministic_algorithms_enabled()


def test_run_learns_what_there_is_to_learn() -> None:
    one = job(train=rows(400), validation=rows(400, seed=1), epochs=20)

    trained = run(one, CPU)

    share = float(one.train.label.mean())
    base = -(share * math.log(share) + (1 - share) * math.log(1 - share))
    assert min(figures["validation_loss"] for figures in trained.log) < base - 0.15


def test_run_stops_when_the_validation_loss_has_not_fallen_for_as_long_as_patience() -> None:
    one = job(train=rows(60), validation=rows(60, seed=1, strength=-2.0), epochs=50, patience=3)

    trained = run(one, CPU)

    losses = [figures["validation_loss"] for figures in trained.log]
    assert trained.best_epoch == 1 + int(np.argmin(losses))
    assert len(losses) == trained.best_epoch + 3 < 50


def test_run_with_validation_gives_the_weights_of_the_best_epoch() -> None:
    searched = run(job(validation=rows(60, seed=1, strength=0.5), epochs=30, patience=4), CPU)

    # Rows that tell when to stop are not learned from: as many epochs of the same schedule without them are the same.
    straight = run(replace(job(epochs=30), epochs=searched.best_epoch), CPU)

    assert searched.best_epoch < len(searched.log)
    assert same_weights(searched, straight)


def test_run_tells_each_epoch_as_it_logs_it() -> None:
    told: list[tuple[int, dict[str, float]]] = []

    trained = run(
        job(validation=rows(40, seed=1)), CPU, observe=lambda epoch, figures: told.append((epoch, dict(figures)))
    )

    assert told == list(enumerate(trained.log, 1))
    assert list(told[0][1]) == [
        "train_loss",
        "validation_loss",
        "learning_rate",
        "gradient_norm",
        "samples_per_second",
    ]
    assert trained.facts["epochs"] == 4
    assert trained.facts["parameters"] == WIDTH * 16 + 16 + 32 + 17
    assert (trained.facts["device"], trained.facts["precision"], trained.facts["batch_size"]) == ("cpu", "fp32", 32)


def test_run_with_an_untrained_network_begins_at_the_base_rate() -> None:
    given = rows(150)
    trained = run(job(train=given, epochs=1, learning_rate=1e-12), CPU)

    share = np.average(given.label, weights=given.weight)
    assert trained.offset == pytest.approx(math.log(share / (1 - share)), abs=0.01)
    expected = -(share * math.log(share) + (1 - share) * math.log(1 - share))
    assert trained.log[0]["train_loss"] == pytest.approx(expected, abs=1e-4)


def test_run_with_one_class_only_is_finite() -> None:
    given = rows(20)
    given.label[:] = 1.0

    assert math.isfinite(run(job(train=given), CPU).offset)


def test_run_with_a_row_weighing_two_learns_as_from_two_rows() -> None:
    given = rows(64)
    given.weight[:] = 1.0
    twice = np.r_[np.arange(64), np.arange(10)]
    repeated = type(given)(
        given.inputs.take(twice), given.label[twice], given.weight[twice], [given.names[row] for row in twice]
    )
    weighted = rows(64)
    weighted.weight[:] = 1.0
    weighted.weight[:10] = 2.0

    # The base rate's smoothing is half an average row, which differs by a few thousandths.
    one, other = (run(job(perceptron(0.0), train=each, batch_size=512, epochs=3), CPU) for each in (repeated, weighted))

    assert largest_difference(one, other) < 1e-3


def test_run_in_bfloat16_keeps_weights_in_float32_and_comes_near() -> None:
    exact = run(job(perceptron(0.0)), CPU)
    rounded = run(job(perceptron(0.0)), Compute(precision="bf16", threads=1))

    assert {weights.dtype for weights in rounded.state.values()} == {torch.float32}
    assert 0 < largest_difference(exact, rounded) < 0.05
    assert rounded.log[-1]["train_loss"] == pytest.approx(exact.log[-1]["train_loss"], abs=0.01)
    assert same_weights(rounded, run(job(perceptron(0.0)), Compute(precision="bf16", threads=1)))


@pytest.mark.parametrize("ask", [False, True], ids=["torch.OutOfMemoryError", "allocator of the processor"])
def test_run_out_of_memory_halves_the_batch_and_goes_on(ask: bool, caplog: pytest.LogCaptureFixture) -> None:
    network = NetworkSpec("greedy", {"width": WIDTH, "most": 10, "ask": ask})

    trained = run(job(network), CPU)

    assert trained.facts["batch_size"] == 8
    assert [record.message.rsplit(" ", 1)[1] for record in caplog.records] == ["16", "8"]
    assert same_weights(trained, run(job(network, batch_size=8), CPU))


def test_run_out_of_memory_in_the_middle_of_an_epoch_trains_it_from_its_start() -> None:
    # Five steps an epoch: memory runs out at the first of the second epoch, or at its third.
    first, third = (
        run(job(NetworkSpec("greedy", {"width": WIDTH, "most": 16, "after": after})), CPU) for after in (5, 7)
    )

    assert first.facts["batch_size"] == third.facts["batch_size"] == 16
    assert same_weights(first, third)


def test_run_out_of_memory_for_one_row_says_so() -> None:
    network = NetworkSpec("greedy", {"width": WIDTH, "most": 0})

    with pytest.raises(DataError, match="needs more memory for one row than cpu has"):
        run(job(network), CPU)


class CountedWaits(TorchDispatchMode):
    """Counts what would make the processor wait for a device: values read by Python, sizes that depend on values."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.equal):
            self.waits += 1
        return func(*args, **(kwargs or {}))


def test_run_waits_for_the_device_no_more_often_for_more_steps() -> None:
    waits = []
    for batch_size in (150, 3):
        with CountedWaits() as counted:
            run(job(validation=rows(40, seed=1), batch_size=batch_size, epochs=2), CPU)
        waits.append(counted.waits)

    assert waits[0] == waits[1]


@pytest.mark.parametrize(("rows_", "size"), [(1, 8), (8, 8), (9, 8), (150, 32), (1408, 256), (5, 1)])
def test_batch_cuts_covers_all_rows_in_even_parts(rows_: int, size: int) -> None:
    cuts = batch_cuts(rows_, size)

    sizes = np.diff(cuts)
    assert (cuts[0], cuts[-1]) == (0, rows_)
    assert len(sizes) == math.ceil(rows_ / size)
    assert sizes.max() - sizes.min() <= 1
    assert sizes.max() <= size


def test_learning_rate_rises_then_falls() -> None:
    settings = job(learning_rate=2.0, warmup=0.2).settings

    found = [learning_rate(progress, settings) for progress in (0.0, 0.1, 0.2, 0.6, 1.0)]

    assert found == pytest.approx([0.0, 1.0, 2.0, 1.0, 0.0])
    assert learning_rate(0.9, settings.model_copy(update={"schedule": "constant"})) == 2.0


def test_run_of_a_network_that_no_memory_holds_says_so() -> None:
    network = NetworkSpec("mlp", {"width": WIDTH, "layers": [2**53], "dropout": 0.0})

    with pytest.raises(DataError, match="cpu has no memory for the network of mlp and 150 rows"):
        run(job(network), CPU)
