"""The LSTM against one that steps through what is there, row by row."""

import pytest
import torch

from pipeline.errors import ConfigurationError
from pipeline.learning.models import make_model
from pipeline.learning.models.networks.lstm import StepMemory


def test_gaps_are_passed_over_as_if_the_sequence_had_none() -> None:
    torch.manual_seed(0)
    memory = StepMemory(channels=2, width=8, layers=2, dropout=0.0).eval()
    steps = torch.randn(50, 7, 4)
    there = torch.rand(50, 7) > 0.4
    there[:, 3] = True

    summaries = memory(steps, there)

    for row in range(50):
        alone = memory.memory(steps[row : row + 1, there[row]])[0][:, -1]
        torch.testing.assert_close(summaries[row : row + 1], alone, rtol=0, atol=1e-6)


def test_summary_is_the_state_after_the_newest_step() -> None:
    torch.manual_seed(0)
    memory = StepMemory(channels=1, width=4, layers=1, dropout=0.0).eval()
    steps = torch.randn(3, 5, 2)

    summaries = memory(steps, torch.ones(3, 5, dtype=torch.bool))

    _, (state, _) = memory.memory(steps)
    torch.testing.assert_close(summaries, state[-1], rtol=0, atol=1e-6)


def test_width_is_raised_to_a_multiple_of_32_and_impossible_settings_are_one_sentence() -> None:
    assert make_model("lstm", {"width": 33}).settings.width == 64
    with pytest.raises(ConfigurationError, match="lstm: layers is 0"):
        make_model("lstm", {"layers": 0})
    with pytest.raises(ConfigurationError, match="lstm: setting heads is unknown; choose from "):
        make_model("lstm", {"heads": 2})
