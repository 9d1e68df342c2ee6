"""Does the film bring drawn hands nearer to photographed ones? On people it was not trained on.

Peak signal-to-noise ratio in dB, where a picture shows its own hand, of the draft in that pose and
of the film made from it. The reference is the picture without that hand. Beside it: the film with
another person's reference, which must be worse, or the network does not look.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from emo2.stage2.guidance_scale import GuidanceScale
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.stage2.windows import audio_windows
from emo2.training.video_corpus import FPS, Still
from emo2.types import AudioFeatures

AS_IT_SHOULD_BE_DB = 60.0
STRENGTHS = (1.0, 0.85, 0.7, 0.5, 0.25)
FRAMES = 2


def choose_strength(pipeline: Stage2Pipeline, stills: list[Still], seed: int) -> dict:
    """Sets the residual strength with which films come nearest to the pictures, and returns what
    was measured with it."""
    reports = {}
    for strength in STRENGTHS:
        pipeline.register_to_config(residual_strength=strength)
        reports[strength] = judge(pipeline, stills, seed)
    best = max(reports, key=lambda strength: reports[strength]["film_db"])
    pipeline.register_to_config(residual_strength=best)
    return {"residual_strength": best, **reports[best]}


def judge(pipeline: Stage2Pipeline, stills: list[Still], seed: int) -> dict[str, float]:
    """Means over all hands of `stills`."""
    rows = []
    for n, still in enumerate(stills):
        other = stills[(n + len(stills) // 2) % len(stills)]
        rows += [judge_hand(pipeline, still, hand, other, seed) for hand in still.hands]
    means = {key: round(float(np.mean([row[key] for row in rows])), 3) for key in rows[0]}
    return {
        "hands": len(rows),
        "steps": pipeline.config.num_inference_steps,
        **means,
        "hands_nearer": sum(row["film_db"] > row["draft_db"] for row in rows),
    }


def judge_hand(
    pipeline: Stage2Pipeline, still: Still, hand: int, other: Still, seed: int
) -> dict[str, float]:
    """One hand's measures."""
    weight = (np.asarray(still.owner) == hand) * (still.belief / 255.0) * (still.change / 255.0)
    truth, draft = still.truth / 255.0, still.draft / 255.0
    return {
        "draft_db": psnr(draft, truth, weight),
        "film_db": psnr(film_of(pipeline, still, without(still, hand), seed), truth, weight),
        "wrong_reference_db": psnr(film_of(pipeline, still, other.bare, seed), truth, weight),
    }


def without(still: Still, hand: int) -> np.ndarray:
    """(H, W, 3) uint8: the portrait without one hand."""
    return np.where((np.asarray(still.owner) == hand)[..., None], still.bare, still.portrait)


@torch.no_grad()
def film_of(pipeline: Stage2Pipeline, still: Still, seen: np.ndarray, seed: int) -> np.ndarray:
    """(H, W, 3) in [0, 1]: the film of a still for which the reference is `seen` (H, W, 3)."""

    def planes(picture: np.ndarray) -> torch.Tensor:
        rows = np.asarray(picture, np.float32) / 127.5 - 1
        return torch.from_numpy(rows.transpose(2, 0, 1).copy())[None].to(pipeline.device)

    maps = np.concatenate([still.mano, still.keypoints, still.change[..., None]], axis=-1) / 255
    maps = torch.from_numpy(maps.transpose(2, 0, 1).astype(np.float32))[None, :, None]
    repeat = (-1, -1, FRAMES, -1, -1)
    radius = pipeline.audio_projection.config.radius
    heard = audio_windows(AudioFeatures(still.sound, FPS), 0, FRAMES, radius)
    conditions = pipeline.condition(
        maps.expand(repeat),
        torch.from_numpy(np.repeat(still.confidence[None, None], FRAMES, axis=1)),
        torch.from_numpy(heard)[None],
        pipeline.reference_net.extract(pipeline.encode(planes(seen))),
        draft=planes(still.draft)[:, None].expand(-1, FRAMES, -1, -1, -1),
    )
    height, width = (side // pipeline.latent_stride for side in still.change.shape)
    generator = torch.Generator().manual_seed(seed)
    shape = (1, pipeline.vae.config.latent_channels, FRAMES, height, width)
    common = torch.randn((*shape[:2], 1, *shape[3:]), generator=generator)
    own = torch.randn(shape, generator=generator)
    noise = pipeline.blend_noise(own, common).to(pipeline.device)
    scale = GuidanceScale(*pipeline.config.guidance_scale)
    latents = pipeline.denoise(noise, conditions, pipeline.config.num_inference_steps, scale)
    decoded = pipeline.decode(latents[0].transpose(0, 1))[0]
    added = pipeline.residual(decoded).cpu().numpy().transpose(1, 2, 0)
    return (still.draft / 255 + still.change[..., None] / 255 * added).clip(0, 1)


def psnr(picture: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    """Peak signal-to-noise ratio [dB] of pixels (H, W, 3) weighted by `weight` (H, W), at most
    60."""
    error = (weight[..., None] * np.square(picture - truth)).sum() / (3 * weight.sum())
    return min(AS_IT_SHOULD_BE_DB, -10 * math.log10(max(error, 1e-9)))
