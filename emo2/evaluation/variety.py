"""How differently a performer gestures to one recording: our measures, and the peers'."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.evaluation.comparison import Diversity, diversity
from emo2.evaluation.peers import (
    div_diffsheg,
    div_talkshow,
    l1div_emage,
    pck_diffsheg,
    pose_vectors,
)
from emo2.evaluation.performers import Performer
from emo2.evaluation.points import joints_m
from emo2.types import AudioClip, HandMotion

NUM_VARIANTS = 8
LEAST_TURN_RAD = 0.05
"""Least deviation that a z-score divides by: some joints' axes hardly turn at all."""


@dataclass(frozen=True)
class Variety:
    """Variants of one clip."""

    motions: tuple[HandMotion, ...]
    diversity: Diversity

    @classmethod
    def of(cls, performer: Performer, clip: AudioClip, style: str | None) -> Variety:
        """Gesture with seeds 0..7."""
        motions = tuple(performer(clip, style, seed) for seed in range(NUM_VARIANTS))
        return cls(motions, diversity(motions))

    def facts(self, like: Variety) -> dict[str, float]:
        """By column. `like` is the teacher's: its variants give the z-scores, and its first is the
        reference that DiffSHEG's PCK asks for."""
        usual = np.concatenate([pose_vectors(motion) for motion in like.motions])
        mean, std = usual.mean(axis=0), np.maximum(usual.std(axis=0), LEAST_TURN_RAD)
        poses, wanted = (
            np.stack([(pose_vectors(motion) - mean) / std for motion in variety.motions])
            for variety in (self, like)
        )
        joints = np.stack([joints_m(m).reshape(m.num_frames, -1, 3) for m in self.motions[:2]])
        return {
            "diversity_places": self.diversity.places_m,
            "diversity_turns": self.diversity.turns_rad,
            "div_talkshow": div_talkshow(joints),
            "div_diffsheg": div_diffsheg(poses),
            "l1div_emage": l1div_emage(joints[0]),
            "pck_diffsheg": pck_diffsheg(poses[1], wanted[0]),
        }
