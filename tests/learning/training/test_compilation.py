import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.learning.compute import Compute
from pipeline.learning.training.compilation import earns_back, pays
from pipeline.learning.training.loop import run
from tests.learning.training.jobs import job, largest_difference, perceptron, rows, same_weights

CPU = Compute(threads=1)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the processor")
def test_run_compiled_gives_the_weights_of_the_plain_network_and_the_same_bits_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # another test's folder may have names with spaces
    one = job(perceptron(0.0), epochs=2, compile="always")

    first, second = run(one, CPU), run(one, CPU)

    assert first.facts["compiled"]
    assert same_weights(first, second)
    plain = run(job(perceptron(0.0), epochs=2, compile="never"), CPU)
    assert not plain.facts["compiled"]
    assert largest_difference(first, plain) < 1e-4


def test_pays_on_the_processor_never() -> None:
    assert not pays(replace(job(train=rows(1000), batch_size=1), epochs=100_000), "cpu")


def test_earns_back_from_a_number_of_steps_on() -> None:
    one = job(train=rows(1000), batch_size=100)

    assert not earns_back(replace(one, epochs=19_999))
    assert earns_back(replace(one, epochs=20_000))
