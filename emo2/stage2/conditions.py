"""Everything the denoiser is told about one clip, as tensors, and how each part is left out.

Letters: `B` batch, `F` frames, `K` tokens about a frame, `E` width, `h w` latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from emo2.stage2.guidance_scale import Term
from emo2.stage2.processors import Features


@dataclass(frozen=True)
class Conditions:
    """One clip's conditions, encoded once and used in every denoising step."""

    guidance: Tensor
    """(B, E, F, h, w): the guidance encoder's features, confidence included."""
    audio_tokens: Tensor
    """(B F, K, E)."""
    reference: Features | None = None
    """The portrait by layer, (B, N, D); `None` = no portrait."""
    motion: Features | None = None
    """The motion frames by layer, (B, M, N, D); `None` = the film begins here."""
    draft: Tensor | None = None
    """(B, C, F, h, w): the draft's latents, for checkpoints that lean on a draft. Never left
    out."""

    def only(self, term: Term) -> Conditions:
        """These conditions without what `term` drops: zero guidance features, zero audio tokens, no
        reference (the motion frames go with the portrait: both are pictures of the person)."""
        return replace(
            self,
            guidance=self.guidance if term.guidance else torch.zeros_like(self.guidance),
            audio_tokens=self.audio_tokens if term.audio else torch.zeros_like(self.audio_tokens),
            reference=self.reference if term.reference else None,
            motion=self.motion if term.reference else None,
        )

    @classmethod
    def stack(cls, parts: Sequence[Conditions]) -> Conditions:
        """Several as one batch, for one evaluation of the denoiser. Those without a portrait come
        first: pictures of the person are those of the last clips of a batch."""
        seen = [part for part in parts if part.reference is not None]
        if any(part.reference is None for part in parts[len(parts) - len(seen) :]):
            raise ValueError("parts: those without a portrait must come first")
        drafts = [part.draft for part in parts if part.draft is not None]
        return cls(
            guidance=torch.cat([part.guidance for part in parts]),
            audio_tokens=torch.cat([part.audio_tokens for part in parts]),
            reference=_by_layer([part.reference for part in seen]),
            motion=_by_layer([part.motion for part in seen if part.motion is not None]),
            draft=torch.cat(drafts) if drafts else None,
        )


def _by_layer(parts: list[Features]) -> Features | None:
    if not parts:
        return None
    return {layer: torch.cat([part[layer] for part in parts]) for layer in parts[0]}
