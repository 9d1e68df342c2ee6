"""Does the film mend what is spoilt, and leave alone what is not? On people it was not trained on.

Peak signal-to-noise ratio where the draft drew something, in dB, of the spoilt draft and of the
film made from it, against the draft as it should be; how close the film of an unspoilt draft
stays to it; and flicker: the mean second difference in time, film over draft.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from emo2.stage2.guidance_scale import GuidanceScale, Term
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.training.video_corpus import VideoClip
from emo2.training.video_loss import make_batch

AS_IT_SHOULD_BE_DB = 60.0
HARMLESS_DB = 36.0
"""The film of a good draft must stay this close to it."""
STRENGTHS = (1.0, 0.5, 0.25)
EVERYTHING = Term(1.0, guidance=True, reference=True, audio=True)


def choose_strength(pipeline: Stage2Pipeline, clips: list[VideoClip], seed: int) -> dict:
    """Sets the largest residual strength with which the film mends more than it spoils, and
    returns what was measured with it. Where none does, it is the least, and the film is nearly
    the draft."""
    for strength in STRENGTHS:
        pipeline.register_to_config(residual_strength=strength)
        report = judge(pipeline, clips, seed)
        mends = report["film_db"] > report["spoilt_db"]
        if mends and report["unspoilt_film_db"] >= HARMLESS_DB:
            break
    return {"residual_strength": strength, "mends": mends, **report}


def judge(pipeline: Stage2Pipeline, clips: list[VideoClip], seed: int) -> dict[str, float]:
    """Means over the clips that a fault fell on, each filmed as the product does, with it and
    without."""
    rows = [judge_clip(pipeline, clip, seed + n) for n, clip in enumerate(clips)]
    rows = [row for row in rows if row["spoilt_db"] < AS_IT_SHOULD_BE_DB]
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return {
        "clips": len(rows),
        "steps": pipeline.config.num_inference_steps,
        **{key: round(value, 3) for key, value in means.items()},
        "clips_mended": sum(row["film_db"] > row["spoilt_db"] for row in rows),
    }


def judge_clip(pipeline: Stage2Pipeline, clip: VideoClip, seed: int) -> dict[str, float]:
    """One clip's measures."""
    spoilt, truth, change, film = mend(pipeline, clip, np.random.default_rng(seed), seed)
    _, good, _, untouched = mend(pipeline, clip, None, seed)
    return {
        "spoilt_db": psnr(spoilt, truth, change),
        "film_db": psnr(film, truth, change),
        "unspoilt_film_db": psnr(untouched, good, change),
        "flicker": flicker(film, change) / flicker(truth, change),
    }


@torch.no_grad()
def mend(
    pipeline: Stage2Pipeline, clip: VideoClip, rng: np.random.Generator | None, seed: int
) -> tuple[np.ndarray, ...]:
    """The spoilt draft, the draft, the change mask and the film, (F, H, W, 3 or 1) in [0, 1],
    of the last frames of a clip; without `rng` nothing is spoilt."""
    config = pipeline.config
    start = clip.num_frames - config.clip_length
    generator = torch.Generator().manual_seed(seed)
    batch = make_batch(
        pipeline,
        clip,
        start,
        config.clip_length,
        rng,
        generator,
        torch.zeros(1, dtype=torch.long),
        EVERYTHING,
        has_past=start >= config.motion_frames,
    ).to(pipeline.device)
    conditions = pipeline.condition(
        batch.maps,
        batch.confidence,
        batch.heard,
        pipeline.reference_net.extract(pipeline.encode(batch.portrait)),
        past=batch.past,
        draft=batch.spoilt,
    )
    scale = GuidanceScale(*config.guidance_scale)
    latents = pipeline.denoise(batch.noise, conditions, config.num_inference_steps, scale)
    residual = pipeline.residual(pipeline.decode(latents[0].transpose(0, 1)))
    spoilt, truth = (_planes(x[0] / 2 + 0.5) for x in (batch.spoilt, batch.draft))
    change = _planes(batch.maps[0, -1:].transpose(0, 1))
    film = (spoilt + change * _planes(residual)).clip(0, 1)
    return spoilt, truth, change, film


def psnr(picture: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    """Peak signal-to-noise ratio [dB] of pixels weighted by `weight` (..., 1), at most 60."""
    error = (weight * np.square(picture - truth)).sum() / (3 * weight.sum())
    return min(AS_IT_SHOULD_BE_DB, -10 * math.log10(max(error, 1e-9)))


def flicker(frames: np.ndarray, weight: np.ndarray) -> float:
    """Mean absolute second difference in time of weighted pixels."""
    second = np.abs(np.diff(frames, n=2, axis=0)).mean(-1, keepdims=True)
    return float((weight[1:-1] * second).sum() / weight[1:-1].sum())


def _planes(pictures: torch.Tensor) -> np.ndarray:
    return pictures.cpu().numpy().transpose(0, 2, 3, 1)
