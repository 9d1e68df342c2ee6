"""A motion on one page: the moments at which strokes end, each with its time, above the timeline of
hands and speech.

Moments are chosen by how fast the stroke was that ends there, no two closer than half an even share
of the clip; where there are too few strokes, the longest gaps are filled. The same numbers stand on
the pictures and on the timeline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from emo2.errors import InputError
from emo2.hands.detail import HandDetail
from emo2.hands.model import HandModel
from emo2.hands.preview.lettering import clock, write
from emo2.hands.preview.timeline import (
    GROUND_RGB,
    HAND_RGB,
    ONSET_RGB,
    TEXT_RGB,
    Beats,
    Timeline,
    draw_dot,
)
from emo2.hands.render import render_motion
from emo2.types import Camera, Frame, HandMotion, Progress

WIDTH_PX = 1600
_GAP, _CAPTION, _HEADER, _TIMELINE = 12, 30, 46, 210


@dataclass(frozen=True)
class ContactSheet:
    """A page, and what it shows."""

    image: Frame
    """(H, WIDTH_PX, 3) uint8."""
    frames: tuple[int, ...]
    """The motion's frames, in the order of the pictures."""


def choose_frames(timeline: Timeline, count: int) -> tuple[int, ...]:
    """`count` different frames, rising: ends of strokes first, then the middles of the longest
    gaps."""
    count = min(count, timeline.num_frames)
    apart = timeline.num_frames / (2 * count)
    chosen: list[int] = []
    for end in sorted(timeline.stroke_ends, key=lambda end: -end.peak_m_s):
        if len(chosen) < count and all(abs(end.frame - other) >= apart for other in chosen):
            chosen.append(end.frame)
    while len(chosen) < count:
        edges = [-1, *sorted(chosen), timeline.num_frames]
        a, b = max(pairwise(edges), key=lambda gap: gap[1] - gap[0])
        chosen.append((a + b) // 2)
    return tuple(sorted(chosen))


def contact_sheet(
    motion: HandMotion,
    hand_model: HandModel,
    camera: Camera,
    *,
    detail: HandDetail | None = None,
    background: Frame | None = None,
    beats: Beats | None = None,
    count: int | None = None,
    trails: bool = True,
    title: str = "",
    on_step: Callable[[Progress], None] | None = None,
) -> ContactSheet:
    """The page of a motion. `count` moments, by default three or four rows of them."""
    columns = 4 if camera.width_px <= 1.15 * camera.height_px else 3
    count = (12 if columns == 3 else 16) if count is None else count
    if count < 1:
        raise InputError("count", "must be at least 1", count, "16 fill a page.")
    timeline = Timeline(motion, beats)
    frames = choose_frames(timeline, count)
    columns = min(columns, len(frames))
    cell = (WIDTH_PX - (columns + 1) * _GAP) // columns
    picture = round(cell * camera.height_px / camera.width_px)
    rows = -(-len(frames) // columns)
    height = _HEADER + rows * (picture + _CAPTION + _GAP) + _TIMELINE + 2 * _GAP
    page = np.full((height, WIDTH_PX, 3), GROUND_RGB, np.uint8)
    _write_header(page, motion, beats, title)
    for number, t in enumerate(frames, start=1):
        (frame,) = render_motion(
            motion,
            hand_model,
            camera,
            detail=detail,
            background=background,
            trails=trails,
            start=t,
            stop=t + 1,
        )
        row, column = divmod(number - 1, columns)
        top = _HEADER + row * (picture + _CAPTION + _GAP)
        left = _GAP + column * (cell + _GAP)
        shrinks = cell < camera.width_px
        page[top : top + picture, left : left + cell] = cv2.resize(
            frame, (cell, picture), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        )
        _write_caption(page, timeline, number, t, left, top + picture + _CAPTION // 2, cell)
        if on_step:
            on_step(Progress("sheet", number, len(frames)))
    _draw_timeline(page, timeline, frames)
    return ContactSheet(page, frames)


def _write_header(page: Frame, motion: HandMotion, beats: Beats | None, title: str) -> None:
    facts = f"{motion.num_frames} frames · {clock(motion.duration_s)} at {motion.fps:g} fps"
    if beats is not None:
        facts += f" · {len(beats.onsets_s)} onsets"
    write(page, title or "Motion", _GAP, _HEADER / 2, 22, (235, 237, 242), "lm")
    x = WIDTH_PX - _GAP - write(page, facts, WIDTH_PX - _GAP, _HEADER / 2, 17, TEXT_RGB, "rm") - 40
    for hand, name in reversed(list(enumerate(("left hand", "right hand")))):
        x -= write(page, name, x, _HEADER / 2, 17, TEXT_RGB, "rm") + 14
        draw_dot(page, x, _HEADER / 2, 6, HAND_RGB[hand])
        x -= 24


def _write_caption(
    page: Frame, timeline: Timeline, number: int, t: int, left: int, y: float, width: int
) -> None:
    """Number, time and frame; at the right, which hand's stroke ends here and whether it meets an
    onset."""
    x = left + 2 + write(page, str(number), left + 2, y, 18, (255, 255, 255), "lm") + 10
    write(page, f"{clock(t / timeline.fps)} · frame {t}", x, y, 16, TEXT_RGB, "lm")
    x = left + width - 2
    ends = [end for end in timeline.stroke_ends if end.frame == t]
    if any(end.meets for end in ends):
        x -= write(page, "on the beat", x, y, 15, ONSET_RGB, "rm") + 12
    for end in ends[::-1]:
        draw_dot(page, x - 6, y - 0.5, 6, HAND_RGB[end.hand])
        x -= 18


def _draw_timeline(page: Frame, timeline: Timeline, frames: tuple[int, ...]) -> None:
    """The whole clip along the foot of the page, with the pictures' numbers where they belong."""
    width = WIDTH_PX - 2 * _GAP
    duration_s = timeline.num_frames / timeline.fps
    top = len(page) - _TIMELINE - _GAP
    page[top:-_GAP, _GAP:-_GAP] = timeline.draw(0.0, duration_s, width, _TIMELINE)
    for number, t in enumerate(frames, start=1):
        x = _GAP + (t + 0.5) / timeline.num_frames * width
        column = min(int(x), WIDTH_PX - _GAP - 1)
        line = page[top + 24 : top + round(0.94 * _TIMELINE), column]
        line[:] = line * 0.55 + 255 * 0.45
        half = 7 + 4 * len(str(number))
        x = float(np.clip(x, _GAP + half, WIDTH_PX - _GAP - half))
        cv2.rectangle(
            page, (round(x) - half, top + 3), (round(x) + half, top + 23), (235, 237, 242), -1
        )
        write(page, str(number), x, top + 13, 15, GROUND_RGB, "mm")
