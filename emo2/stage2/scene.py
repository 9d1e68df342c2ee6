"""What a film is made of. Every kind of Stage 2 has `film(scene, ...)` and takes from the scene
what it needs: guidance maps or skeletons, this way of hearing or that one, a draft or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

import numpy as np

from emo2.guidance.maps import draw_guidance
from emo2.hands.model import HandModel
from emo2.types import (
    AudioClip,
    AudioFeatures,
    Frame,
    GuidanceMaps,
    HandMotion,
    OnStep,
    Portrait,
    Progress,
)


class Drafted(Protocol):
    """A frame of the draft renderer."""

    image: Frame
    skin: np.ndarray
    """(H, W) in [0, 1]: where bare arms and hands were drawn."""


@dataclass(frozen=True)
class Scene:
    """A person, what they say and what their hands do; parts that cost time are made when asked
    for."""

    portrait: Portrait
    audio: AudioClip
    motion: HandMotion
    """Of the film's length and frame rate."""
    hand_model: HandModel
    hear: Callable[[AudioClip], AudioFeatures]
    """The weight set's own ears, wav2vec 2.0."""
    draft: Callable[[OnStep | None], Iterator[Drafted]]
    """The draft's frames from the first one on."""

    def guidance(
        self, stretch: int, leans_on_draft: bool, on_step: OnStep | None
    ) -> Iterator[GuidanceMaps]:
        """Guidance maps `stretch` frames at a time, with the draft that a small film model leans
        on; it may change the skin of drawn arms. Lips and sleeves are the draft's."""

        def report(drafted: Progress) -> None:
            if on_step:
                on_step(replace(drafted, stage="guidance"))

        drafts = self.draft(report) if leans_on_draft else iter(())
        for start in range(0, self.motion.num_frames, stretch):
            stop = min(start + stretch, self.motion.num_frames)
            maps = draw_guidance(self.motion, self.hand_model, self.portrait, start, stop)
            if leans_on_draft:
                clip = list(islice(drafts, maps.num_frames))
                images = np.stack([drafted.image for drafted in clip]).transpose(0, 3, 1, 2)
                change = np.stack([drafted.skin for drafted in clip])[:, None]
                maps = replace(maps, draft=images.astype(np.float32) / 255, change=change)
            yield maps
