from collections.abc import Callable

import numpy as np
import pytest
import torch

from pipeline.errors import DataError
from pipeline.learning.compute import Compute
from pipeline.learning.models.networks import NetworkSpec, build
from pipeline.learning.training.loop import run
from pipeline.learning.training.nonfinite import NonFiniteError, find_culprit
from pipeline.learning.training.schedule import batch_cuts
from pipeline.learning.training.torch_state import derived_seed
from tests.learning.training.jobs import WIDTH, job, perceptron, rows

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
        f"training mlp stopped in epoch 1, step {step} of 5: input column column 3 is {value} in row row 77; fix the "
        "feature, or make it missing"
    )


@pytest.mark.parametrize("what", ["label", "weight"])
def test_run_with_a_broken_label_or_weight_names_the_row(what: str) -> None:
    given = rows(150)
    getattr(given, what)[12] = np.nan

    assert failure(job(train=given)).culprit == f"the {what} of row row 12 is nan"


def test_find_culprit_names_a_parameter_before_what_comes_of_it() -> None:
    given, network = rows(10), build(perceptron())
    network.body[1].weight.data[3, 2] = np.inf
    values = torch.from_numpy(given.inputs.arrays[0])

    culprit, advice = find_culprit(network, [values], given, torch.arange(10), lambda: network(values).sum())

    assert culprit == "parameter body.1.weight is not finite"
    assert advice == "lower learning_rate or gradient_clip, or train in fp32"


def test_find_culprit_leaves_no_hooks_behind() -> None:
    given, network = rows(10), build(perceptron())
    values = torch.from_numpy(given.inputs.arrays[0])

    culprit, _ = find_culprit(network, [values], given, torch.arange(10), lambda: network(values).sum())

    assert culprit == "the loss or a gradient was not finite, and is when computed again"
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("loss_of", "message"),
    [
        (lambda outputs: outputs.sum() + np.inf, "the loss is inf"),
        # Every gradient is NaN: the one nearest to the loss is named.
        (lambda outputs: (outputs * 0).sum().sqrt(), "the gradient of parameter head.bias is not finite"),
    ],
)
def test_find_culprit_searches_backwards_from_the_loss(
    loss_of: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    given, network = rows(10), build(perceptron())
    values = torch.from_numpy(given.inputs.arrays[0])

    found = find_culprit(network, [values], given, torch.arange(10), lambda: loss_of(network(values)))

    assert found[0] == message


def test_run_with_a_broken_validation_row_names_it() -> None:
    held = rows(40, seed=1)
    held.inputs.arrays[0][5, 0] = np.inf

    error = failure(job(validation=held))

    assert (error.epoch, error.step) == (1, None)
    assert str(error).startswith("training mlp stopped in epoch 1, its validation: input column column 0 is inf in row")


def test_run_whose_network_breaks_in_validation_alone_names_the_module() -> None:
    error = failure(job(NetworkSpec("fragile", {"width": WIDTH, "how": "validation"}), validation=rows(40, seed=1)))

    assert (error.epoch, error.step) == (1, None)
    assert error.culprit == "the output of 1 (Unlearned) is not finite"


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


def test_run_whose_last_step_breaks_the_weights_says_so() -> None:
    # One step of one epoch, without validation: no later loss tells.
    one = job(epochs=1, batch_size=512, learning_rate=3e38, warmup=0.0, weight_decay=1e3)

    error = failure(one)

    assert (error.epoch, error.step) == (1, 1)
    assert error.culprit.endswith("is not finite after it")
    assert str(error).startswith("training mlp stopped in epoch 1, step 1 of 1: ")


def test_run_whose_gradients_are_finite_and_their_norm_is_not_says_so() -> None:
    # The square of a gradient above 2e19 is more than float32 holds.
    error = failure(job(NetworkSpec("fragile", {"width": WIDTH, "how": "steep"})))

    assert (error.epoch, error.step) == (1, 1)
    assert error.culprit == "the norm of all gradients is not finite"


def test_run_that_fails_in_a_later_epoch_tells_the_same_step_when_run_again() -> None:
    one = job(NetworkSpec("fragile", {"width": WIDTH, "how": "output", "until": 13}))

    first, second = failure(one), failure(one)

    assert (first.epoch, first.step) == (second.epoch, second.step) == (3, 3)
