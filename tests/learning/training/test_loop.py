import math
import os
import threading
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.errors import ConfigurationError, DataError
from pipeline.learning.compute import CUBLAS_VARIABLE, Compute
from pipeline.learning.models.networks import NetworkSpec, build
from pipeline.learning.training import loop, torch_state
from pipeline.learning.training.job import Inputs, Job, Trained
from pipeline.learning.training.loop import is_out_of_memory, run
from pipeline.learning.training.place import Place
from pipeline.learning.training.resident import aligned_tensor
from pipeline.learning.training.schedule import batch_cuts, learning_rate
from pipeline.learning.training.torch_state import derived_seed, settled
from tests.learning.training.jobs import WIDTH, job, largest_difference, perceptron, rows, same_weights

CPU = Compute(threads=1)


def plain_training(one: Job) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    """The same training in the plainest words: torch's unfused AdamW, a loop over rows' losses; weights and log."""
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
    log = []
    for epoch in range(one.epochs):
        lost, weighed, norms = 0.0, 0.0, []
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
            norms.append(float(nn.utils.clip_grad_norm_(network.parameters(), one.settings.gradient_clip or math.inf)))
            lost, weighed = lost + float((losses * weight[batch]).sum().detach()), weighed + float(weight[batch].sum())
            for group in optimizer.param_groups:
                group["lr"] = learning_rate((epoch + step / (len(cuts) - 1)) / one.settings.epochs, one.settings)
            optimizer.step()
        rate = optimizer.param_groups[0]["lr"]
        log.append({"train_loss": lost / weighed, "learning_rate": rate, "gradient_norm": float(np.mean(norms))})
    return network.state_dict(), log


@pytest.mark.parametrize("clip", [None, 0.05])
def test_run_without_dropout_gives_the_weights_of_a_plain_loop(clip: float | None) -> None:
    one = job(perceptron(dropout=0.0), epochs=3, gradient_clip=clip, weight_decay=0.5, warmup=0.2)

    trained = run(one, CPU)

    expected, log = plain_training(one)
    for name, weights in trained.state.items():
        torch.testing.assert_close(weights, expected[name], rtol=1e-4, atol=1e-5)
    for told, figures in zip(trained.log, log, strict=True):
        assert {name: told[name] for name in figures} == pytest.approx(figures, rel=1e-4)
    assert trained.best_epoch == 3


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


def test_run_seeds_no_gpu_that_it_does_not_train_on() -> None:
    # Seeds for GPUs that are not in use yet wait for their first use, and would be found there.
    before = torch.cuda._lazy_seed_tracker.get_calls()

    run(job(), CPU)

    assert torch.cuda._lazy_seed_tracker.get_calls() == before


def products() -> dict[str, str]:
    """In which precision torch multiplies float32."""
    kinds = {
        "cuda": torch.backends.cuda.matmul,
        "mkldnn": torch.backends.mkldnn.matmul,
        "rnn": torch.backends.mkldnn.rnn,
    }
    return {name: kind.fp32_precision for name, kind in kinds.items()}


@pytest.mark.parametrize(
    "newer", [False, True], ids=["by the older setting", "by the newer, which the older can't tell"]
)
def test_settled_multiplies_float32_as_such_and_puts_back_what_was_set(newer: bool) -> None:
    try:
        if newer:
            torch.backends.cuda.matmul.fp32_precision = "tf32"
            torch.backends.mkldnn.rnn.fp32_precision = "bf16"
        else:
            torch.set_float32_matmul_precision("medium")
        before = products()
        with settled(torch.device("cpu"), 1):
            inside = products()
            assert torch.get_float32_matmul_precision() == "highest"
        after = products()
        if not newer:
            assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
        for kind in (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul, torch.backends.mkldnn.rnn):
            kind.fp32_precision = "none"

    assert set(inside.values()) == {"ieee"}
    assert after == before
    assert "tf32" in before.values()


