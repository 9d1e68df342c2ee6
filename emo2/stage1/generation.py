"""From windows to finished hands: piece by piece for a whole clip, run by run around what is given.

Letters: `V` variants, `K` context frames, `N` frames of a window, `C` channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count

import numpy as np

from emo2.stage1.bending import put_back
from emo2.stage1.keeping import Keep, shown
from emo2.stage1.long_audio import Hearing, Run, cross_fade, overlap_frames
from emo2.stage1.motion_dit import MotionDiT
from emo2.stage1.representation import NUM_SLOTS
from emo2.stage1.sampling import Sampler, WindowInputs
from emo2.stage1.smoothing import Finisher
from emo2.types import NUM_HANDS

Track = tuple[np.ndarray, np.ndarray]
"""Quaternions (T, 2, 16, 4) and translation (T, 2, 3)."""
Watch = Callable[[], Callable[[int], None]]
"""Called at the start of a window; what it returns is called after every step."""


class Given:
    """What a window is told of the motion that it is to fit into; nothing where there is none."""

    def __init__(self, motion_dit: MotionDiT, keep: Keep | None) -> None:
        self._motion_dit, self._keep = motion_dit, keep

    def values(self, start: int, stop: int) -> np.ndarray:
        """(n, C) normalised."""
        channels = self._motion_dit.representation.num_channels
        if self._keep is None:
            return np.zeros((stop - start, channels), dtype=np.float32)
        motion, places = self._keep.motion, self._places(start, stop)
        rows = self._motion_dit.representation.to_channels(
            motion.quaternions[places], motion.translation_m[places]
        )
        mean, std = self._motion_dit.channel_mean, self._motion_dit.channel_std
        return (rows - mean.cpu().numpy()) / std.cpu().numpy()

    def slots(self, start: int, stop: int) -> np.ndarray:
        """(n, 2, 17) bool: which of them are given; none beyond the clip."""
        if self._keep is None:
            return np.zeros((stop - start, NUM_HANDS, NUM_SLOTS), dtype=bool)
        inside = np.arange(start, stop) < len(self._keep.mask)
        return self._keep.mask[self._places(start, stop)] & inside[:, None, None]

    def visible(self, start: int, stop: int) -> np.ndarray:
        """(n, 2) bool."""
        if self._keep is None:
            return np.ones((stop - start, NUM_HANDS), dtype=bool)
        return self._keep.visible[self._places(start, stop)]

    def _places(self, start: int, stop: int) -> np.ndarray:
        return np.arange(start, stop).clip(0, self._keep.motion.num_frames - 1)


def finished(run: Run, hearing: Hearing, sampler: Sampler, watch: Watch) -> Iterator[list[Track]]:
    """A clip from nothing, in pieces of some frames, one track per variant."""
    given = Given(sampler.motion_dit, None)
    finishers = [Finisher(sampler.motion_dit) for _ in range(sampler.num_variants)]
    for rows in _windows(run, hearing, sampler, given, watch):
        piece = [finish(row) for finish, row in zip(finishers, rows, strict=True)]
        if len(piece[0][0]):
            yield piece
    yield [finisher.rest() for finisher in finishers]


def joined(pieces: Iterable[list[Track]]) -> list[Track]:
    """One whole track per variant."""
    return [
        tuple(np.concatenate(parts) for parts in zip(*track, strict=True))
        for track in zip(*pieces, strict=True)
    ]


def filled(
    plan: Sequence[Run], hearing: Hearing, sampler: Sampler, keep: Keep, watch: Watch
) -> list[Track]:
    """The given motion with what is free made anew, one whole track per variant.

    A run's frames are finished as the network sees them, given ones too: how far it is off there
    says how to bend the others.
    """
    given = Given(sampler.motion_dit, shown(keep, sampler.motion_dit.config.patch_size))
    tracks = [
        (np.array(keep.motion.quaternions), np.array(keep.motion.translation_m))
        for _ in range(sampler.num_variants)
    ]
    for run in plan:
        rows = np.concatenate(list(_windows(run, hearing, sampler, given, watch)), axis=1)
        for (quaternions, translation_m), own in zip(tracks, rows, strict=True):
            finisher = Finisher(sampler.motion_dit)
            pieces = [finisher(own), finisher.rest()]
            made = slice(run.start, run.stop)
            quaternions[made], translation_m[made] = joined([[piece] for piece in pieces])[0]
    return [put_back(*track, keep) for track in tracks]


def _windows(
    run: Run, hearing: Hearing, sampler: Sampler, given: Given, watch: Watch
) -> Iterator[np.ndarray]:
    """The frames of a run as the network sees them, in pieces (V, n, C), normalised: final but for
    the filter."""
    config = sampler.motion_dit.config
    size, num_context = config.num_frames, config.num_context_frames
    step = size - overlap_frames(size, config.fps)
    context, old = None, None
    if run.start:
        before = given.values(run.start - num_context, run.start)
        context = np.repeat(before[None], sampler.num_variants, axis=0)
    for start in count(run.start, step):
        heard = hearing.between(start - num_context, start + size + config.num_lookahead_frames)
        made = sampler(
            WindowInputs(
                *heard,
                context=context,
                visible=given.visible(start - num_context, start + size),
                values=given.values(start, start + size),
                slots=given.slots(start, start + size),
            ),
            watch(),
        )
        if old is not None:
            yield cross_fade(old, made[:, :num_context])
        new = made[:, num_context:]
        stop = hearing.num_frames if run.stop is None else run.stop
        if start + size >= stop:
            yield new[:, : stop - start]
            return
        yield new[:, : step - num_context]
        context = old = new[:, step - num_context : step]
