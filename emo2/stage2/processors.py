"""Attention as Stage 2 needs it: what the ReferenceNet saw is handed to every layer as data.

    ReferenceNet   --RecordFeatures-->  dict[layer, (B, N, D)]
    backbone       <--ConditionedAttention--  reference (B, N, D), motion (B, M, N, D)

Both are ordinary diffusers attention processors; no `forward` is replaced and nothing is kept
between calls. Letters: `B` batch, `F` frames, `M` motion frames, `N` tokens of one picture, `D`
width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

Features = Mapping[str, Tensor]
"""Layer name, equal in the ReferenceNet and the backbone, to that layer's normalised input."""


def attend(
    attn: Attention, hidden: Tensor, context: Tensor, portrait: Tensor | None = None
) -> Tensor:
    """`attn` from `hidden` (B F, N, D) to `context` (B F, K, D') and, in all frames of a clip, to
    its `portrait` (B, K', D'), up to the output projection: (B F, N, D)."""
    query, key, value = attn.to_q(hidden), attn.to_k(context), attn.to_v(context)
    if portrait is not None:  # projected once, not once a frame
        frames = len(hidden) // len(portrait)
        seen = (x.repeat_interleave(frames, 0) for x in (attn.to_k(portrait), attn.to_v(portrait)))
        key, value = (torch.cat(x, dim=1) for x in zip((key, value), seen, strict=True))
    query, key, value = (
        x.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for x in (query, key, value)
    )
    out = F.scaled_dot_product_attention(query, key, value)  # (B F, heads, N, D / heads)
    return out.transpose(1, 2).flatten(2)


class Recording:
    """Where one pass of the ReferenceNet leaves its features. No dictionary: the hooks that offload
    a network copy those on their way in."""

    def __init__(self) -> None:
        self.by_layer: dict[str, Tensor] = {}


class RecordFeatures:
    """Plain self-attention that writes its input into the caller's `recording` under its layer's
    name."""

    def __init__(self, layer: str) -> None:
        self.layer = layer

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        recording: Recording | None = None,
    ) -> Tensor:
        if recording is not None:
            recording.by_layer[self.layer] = hidden_states
        return attn.to_out[0](attend(attn, hidden_states, hidden_states))


def split_clips(hidden: Tensor, clips: int, batch: int | None) -> tuple[Tensor, ...]:
    """`hidden` (B F, N, D) of `batch` clips, or of `clips`, as the pictures of the first ones and
    those of the last `clips`."""
    frames = len(hidden) // (batch or clips)
    return hidden.tensor_split([len(hidden) - clips * frames])


class ConditionedAttention(nn.Module):
    """The one processor of every layer of the backbone; what a layer is not meant for, it ignores.

    * Spatial self-attention (`attn1`): keys and values are [this frame ; the portrait's
      features]. A layer without an entry in `reference` is plain self-attention.
    * The same layer also looks at the motion frames: each pixel of each frame at that pixel of
      the `M` frames before the clip, through key and value projections of its own (in the
      manner of IP-Adapter) with a learned bias per distance in time. The value projection
      starts at zero, so that weights trained without motion frames keep their meaning. The
      stock motion blocks take no arguments but hidden states, hence this place and not the
      temporal layers.
    * Audio attention (`attn2`): cross-attention to audio tokens, its result times `output_scale`.
    * Temporal attention: plain self-attention.

    A batch may hold clips with and without a portrait, as classifier-free guidance asks for: then
    `batch` is their number, and `reference` and `motion` are those of the last ones.

    Args:
        layer: name under which this layer's features are recorded; `None` reads none.
        width: D, where motion frames are read; `None` builds no motion projections.
        heads: attention heads of that layer.
        max_distance: the largest distance in frames between a frame and a motion frame.
        output_scale: factor on the attention's output.
    """

    def __init__(
        self,
        layer: str | None = None,
        *,
        width: int | None = None,
        heads: int = 8,
        max_distance: int = 44,
        output_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.layer, self.output_scale = layer, output_scale
        if width is not None:
            self.to_k_motion = nn.Linear(width, width, bias=False)
            self.to_v_motion = nn.Linear(width, width, bias=False)
            self.distance_bias = nn.Parameter(torch.zeros(heads, max_distance))
            nn.init.zeros_(self.to_v_motion.weight)

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        reference: Features | None = None,
        motion: Features | None = None,
        batch: int | None = None,
    ) -> Tensor:
        if encoder_hidden_states is not None:
            out = attend(attn, hidden_states, encoder_hidden_states)
        elif reference is not None and self.layer in reference:
            portrait = reference[self.layer]
            alone, told = split_clips(hidden_states, len(portrait), batch)
            out = attend(attn, told, told, portrait)
            out = torch.cat([attend(attn, alone, alone), out]) if len(alone) else out
        else:
            out = attend(attn, hidden_states, hidden_states)
        if motion is not None and self.layer in motion and hasattr(self, "to_k_motion"):
            past = motion[self.layer]
            alone, told = split_clips(hidden_states, len(past), batch)
            out = out + F.pad(self._attend_motion(attn, told, past), (0, 0, 0, 0, len(alone), 0))
        return attn.to_out[0](out) * self.output_scale

    def _attend_motion(self, attn: Attention, hidden: Tensor, motion: Tensor) -> Tensor:
        """Every pixel of `hidden` (B F, N, D) attends to itself in `motion` (B, M, N, D): (B F,
        N, D)."""
        batch, past, tokens, _ = motion.shape
        frames = len(hidden) // batch
        query = attn.to_q(hidden).view(batch, frames, tokens, attn.heads, -1)
        key = self.to_k_motion(motion).view(batch, past, tokens, attn.heads, -1)
        value = self.to_v_motion(motion).view(batch, past, tokens, attn.heads, -1)
        query, key, value = (
            x.permute(0, 2, 3, 1, 4).flatten(0, 1) for x in (query, key, value)
        )  # (B N, heads, F or M, D / heads)
        now = torch.arange(frames, device=hidden.device)[:, None]
        then = torch.arange(past, device=hidden.device) - past
        bias = self.distance_bias[:, now - then - 1]  # (heads, F, M)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        out = out.unflatten(0, (batch, tokens)).permute(
            0, 3, 1, 2, 4
        )  # (B, F, N, heads, D / heads)
        return out.reshape(batch * frames, tokens, -1)
