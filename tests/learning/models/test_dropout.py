"""Dropout: which values go is what the generator's words say, and the mean stays."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.learning.models.dropout import Dropout


def words(count: int, seed: int) -> np.ndarray:
    """The 16-bit words that dropout reads, as numbers from 0 to 65535 in the order of the 16-bit integers."""
    torch.manual_seed(seed)
    drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    return drawn.numpy().view(np.int16)[:count].astype(np.int64) + 32768


def dropped(p: float, values: torch.Tensor, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return Dropout(p)(values)


@pytest.mark.parametrize(
    ("p", "least"), [(0.5, 32768), (0.3, 19661), (0.1, 6554), (1e-6, 0), (0.99999, 65535), (1 - 1e-9, 65535)]
)
@pytest.mark.parametrize("shape", [(250, 31), (3, 5, 7), (1,), (0, 4), ()])
def test_value_is_kept_where_its_word_is_at_least_p_in_65536_and_made_larger(
    p: float, least: int, shape: tuple[int, ...]
) -> None:
    values = torch.randn(shape)

    found = dropped(p, values)

    kept = torch.from_numpy(words(values.numel(), 0) >= least).reshape(shape)
    torch.testing.assert_close(found, torch.where(kept, values * (65536 / (65536 - least)), 0.0), rtol=1e-6, atol=0)


def test_words_are_even_over_all_65536_so_that_the_chance_is_exact() -> None:
    drawn = words(2**22, 3)

    counts = np.bincount(drawn, minlength=65536)
    # 64 of each are expected; chi-squared over its degrees of freedom is 1 ± 0.0055.
    assert ((counts - 64) ** 2 / 64).sum() / 65535 == pytest.approx(1, abs=0.03)
    # Neighbours, which come from one draw, tell nothing of each other.
    assert np.corrcoef(drawn[:-1] >= 19661, drawn[1:] >= 19661)[0, 1] == pytest.approx(0, abs=0.003)


def test_share_and_mean_are_those_of_torchs_own() -> None:
    values = torch.ones(1000, 1000)

    own = dropped(0.3, values)

    torch.manual_seed(0)
    theirs = nn.Dropout(0.3)(values)
    for found in (own, theirs):
        assert float((found == 0).double().mean()) == pytest.approx(0.3, abs=0.003)
        assert float(found.double().mean()) == pytest.approx(1, abs=0.005)


def test_gradient_is_that_of_the_values_that_were_kept() -> None:
    values = torch.rand(40, 30).t().requires_grad_()

    found = dropped(0.25, values)
    found.sum().backward()

    assert values.grad is not None
    torch.testing.assert_close(values.grad * values.detach(), found.detach())
    assert torch.equal(values.grad != 0, found != 0)


def test_same_seed_gives_the_same_bits_on_any_number_of_threads_and_each_call_draws_again() -> None:
    values = torch.randn(300, 200)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(dropped(0.5, values))
    finally:
        torch.set_num_threads(before)

    assert torch.equal(*found)
    assert not torch.equal(found[0], Dropout(0.5)(values))
    assert not torch.equal(found[0], dropped(0.5, values, seed=1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_dtype_stays(dtype: torch.dtype) -> None:
    found = dropped(0.5, torch.ones(64, dtype=dtype))

    assert found.dtype == dtype
    assert set(found.tolist()) == {0.0, 2.0}


def test_nothing_is_dropped_or_drawn_out_of_training_and_at_zero() -> None:
    values, state = torch.randn(50), torch.get_rng_state()

    assert torch.equal(Dropout(0.5).eval()(values), values)
    assert torch.equal(Dropout(0.0)(values), values)
    assert torch.equal(torch.get_rng_state(), state)
    assert not Dropout(1.0)(values).any()


def test_values_that_are_not_finite_stay_so() -> None:
    values = torch.full((1000,), float("nan"))

    assert dropped(0.5, values).isnan().all()