def test_settled_for_a_gpu_keeps_cudnns_lstm_out_of_tf32() -> None:
    cudnn = torch.backends.cudnn
    before = (cudnn.allow_tf32, cudnn.rnn.fp32_precision, cudnn.conv.fp32_precision)
    assert before == (True, "tf32", "tf32")

    with ExitStack() as undo:
        torch_state._settle_products(undo, cuda=True)
        inside = (cudnn.allow_tf32, cudnn.rnn.fp32_precision, cudnn.conv.fp32_precision)

    assert inside == (False, "ieee", "ieee")
    assert (cudnn.allow_tf32, cudnn.rnn.fp32_precision, cudnn.conv.fp32_precision) == before


def test_settled_puts_back_determinism_as_it_was_and_settles_within_itself() -> None:
    def state() -> tuple[bool, ...]:
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
            torch.backends.cudnn.benchmark,
        )

    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = True
    try:
        before = state()
        with settled(torch.device("cpu"), 2), settled(torch.device("cpu"), 3):
            assert state() == (True, False, False, False)
            assert torch.get_num_threads() == 3
        assert state() == before == (True, True, True, True)
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = False


def test_derived_seed_is_another_for_each_seed_purpose_and_epoch() -> None:
    purposes = [("weights",), *((name, epoch) for name in ("order", "dropout") for epoch in range(20))]

    seeds = {derived_seed(seed, *purpose) for seed in range(20) for purpose in purposes}

    assert len(seeds) == 20 * len(purposes)
    assert 0 <= min(seeds) < max(seeds) < 2**63


def test_settle_cublas_refuses_what_torch_would_refuse_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CUBLAS_VARIABLE, raising=False)
    torch_state._settle_cublas()
    assert os.environ[CUBLAS_VARIABLE] == ":4096:8"

    monkeypatch.setenv(CUBLAS_VARIABLE, ":4096:2:16:8")
    with pytest.raises(ConfigurationError, match=r"CUBLAS_WORKSPACE_CONFIG is ':4096:2:16:8'.*set it to :4096:8 or"):
        torch_state._settle_cublas()


def test_threads_of_a_network_are_counted_without_drawing_random_numbers() -> None:
    network = NetworkSpec("attention", {"channels": [2], "steps": [4], "width": 8, "heads": 2})
    before = torch.get_rng_state()

    assert loop._threads(job(network), Compute(threads=4), Place(torch.device("cpu"))) == 1
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("width", "threads", "world", "found"), [(8192, 6, 1, 6), (8192, 6, 2, 3), (64, 6, 1, 1)])
def test_threads_are_more_than_one_for_large_products_and_shared_by_processes(
    width: int, threads: int, world: int, found: int
) -> None:
    network = NetworkSpec("mlp", {"width": WIDTH, "layers": [width, width]})

    assert loop._threads(job(network), Compute(threads=threads), Place(torch.device("cpu"), 0, world)) == found


def test_threads_count_the_products_of_each_step_of_a_sequence() -> None:
    network = NetworkSpec("lstm", {"channels": [WIDTH], "width": 256})
    given = rows(150)

    def steps(count: int) -> Job:
        values = np.repeat(given.inputs.arrays[0][:, None], count, axis=1)
        return job(network, train=replace(given, inputs=Inputs((values, values > 9), given.inputs.names * 2)))

    assert [loop._threads(steps(count), Compute(threads=2), Place(torch.device("cpu"))) for count in (5, 500)] == [1, 2]


def test_aligned_tensor_is_a_copy_that_begins_at_64_bytes_filled_up_with_zeros() -> None:
    values = np.arange(24, dtype=np.float32).reshape(8, 3)

    for first in range(4):
        made = aligned_tensor(values[first:], 9)
        assert made.data_ptr() % 64 == 0
        assert made.shape == (9, 3)
        assert (made[: 8 - first].numpy() == values[first:]).all()
        assert not made[8 - first :].any()
    assert len(aligned_tensor(np.ones(5, np.bool_))) == 5
    aligned_tensor(values)[:] = -1
    assert values.min() == 0


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


