"""The network of Stage 1: noisy hand motion and speech in, clean hand motion out (paper, section
3.1 and Fig. 2).

Letters: `B` batch, `F` = K + N frames (K context frames, then N new ones), `L` look-ahead frames of
audio, `C` motion channels (198 of end effectors), `A` audio width, `D` width, `P` frames per token,
`S` styles.

The paper leaves open the style labels, the scale of *speed*, the offset's size and the block's
order; what is here is ours. Beyond the paper: a keep-mask, so that one network generates,
continues, and fills between frames that are given.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from emo2.stage1.representation import NUM_PARTS, REPRESENTATIONS, Representation
from emo2.types import NUM_HANDS

KEEP_CHANNELS = NUM_HANDS * NUM_PARTS


class MotionDiT(ModelMixin, ConfigMixin):
    """A diffusion transformer over frames; predicts the clean motion (x0).

    Args:
        width, num_layers, num_heads, mlp_ratio: the transformer's size; the paper's is 512 x 24.
        patch_size: frames per token.
        num_frames, num_context_frames: N and K; both are multiples of `patch_size`.
        num_lookahead_frames: audio frames seen beyond the last motion frame: gestures anticipate
            speech.
        audio_width: width of the audio encoder's hidden states.
        fps: frames per second of audio and motion.
        styles: names of the style labels.
        speed_quantiles: log std of wrist translation [m] in a window, at evenly spaced shares 0..1
            of the corpus.
        style_speeds: for each style, the share (0..1) at which its own median lies.
        rest_m: (2, 3) where the wrists rest in the corpus, metres: the default offset.
        representation: what the channels are, a name in `REPRESENTATIONS`: "hands", end effectors
            as in the paper, or "arms", whole arms.
    """

    @register_to_config
    def __init__(
        self,
        width: int = 512,
        num_layers: int = 24,
        num_heads: int = 8,
        mlp_ratio: float = 4.0,
        patch_size: int = 1,
        num_frames: int = 300,
        num_context_frames: int = 12,
        num_lookahead_frames: int = 12,
        audio_width: int = 768,
        fps: float = 24.0,
        styles: tuple[str, ...] = ("talk-calm", "talk-lively", "present", "sing"),
        speed_quantiles: tuple[float, ...] = (-5.0, -1.0),
        style_speeds: tuple[float, ...] = (0.25, 0.75, 0.6, 0.6),
        rest_m: tuple[tuple[float, float, float], ...] = (
            (0.14, -0.33, 0.16),
            (-0.14, -0.33, 0.16),
        ),
        representation: str = "hands",
    ) -> None:
        super().__init__()
        if num_frames % patch_size or num_context_frames % patch_size:
            raise ValueError(f"num_frames and num_context_frames must be multiples of {patch_size}")
        channels = REPRESENTATIONS[representation].num_channels
        self.register_buffer("channel_mean", torch.zeros(channels))
        self.register_buffer("channel_std", torch.ones(channels))

        self.motion_in = nn.Linear(patch_size * (channels + KEEP_CHANNELS), width)
        self.hand_mask = nn.Parameter(torch.zeros(NUM_HANDS, channels // NUM_HANDS))
        self.context_token = nn.Parameter(0.02 * torch.randn(width))
        self.no_context_token = nn.Parameter(0.02 * torch.randn(width))

        self.audio_norm = nn.LayerNorm(audio_width)
        self.no_audio = nn.Parameter(torch.zeros(audio_width))
        self.audio_in = nn.Linear(audio_width, width)
        self.audio_aligned = nn.Linear(patch_size * audio_width, width)

        self.time_in = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.style = nn.Parameter(0.02 * torch.randn(len(styles), width))
        self.no_style = nn.Parameter(0.02 * torch.randn(width))
        self.speed_in = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.no_speed = nn.Parameter(torch.zeros(width))
        self.offset_in = nn.Sequential(
            nn.Linear(NUM_HANDS * 3, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.no_offset = nn.Parameter(torch.zeros(width))

        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))  # AdaLN-single
        self.blocks = nn.ModuleList(Block(width, num_heads, mlp_ratio) for _ in range(num_layers))
        self.final = nn.Parameter(torch.randn(2, width) / width**0.5)
        self.motion_out = nn.Linear(width, patch_size * channels)
        self.smooth_in = nn.Conv1d(channels, width // 2, 5, padding=2)
        self.smooth_out = nn.Conv1d(width // 2, channels, 5, padding=2)
        for layer in (self.motion_out, self.smooth_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @property
    def representation(self) -> Representation:
        """What the channels mean."""
        return REPRESENTATIONS[self.config.representation]

    def normalise(self, channels: Tensor) -> Tensor:
        """Channels of `representation` (..., C) to what the network sees: zero mean, unit
        variance."""
        return (channels - self.channel_mean) / self.channel_std

    def denormalise(self, channels: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return channels * self.channel_std + self.channel_mean

    def speed_of_share(self, share: float) -> float:
        """0..1 (the share of the corpus that moves less) -> log std of wrist translation [m]."""
        table = self.config.speed_quantiles
        place = min(max(share, 0.0), 1.0) * (len(table) - 1)
        low = min(int(place), len(table) - 2)
        return table[low] + (place - low) * (table[low + 1] - table[low])

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        audio: Tensor,
        *,
        audio_mask: Tensor,
        context: Tensor,
        context_mask: Tensor,
        style: Tensor,
        speed: Tensor,
        offset_m: Tensor,
        visible: Tensor,
        keep: Tensor,
    ) -> Tensor:
        """Predict the clean window; the context frames come back too, as the network sees them (for
        cross-fades).

        Args:
            sample: (B, N, C) noisy normalised motion, with kept values already put in.
            timestep: (B,) of the scheduler.
            audio: (B, K + N + L, A) hidden states at the frame rate.
            audio_mask: (B, K + N + L) bool; False = no sound is given there (all False =
                unconditional).
            context: (B, K, C) the frames before the window, clean and normalised.
            context_mask: (B,) bool; False = the window starts the clip.
            style: (B, S) weights; a row of zeros = no style.
            speed: (B,) log std of wrist translation [m]; NaN = not given.
            offset_m: (B, 2, 3) where the wrists rest [m]; NaN = not given.
            visible: (B, K + N, 2) bool.
            keep: (B, N, 6) the kept share of each hand's translation, wrist and fingers.

        Returns:
            (B, K + N, C).
        """
        frames = torch.cat([context, sample], dim=1)  # (B, F, C)
        keep = torch.cat([keep.new_ones(*context.shape[:2], KEEP_CHANNELS), keep], dim=1)
        hidden_hand = (~visible).to(frames.dtype)[..., None] * self.hand_mask  # (B, F, 2, C / 2)
        frames = frames + hidden_hand.flatten(2)
        tokens = self.motion_in(self._patches(torch.cat([frames, keep], dim=-1)))  # (B, F / P, D)

        num_context = context.shape[1] // self.config.patch_size
        past = torch.where(
            context_mask[:, None, None],
            tokens[:, :num_context] + self.context_token,
            self.no_context_token.expand_as(tokens[:, :num_context]),
        )
        tokens = torch.cat([past, tokens[:, num_context:]], dim=1)

        audio = torch.where(audio_mask[..., None], self.audio_norm(audio), self.no_audio)
        memory = self.audio_in(audio)
        memory = memory + positions(torch.arange(memory.shape[1], device=memory.device), memory)
        tokens = tokens + self.audio_aligned(self._patches(audio[:, : frames.shape[1]]))
        starts = torch.arange(tokens.shape[1], device=tokens.device) * self.config.patch_size
        tokens = tokens + positions(starts + (self.config.patch_size - 1) / 2, tokens)

        condition = self._condition(timestep, style, speed, offset_m, tokens)  # (B, D)
        modulation = self.modulation(condition).unflatten(1, (6, -1))  # (B, 6, D)
        for block in self.blocks:
            tokens = block(tokens, memory, modulation)

        shift, scale = (self.final + condition[:, None]).unbind(1)
        tokens = modulate(tokens, shift, scale)
        out = self.motion_out(tokens).unflatten(2, (self.config.patch_size, -1)).flatten(1, 2)
        # Tokens know nothing of each other's last frame: two convolutions take the steps out of the
        # joins.
        return out + self.smooth_out(F.gelu(self.smooth_in(out.mT))).mT  # (B, F, C)

    def _patches(self, frames: Tensor) -> Tensor:
        """(B, F, X) -> (B, F / P, P * X)."""
        return frames.unflatten(1, (-1, self.config.patch_size)).flatten(2)

    def _condition(self, timestep, style, speed, offset_m, tokens) -> Tensor:
        """Timestep, style, speed and offset embeddings, summed: (B, D)."""
        condition = self.time_in(positions(timestep, tokens))
        unstyled = (style == 0).all(dim=1, keepdim=True)
        condition = condition + torch.where(unstyled, self.no_style, style @ self.style)
        table = self.config.speed_quantiles
        middle, spread = (table[-1] + table[0]) / 2, (table[-1] - table[0]) / 4
        speed = ((speed - middle) / spread)[:, None]
        embedded = self.speed_in(speed.nan_to_num())
        condition = condition + torch.where(speed.isnan(), self.no_speed, embedded)
        # Rest places vary by centimetres: tens of them per unit suits a layer that expects values
        # near one.
        offset = 20 * (offset_m - offset_m.new_tensor(self.config.rest_m)).flatten(1)
        embedded = self.offset_in(offset.nan_to_num())
        unknown = offset.isnan().any(dim=1, keepdim=True)
        return condition + torch.where(unknown, self.no_offset, embedded)


class Block(nn.Module):
    """Self-attention, cross-attention to the audio, MLP; AdaLN-single modulates the first and the
    last."""

    def __init__(self, width: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = int(width * mlp_ratio)
        self.table = nn.Parameter(torch.randn(6, width) / width**0.5)
        self.self_attention = Attention(width, num_heads)
        self.cross_norm = nn.LayerNorm(width)
        self.cross_attention = Attention(width, num_heads)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, tokens: Tensor, memory: Tensor, modulation: Tensor) -> Tensor:
        """tokens (B, F / P, D), memory (B, K + N + L, D), modulation (B, 6, D) -> tokens."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = (self.table + modulation).unbind(1)
        normed = modulate(tokens, shift_a, scale_a)
        tokens = tokens + gate_a[:, None] * self.self_attention(normed, normed)
        tokens = tokens + self.cross_attention(self.cross_norm(tokens), memory)
        return tokens + gate_m[:, None] * self.mlp(modulate(tokens, shift_m, scale_m))


class Attention(nn.Module):
    """Multi-head attention of `tokens` to `memory`."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """(B, M, D), (B, N, D) -> (B, M, D)."""
        key, value = self.key_value(memory).chunk(2, dim=-1)
        query, key, value = (
            x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for x in (self.query(tokens), key, value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).flatten(2))


def modulate(tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """LayerNorm without own parameters, then scale and shift (B, D) from the condition."""
    normed = F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)
    return normed * (1 + scale[:, None]) + shift[:, None]


def positions(places: Tensor, like: Tensor) -> Tensor:
    """Sines and cosines of `places` (X,), periods 2 pi to 20 000 pi: (X, D) of `like`'s width and
    type."""
    half = like.shape[-1] // 2
    steps = torch.arange(half, device=places.device, dtype=torch.float32)
    angles = places.float()[:, None] * torch.exp(-math.log(10_000.0) / half * steps)
    return torch.cat([angles.cos(), angles.sin()], dim=-1).to(like.dtype)
