"""All that learns, as one module whose forward is one loss.

Wrapped once, it trains on one device or many alike: processes average the gradients of all of it.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor, nn
from transformers import Wav2Vec2Model

from emo2.stage1.motion_dit import MotionDiT
from emo2.training.batches import Batch
from emo2.training.config import GestureConfig
from emo2.training.distillation import ReadOut
from emo2.training.losses import hear, motion_loss

PARTS = ("distil", "joint", "frozen")
"""Parts of a run: the encoder alone learns to hear, both learn together, the encoder is done."""


class GestureNetworks(nn.Module):
    """The `MotionDiT` and, where it learns too, the audio encoder with its read-out."""

    def __init__(
        self,
        dit: MotionDiT,
        scheduler: DPMSolverMultistepScheduler,
        config: GestureConfig,
        encoder: Wav2Vec2Model | None = None,
        read_out: ReadOut | None = None,
    ) -> None:
        super().__init__()
        self.dit, self.encoder, self.read_out = dit, encoder, read_out
        self.scheduler, self.config = scheduler, config

    def forward(self, batch: Batch, number: int, part: str) -> dict[str, Tensor]:
        """`loss`, to be made small, and its parts for the log. The noise follows from the batch's
        number."""
        hidden, seconds = hear(self.encoder, batch, self.config.fps)
        loss = torch.zeros((), device=hidden.device)
        told = {}
        if part != "frozen":
            with torch.autocast(hidden.device.type, enabled=False):  # logarithms of small powers
                told["read_out"] = self.read_out.loss(
                    hidden.float(), batch.samples, batch.prosody, seconds
                )
            weight = 1.0 if part == "distil" else self.config.read_out_weight
            loss = loss + weight * told["read_out"]
        if part != "distil":
            generator = torch.Generator().manual_seed(seed_of(self.config.seed, number))
            lost = motion_loss(self.dit, hidden, batch, self.scheduler, self.config, generator)
            loss = loss + lost.total(self.config)
            told |= {"places": lost.places, "velocities": lost.velocities, "angles": lost.angles}
        return {"loss": loss, **{name: value.detach() for name, value in told.items()}}


def seed_of(*numbers: int) -> int:
    """One well-mixed seed out of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
