"""A linear network whose device has memory to train so many rows only, from some step on."""

import torch
from torch import Tensor, nn


class Greedy(nn.Module):
    def __init__(self, width: int, most: int, ask: bool, after: int, hoards: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 1)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.most, self.ask, self.after, self.hoards = most, ask, after, hoards

    def state_dict(self, *given, **named):  # type: ignore[no-untyped-def]
        if self.hoards:
            raise torch.OutOfMemoryError("no memory for a copy")
        return super().state_dict(*given, **named)

    def forward(self, features: Tensor) -> Tensor:
        if self.training and len(features) > self.most and self.steps >= self.after:
            if not self.ask:
                raise torch.OutOfMemoryError(f"no memory for {len(features)} rows")
            torch.empty(2**58, dtype=torch.uint8)  # the processor's own allocator refuses
        if self.training:
            self.steps += 1
        return self.linear(features).squeeze(-1)


def make(width: int, most: int, ask: bool = False, after: int = 0, hoards: bool = False) -> Greedy:
    return Greedy(width, most, ask, after, hoards)
