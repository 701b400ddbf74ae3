"""The training bench: its loops learn the same, every row is told, and what is not there is said."""

import doctest
import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from bench import training
from bench.training import bench_training, crossing_rows, crossover
from bench.training_loops import plain_loop, with_dropout_of_torch
from pipeline.errors import ConfigurationError
from pipeline.learning.compute import CPU, Compute
from pipeline.learning.models.dropout import Dropout
from pipeline.learning.models.networks import build

pytestmark = pytest.mark.slow

KEYS = {
    "engine",
    "workload",
    "unit",
    "per_second",
    "times_plain",
    "ratio_to_floor",
    "agrees",
    "note",
}


def test_bench_training_ours_agrees_with_the_plain_loop_and_lightgbm_with_itself() -> None:
    found = json.loads(json.dumps(bench_training(rows=700, columns=10, epochs=2, trees=4, repeat=1, compiled=False)))

    assert all(set(row) == KEYS for row in found)
    rows = {row["engine"]: row for row in found}
    ours, plain, floor = (
        rows[name]
        for name in ("ours, cpu, fp32", "plain DataLoader loop, cpu, fp32", "floor: forward, backward, step, cpu, fp32")
    )
    assert ours["agrees"] is True
    for engine in ("matrix products alone, cpu, fp32", "the floor with torch's dropout, cpu, fp32"):
        assert rows[engine]["times_plain"] == pytest.approx(rows[engine]["per_second"] / plain["per_second"])
    assert (plain["times_plain"], floor["ratio_to_floor"]) == (1, 1)
    assert ours["times_plain"] == pytest.approx(ours["per_second"] / plain["per_second"])
    assert ours["ratio_to_floor"] == pytest.approx(floor["per_second"] / ours["per_second"])
    assert rows["LightGBM, ours"]["agrees"] is True
    assert rows["LightGBM, its defaults"]["per_second"] > 0
    if not torch.cuda.is_available():
        for engine in ("ours, on a GPU", "crossover to a GPU"):
            assert rows[engine]["per_second"] is None
            assert rows[engine]["note"] == "not measured: torch sees no GPU here"


def test_plain_loop_with_another_learning_rate_is_far_outside_the_tolerance() -> None:
    job = training._job(training.made_table(300, 4, 0), 2, 0)
    other = replace(job, settings=job.settings.model_copy(update={"learning_rate": 1.01e-3}))

    losses = [plain_loop(each, CPU, 0.0, same_order=True) for each in (job, other)]

    assert abs(losses[0][1] / losses[1][1] - 1) > 3 * training._TOLERANCE["fp32"]


def test_plain_loop_learns_with_the_dropout_of_torch() -> None:
    job = training._job(training.made_table(300, 4, 0), 2, 0)

    network = with_dropout_of_torch(build(job.network))

    kinds = [type(module) for module in network.modules() if isinstance(module, nn.Dropout)]
    assert kinds == [nn.Dropout] * 3
    assert [module.p for module in network.modules() if isinstance(module, nn.Dropout)] == [0.1, 0.3, 0.3]
    assert sum(type(module) is Dropout for module in build(job.network).modules()) == 3


def test_agree_holds_for_bfloat16_and_uneven_batches() -> None:
    job = training._job(training.made_table(611, 33, 1), 2, 1)

    assert training._agree(job, Compute(precision="bf16"))[0]
    assert training._agree(job, CPU)[0]


def test_crossing_rows_are_two_a_size_and_what_they_say() -> None:
    rows = crossing_rows(CPU, Compute(precision="bf16"), 4, 1, 0, sizes=(20, 40))

    assert [row["engine"] for row in rows[:-1]] == ["ours, cpu, fp32", "ours, cpu, bf16"] * 2
    assert all(row["per_second"] > 0 for row in rows[:-1])
    assert rows[-1]["engine"] == "crossover to a GPU"
    assert "cpu is the" in rows[-1]["note"]


@pytest.mark.parametrize(
    ("processor", "gpu", "begins"),
    [
        ([1, 2, 3], [2, 3, 4], None),
        ([1, 2, 3], [0.5, 1, 1], 10),
        ([1, 2, 3], [0.5, 3, 1], 1000),
        ([1, 2, 3], [0.5, 1, 3], None),
    ],
)
def test_crossover_is_the_size_from_which_on_the_gpu_is_faster(
    processor: list[float], gpu: list[float], begins: int | None
) -> None:
    assert crossover([10, 100, 1000], processor, gpu) == begins


@pytest.mark.parametrize("settings", [{"rows": 9}, {"columns": 0}, {"epochs": 0}, {"trees": 0}, {"repeat": 0}])
def test_bench_training_impossible_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="or more"):
        bench_training(**settings)


def test_examples_run_as_written() -> None:
    assert doctest.testmod(training).failed == 0
