"""Attention against its formula, its mask against torch's, and the kernels it leaves torch free to choose."""

import math

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from pipeline.errors import ConfigurationError
from pipeline.learning.models import make_model
from pipeline.learning.models.networks.attention import StepAttention, attend

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def drawn(width: int, device: str = "cpu") -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    query = torch.randn(30, 4, 6, width)
    key, value = torch.randn(2, 30, 4, 11, width)
    there = torch.rand(30, 11) > 0.4
    there[:, 7] = True
    return tuple(each.to(device) for each in (query, key, value, there))


@pytest.mark.parametrize("width", [1, 5, 8, 16])
def test_attention_is_the_formula_over_the_steps_that_are_there(width: int) -> None:
    query, key, value, there = drawn(width)

    found = attend(query, key, value, there)

    for row in range(30):
        own, held = there[row], query[row]
        scores = held @ key[row, :, own].transpose(1, 2) / math.sqrt(width)
        torch.testing.assert_close(found[row], scores.softmax(-1) @ value[row, :, own], rtol=1e-5, atol=1e-6)


def test_attention_is_that_with_a_mask_of_torch() -> None:
    query, key, value, there = drawn(8)

    masked = scaled_dot_product_attention(query, key, value, attn_mask=there[:, None, None, :])

    torch.testing.assert_close(attend(query, key, value, there), masked, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_steps_that_are_not_there_weigh_nothing_at_all(precision: torch.dtype) -> None:
    query, key, value, there = drawn(8)
    query, key, value = (each.to(precision) for each in (query, key, value))
    spoiled = torch.where(there[:, None, :, None], value, torch.full_like(value, 1e30))
    far = torch.where(there[:, None, :, None], key, 50 * key)

    expected = attend(query, key, value, there)

    assert torch.equal(attend(query, far, spoiled, there), expected)


def test_no_step_there_gives_a_number() -> None:
    query, key, value, there = drawn(8)

    assert torch.isfinite(attend(query, key, value, torch.zeros_like(there))).all()


@pytest.mark.parametrize("device", DEVICES)
def test_flash_kernel_takes_it_with_gaps(device: str) -> None:
    precision = torch.float32 if device == "cpu" else torch.bfloat16
    query, key, value, there = (each.to(precision) if each.is_floating_point() else each for each in drawn(8, device))

    # Of these kernels only: where none can, torch raises.
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        found = attend(query.requires_grad_(), key, value, there)
        found.sum().backward()

    with sdpa_kernel(SDPBackend.MATH):
        expected = attend(query, key, value, there)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-5 if device == "cpu" else 2e-2)


def test_steps_that_are_not_there_leave_the_summary_as_it_is() -> None:
    torch.manual_seed(0)
    encoder = StepAttention(channels=2, steps=6, width=32, heads=4, blocks=2, dropout=0.0).eval()
    steps = torch.randn(20, 6, 4)
    there = torch.rand(20, 6) > 0.5
    there[:, 5] = True

    expected = encoder(steps, there)

    assert torch.equal(encoder(torch.where(there[..., None], steps, steps + 3), there), expected)
    assert not torch.equal(encoder(torch.where(there[..., None], steps + 3, steps), there), expected)


def test_position_of_a_step_counts() -> None:
    torch.manual_seed(0)
    encoder = StepAttention(channels=1, steps=4, width=32, heads=2, blocks=1, dropout=0.0).eval()
    steps = torch.randn(3, 4, 2)
    there = torch.ones(3, 4, dtype=torch.bool)

    assert (encoder(steps, there) - encoder(steps.flip(1), there)).abs().max() > 1e-4


def test_impossible_settings_are_one_sentence() -> None:
    assert make_model("attention", {"width": 40, "heads": 16}).settings.width == 64
    with pytest.raises(ConfigurationError, match="attention: heads is 5: it must divide the width, 32"):
        make_model("attention", {"heads": 5})
    with pytest.raises(ConfigurationError, match="attention: setting layers is unknown; choose from "):
        make_model("attention", {"layers": 2})
