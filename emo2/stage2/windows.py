"""A film of any length as clips: open-ended windows, 12 motion frames carried from one to the next.

Nothing here holds more than one clip: guidance comes in as an iterator and leaves as an
iterator. The first clip has no past, the last one may be shorter (it is filled up for the
network and cut after).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Generic, TypeVar

import numpy as np

from emo2.types import AudioFeatures

Maps = TypeVar("Maps")
"""A stretch of guidance: `emo2.types.GuidanceMaps`, or what Stage 2 keeps of it. Every array has
one row a frame; `num_frames` is their length."""


@dataclass(frozen=True)
class Clip(Generic[Maps]):
    """What one run of the denoiser makes."""

    start: int
    """Number of its first frame in the film."""
    keep: int
    """How many of its frames belong to the film; the rest repeats the last one."""
    guidance: Maps
    """Of exactly the clip's length."""


def join(parts: list[Maps]) -> Maps:
    """Consecutive stretches of guidance as one."""
    columns = {name: [getattr(part, name) for part in parts] for name in _arrays(parts[0])}
    return replace(parts[0], **{name: np.concatenate(rows) for name, rows in columns.items()})


def cut(maps: Maps, index: slice | np.ndarray) -> Maps:
    """Some frames of a stretch of guidance."""
    return replace(maps, **{name: getattr(maps, name)[index] for name in _arrays(maps)})


def _arrays(maps: Maps) -> list[str]:
    return [f.name for f in fields(maps) if isinstance(getattr(maps, f.name), np.ndarray)]


def clips(chunks: Iterable[Maps], clip_length: int) -> Iterator[Clip[Maps]]:
    """Guidance in chunks of any lengths to clips of `clip_length` frames, each made when it is
    asked for."""
    start, waiting = 0, []
    for chunk in chunks:
        waiting.append(chunk)
        while sum(part.num_frames for part in waiting) >= clip_length:
            maps = waiting[0] if len(waiting) == 1 else join(waiting)
            yield Clip(start, clip_length, cut(maps, slice(clip_length)))
            start += clip_length
            rest = cut(maps, slice(clip_length, None))
            waiting = [rest] if rest.num_frames else []
    if waiting:
        maps = join(waiting)
        filled = np.minimum(np.arange(clip_length), maps.num_frames - 1)
        yield Clip(start, maps.num_frames, cut(maps, filled))


def pieces(chunks: Iterable[Maps], length: int) -> Iterator[Maps]:
    """The same frames in chunks of at most `length`."""
    for chunk in chunks:
        for start in range(0, chunk.num_frames, length):
            yield cut(chunk, slice(start, start + length))


def audio_windows(features: AudioFeatures, start: int, length: int, radius: int) -> np.ndarray:
    """What is heard about each frame of a clip, (length, 2 radius + 1, D); beyond the ends of the
    recording its first and last features are repeated."""
    centres = np.arange(start, start + length)[:, None]
    at = centres + np.arange(-radius, radius + 1)
    return features.hidden_states[at.clip(0, features.num_frames - 1)]
