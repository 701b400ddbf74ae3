import numpy as np
import pytest
import torch

from pipeline.errors import DataError
from pipeline.learning.compute import Compute
from pipeline.learning.models.networks import NetworkSpec
from pipeline.learning.training.loop import run
from pipeline.learning.training.nonfinite import NonFiniteError
from pipeline.learning.training.schedule import batch_cuts
from pipeline.learning.training.torch_state import derived_seed
from tests.learning.training.jobs import WIDTH, job, rows

CPU = Compute(threads=1)


def failure(one) -> NonFiniteError:  # type: ignore[no-untyped-def]
    with pytest.raises(NonFiniteError) as caught:
        run(one, CPU)
    assert isinstance(caught.value, DataError)
    return caught.value


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_run_with_a_broken_input_names_column_row_and_step(value: float) -> None:
    given = rows(150)
    given.inputs.arrays[0][77, 3] = value

    error = failure(job(train=given))

    # The order of the first epoch tells in which batch the row comes.
    order = torch.randperm(150, generator=torch.Generator().manual_seed(derived_seed(0, "order", 0))).tolist()
    step = int(np.searchsorted(batch_cuts(150, 32), order.index(77), side="right"))
    assert (error.epoch, error.step) == (1, step)
    assert error.culprit == f"input column column 3 is {value} in row row 77"
    assert str(error) == (
        f"training mlp stopped in epoch 1, step {step} of 5: input column column 3 is {value} in row row 77; mend the "
        "feature, or make it missing"
    )


def test_run_with_a_broken_weight_names_the_row() -> None:
    given = rows(150)
    given.weight[12] = np.nan

    assert failure(job(train=given)).culprit == "the weight of row row 12 is nan"


def test_run_with_a_broken_validation_row_names_it() -> None:
    held = rows(40, seed=1)
    held.inputs.arrays[0][5, 0] = np.inf

    error = failure(job(validation=held))

    assert (error.epoch, error.step) == (1, None)
    assert str(error).startswith("training mlp stopped in epoch 1, its validation: input column column 0 is inf in row")


def test_run_whose_network_grows_beyond_all_bounds_names_the_module_epoch_and_step() -> None:
    # Batches of 30: the seventh is the second of the second epoch.
    error = failure(job(NetworkSpec("fragile", {"width": WIDTH, "how": "output", "until": 7})))

    assert (error.epoch, error.step) == (2, 2)
    assert error.culprit == "the output of 1 (Grows) is not finite"


def test_run_whose_gradient_is_infinite_names_the_parameter() -> None:
    error = failure(job(NetworkSpec("fragile", {"width": WIDTH, "how": "gradient"})))

    assert (error.epoch, error.step) == (1, 1)
    assert error.culprit == "the gradient of parameter 1.zero is not finite"


def test_run_whose_weights_overflow_names_a_parameter_or_output() -> None:
    error = failure(job(learning_rate=1e38, gradient_clip=None, warmup=0.0, weight_decay=0.0))

    assert error.epoch == 1
    assert error.culprit.startswith(("parameter", "the output of", "the gradient of"))
    assert str(error).endswith("lower learning_rate or gradient_clip, or train in fp32")


def test_run_that_fails_in_a_later_epoch_tells_the_same_step_when_run_again() -> None:
    one = job(NetworkSpec("fragile", {"width": WIDTH, "how": "output", "until": 13}))

    first, second = failure(one), failure(one)

    assert (first.epoch, first.step) == (second.epoch, second.step) == (3, 3)
