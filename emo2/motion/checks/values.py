"""Numbers that are no pose, and hands that flicker in and out of sight."""

from __future__ import annotations

import numpy as np

from emo2.motion.checks.clip import Clip
from emo2.motion.checks.finding import HAND_WORDS, Reading, Signal, runs
from emo2.types import NUM_HANDS

FLICKER_FRAMES = 4
"""A hand that shows or hides for fewer frames flickers."""


def signals(clip: Clip) -> list[Signal]:
    """Broken numbers and flicker of both hands."""
    return [make(clip, hand) for hand in range(NUM_HANDS) for make in (_broken, _shown, _hidden)]


def _broken(clip: Clip, hand: int) -> Signal:
    def read(frame: int) -> Reading:
        words = f"the {HAND_WORDS[hand]} has numbers that are no pose (not finite, or no rotation)"
        return Reading(1.0, 0.0, "frames", words)

    return Signal(
        kind="broken_numbers",
        hand=hand,
        ratio=2.0 * clip.broken[:, hand],
        error_ratio=1.0,
        where_m=clip.places_m[:, hand],
        read=read,
    )


def _shown(clip: Clip, hand: int) -> Signal:
    return _flicker(clip, hand, clip.visible[:, hand], "is shown for only {} frames")


def _hidden(clip: Clip, hand: int) -> Signal:
    return _flicker(clip, hand, ~clip.visible[:, hand], "is hidden for only {} frames")


def _flicker(clip: Clip, hand: int, state: np.ndarray, words: str) -> Signal:
    ratio, length = np.zeros(clip.num_frames), np.zeros(clip.num_frames, int)
    for start, stop in runs(state):
        if stop - start < FLICKER_FRAMES and start > 0 and stop < clip.num_frames:
            ratio[start:stop], length[start:stop] = 1.5, stop - start

    def read(frame: int) -> Reading:
        said = words.format(length[frame]).replace("1 frames", "1 frame")
        return Reading(
            length[frame], FLICKER_FRAMES, "frames", f"the {HAND_WORDS[hand]} {said}: it flickers"
        )

    return Signal(
        kind="flicker",
        hand=hand,
        ratio=ratio,
        error_ratio=np.inf,
        where_m=clip.places_m[:, hand],
        read=read,
        merge_frames=1,
    )