def test_run_tells_the_weighted_loss_of_all_validation_rows_without_dropout() -> None:
    held = rows(75, seed=1)  # in batches of 25
    trained = run(job(perceptron(0.5), validation=held, epochs=3), CPU)

    network = build(perceptron(0.5)).eval()
    network.load_state_dict(trained.state)
    with torch.no_grad():
        logits = network(torch.from_numpy(held.inputs.arrays[0])).numpy() + trained.offset
    losses = np.logaddexp(0, -logits) + (1 - held.label) * logits
    expected = np.average(losses, weights=held.weight)
    assert trained.log[trained.best_epoch - 1]["validation_loss"] == pytest.approx(expected, rel=1e-5)


def test_run_whose_validation_loss_stays_the_same_takes_the_first_epoch() -> None:
    trained = run(job(validation=rows(75, seed=1), epochs=4, learning_rate=1e-30), CPU)

    assert trained.best_epoch == 1


def test_run_begins_with_the_weights_of_its_seed_alone() -> None:
    first, second = (run(job(seed=seed, epochs=1, learning_rate=1e-30), CPU).state for seed in (1, 2))

    torch.manual_seed(derived_seed(1, "weights"))
    expected = build(perceptron()).state_dict()
    assert all(float((first[name] - expected[name]).abs().max()) < 1e-20 for name in expected)
    assert not torch.equal(first["body.1.weight"], second["body.1.weight"])


@pytest.mark.parametrize(("dropout", "ways"), [(0.0, 1), (0.5, 3)])
def test_run_draws_dropout_again_in_each_epoch(dropout: float, ways: int) -> None:
    # Rows that are all the same, whose order tells nothing, and weights that stay: gradients differ by dropout alone.
    given = rows(64)
    given.inputs.arrays[0][:] = given.inputs.arrays[0][0]
    given.label[:], given.weight[:] = 1.0, 1.0

    trained = run(job(perceptron(dropout), train=given, batch_size=64, epochs=3, learning_rate=1e-30), CPU)

    assert len({round(row["gradient_norm"], 6) for row in trained.log}) == ways


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
    assert trained.facts["samples_per_second"] * trained.facts["seconds"] == pytest.approx(4 * 150)


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
def test_run_out_of_memory_halves_the_batch_and_continues(ask: bool, caplog: pytest.LogCaptureFixture) -> None:
    network = NetworkSpec("greedy", {"width": WIDTH, "most": 10, "ask": ask})

    trained = run(job(network), CPU)

    assert trained.facts["batch_size"] == 8
    assert [record.message.rsplit(" ", 1)[1] for record in caplog.records] == ["16", "8"]
    assert same_weights(trained, run(job(network, batch_size=8), CPU))


@pytest.mark.parametrize(("most", "batch_size"), [(16, 16), (10, 8)], ids=["once", "twice"])
def test_run_out_of_memory_in_the_middle_of_an_epoch_trains_it_from_its_start(most: int, batch_size: int) -> None:
    # Five steps an epoch: memory runs out at the first of the second epoch, or at its third.
    first, third = (
        run(job(NetworkSpec("greedy", {"width": WIDTH, "most": most, "after": after})), CPU) for after in (5, 7)
    )

    assert first.facts["batch_size"] == third.facts["batch_size"] == batch_size
    assert same_weights(first, third)


def test_run_out_of_memory_with_a_batch_above_all_rows_halves_the_rows(caplog: pytest.LogCaptureFixture) -> None:
    trained = run(job(NetworkSpec("greedy", {"width": WIDTH, "most": 80}), batch_size=1000), CPU)

    assert trained.facts["batch_size"] == 75
    assert len(caplog.records) == 1


def test_run_out_of_memory_for_the_weights_themselves_says_so() -> None:
    with pytest.raises(DataError, match="cpu has no memory for the network of mlp and 150 rows"):
        run(job(NetworkSpec("greedy", {"width": WIDTH, "most": 99, "hoards": True})), CPU)


@pytest.mark.parametrize(
    ("message", "memory"),
    [
        ("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to", True),
        ("CUDA error: out of memory\nCUDA kernel errors might be reported asynchronously", True),
        ("HIP error: out of memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("CUDA error: device-side assert triggered", False),
    ],
)
def test_is_out_of_memory_by_the_words_of_drivers_and_libraries(message: str, memory: bool) -> None:
    assert is_out_of_memory(RuntimeError(message)) is memory
    assert not is_out_of_memory(KeyError(message))


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
