"""Hands against speech over time: each wrist's speed as a line above the recording's loudness, the
sound's onsets as ticks through both.

A dot marks where a stroke ends; it is filled where an onset is within `MEETING_S`, so that one sees
whether the hands meet the beats. `Timeline.draw` gives any stretch at any size; the beat strip and
the contact sheet are made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from emo2.hands.preview.lettering import Rgb, write
from emo2.motion.beats import wrist_speed
from emo2.motion.edit.span import HANDS, Span
from emo2.motion.edit.warp import apexes
from emo2.types import NUM_HANDS, HandMotion

HAND_RGB = ((74, 160, 240), (248, 124, 72))
"""Display colours of the left and the right hand: trails, curves, marks."""
GROUND_RGB = (20, 22, 28)
SOUND_RGB = (104, 112, 128)
ONSET_RGB = (255, 214, 130)
TEXT_RGB = (168, 174, 186)
MEETING_S = 0.1
"""How far a stroke's end may be from an onset and still be heard together with it."""
LEAST_FULL_SCALE_M_S = 0.5
_BITS = 4


@dataclass(frozen=True)
class Beats:
    """What is drawn of a recording."""

    levels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    """(N,) in [0, 1]: loudness; point i lies at (i + 0.5) / rate_hz seconds."""
    rate_hz: float = 100.0
    onsets_s: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """(n,) seconds, rising."""
    strengths: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """(n,) in [0, 1]."""


@dataclass(frozen=True)
class StrokeEnd:
    """A moment at which a hand stops or turns."""

    frame: int
    hand: int
    peak_m_s: float
    """How fast the stroke was."""
    meets: bool
    """An onset is within `MEETING_S`."""


class Timeline:
    """A motion's curves and a recording's, ready to be drawn."""

    def __init__(self, motion: HandMotion, beats: Beats | None = None) -> None:
        self.beats = beats or Beats()
        self.fps, self.num_frames = motion.fps, motion.num_frames
        self.speed_m_s = np.where(motion.visible, wrist_speed(motion), np.nan).astype(np.float32)
        seen = self.speed_m_s[np.isfinite(self.speed_m_s)]
        fast = float(np.percentile(seen, 99)) if len(seen) else 0.0
        self.full_scale_m_s = max(1.1 * fast, LEAST_FULL_SCALE_M_S)
        self.stroke_ends = tuple(
            end for hand in range(NUM_HANDS) for end in self._stroke_ends(motion, hand)
        )

    def draw(self, start_s: float, stop_s: float, width: int, height: int) -> np.ndarray:
        """The stretch from `start_s` to `stop_s`: (height, width, 3) uint8."""
        picture = np.full((height, width, 3), GROUND_RGB, np.uint8)
        per_s = width / (stop_s - start_s)
        rooms = self.rooms(height)
        self._draw_grid(picture, start_s, stop_s, per_s)
        self._draw_sound(picture, start_s, stop_s, per_s, rooms)
        self._draw_onsets(picture, start_s, stop_s, per_s)
        for hand in range(NUM_HANDS):
            self._draw_speed(picture, hand, start_s, stop_s, per_s, rooms)
        self._draw_stroke_ends(picture, start_s, stop_s, per_s, rooms)
        return picture

    def rooms(self, height: int) -> tuple[float, float, float, float]:
        """Rows where the curves begin and end, and the middle and half height of the sound; without
        a recording the curves have all the room."""
        bottom = 0.64 if len(self.beats.levels) or len(self.beats.onsets_s) else 0.84
        return 0.20 * height, bottom * height, 0.80 * height, 0.13 * height

    @staticmethod
    def reach(height: int) -> slice:
        """Rows through which onsets and the playhead run."""
        return slice(round(0.17 * height), round(0.94 * height))

    def height_of(self, speed_m_s: float, rooms: tuple[float, ...]) -> float:
        """The row at which a speed is drawn."""
        share = min(float(np.nan_to_num(speed_m_s)) / self.full_scale_m_s, 1.0)
        return rooms[1] - share * (rooms[1] - rooms[0])

    def _stroke_ends(self, motion: HandMotion, hand: int) -> Iterator[StrokeEnd]:
        begin = 0
        for frame in apexes(motion, Span(hands=(HANDS[hand],))).astype(int):
            speed = self.speed_m_s[begin : frame + 1, hand]
            begin = frame
            if not np.isfinite(speed).all():
                continue
            away = np.abs(self.beats.onsets_s - (frame + 0.5) / self.fps)
            meets = bool(np.any(away <= MEETING_S))
            yield StrokeEnd(int(frame), hand, float(speed.max()), meets)

    def _draw_grid(self, picture, start_s, stop_s, per_s) -> None:
        height = len(picture)
        minutes = self.num_frames / self.fps > 60
        step = next((s for s in (1, 2, 5, 10, 30, 60, 120, 300) if s * per_s >= 34), 600)
        for second in range(-(-int(start_s) // step) * step, int(np.ceil(stop_s)) + 1, step):
            x = round((second - start_s) * per_s)
            if 0 <= x < picture.shape[1]:
                picture[-max(3, height // 12) :, x] = TEXT_RGB
                if height >= 60:
                    size = min(max(8, height // 9), 15)
                    words = f"{second // 60}:{second % 60:02d}" if minutes else f"{second} s"
                    write(picture, words, x + 4, height - 2, size, TEXT_RGB, "ls")

    def _draw_sound(self, picture, start_s, stop_s, per_s, rooms) -> None:
        rate, width = self.beats.rate_hz, picture.shape[1]
        edges = (start_s + np.arange(width + 1) / per_s) * rate
        first, last = np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
        for x, (a, b) in enumerate(zip(np.maximum(first, 0), last, strict=True)):
            level = self.beats.levels[a:b]
            if len(level):
                half = rooms[3] * float(level.max())
                picture[round(rooms[2] - half) : round(rooms[2] + half) + 1, x] = SOUND_RGB

    def _draw_onsets(self, picture, start_s, stop_s, per_s) -> None:
        clear = np.clip((per_s - 8) / 24, 0, 1)  # so close together they would be a wall
        if clear == 0:
            return
        for time_s, strength in zip(self.beats.onsets_s, self.beats.strengths, strict=True):
            if start_s <= time_s < stop_s:
                x, alpha = (time_s - start_s) * per_s, 0.12 + 0.68 * float(strength)
                draw_upright(picture, x, self.reach(len(picture)), ONSET_RGB, clear * alpha)

    def _draw_stroke_ends(self, picture, start_s, stop_s, per_s, rooms) -> None:
        radius = min(max(2.2, len(picture) / 30), per_s / 18)
        if radius < 1.5:
            return
        for end in self.stroke_ends:
            time_s = (end.frame + 0.5) / self.fps
            if start_s - 0.2 <= time_s < stop_s + 0.2:
                x = (time_s - start_s) * per_s
                y = self.height_of(self.speed_m_s[end.frame, end.hand], rooms)
                draw_dot(picture, x, y, radius, HAND_RGB[end.hand])
                if not end.meets:
                    draw_dot(picture, x, y, 0.55 * radius, GROUND_RGB)

    def _draw_speed(self, picture, hand, start_s, stop_s, per_s, rooms) -> None:
        first = max(int(start_s * self.fps) - 1, 0)
        last = min(int(np.ceil(stop_s * self.fps)) + 1, self.num_frames)
        x = ((np.arange(first, last) + 0.5) / self.fps - start_s) * per_s
        speed = self.speed_m_s[first:last, hand]
        together = max(1, round(1.5 * self.fps / per_s))  # frames that share a column: the fastest
        if together > 1:
            full = len(speed) // together * together
            speed = speed[:full].reshape(-1, together).max(axis=1)
            x = x[:full].reshape(-1, together).mean(axis=1)
        y = np.array([self.height_of(value, rooms) for value in speed])
        points = np.stack([x, y], axis=1)
        for stretch in np.split(np.arange(len(x)), np.flatnonzero(np.diff(np.isfinite(speed))) + 1):
            if len(stretch) < 2 or not np.isfinite(speed[stretch[0]]):
                continue
            line = points[stretch]
            feet = [[line[-1, 0], rooms[1]], [line[0, 0], rooms[1]]]
            fill = picture.copy()
            cv2.fillPoly(fill, [_fixed(np.concatenate([line, feet]))], HAND_RGB[hand], 16, _BITS)
            cv2.addWeighted(fill, 0.16, picture, 0.84, 0, picture)
            thick = 1 if len(picture) < 110 or per_s < 40 else 2
            cv2.polylines(picture, [_fixed(line)], False, HAND_RGB[hand], thick, cv2.LINE_AA, _BITS)


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round((points - 0.5) * 2**_BITS).astype(np.int32)


def draw_dot(picture: np.ndarray, x: float, y: float, radius: float, rgb: Rgb) -> None:
    """A disc at any fraction of a pixel, in place."""
    centre = _fixed(np.array([x, y])).tolist()
    cv2.circle(picture, centre, round(radius * 2**_BITS), rgb, -1, cv2.LINE_AA, _BITS)


def draw_upright(
    picture: np.ndarray, x: float, rows: slice, rgb: Rgb, alpha: float, width: float = 1.0
) -> None:
    """A vertical line around `x`, at any fraction of a pixel, in place."""
    left, right = x - width / 2, x + width / 2
    for column in range(int(np.floor(left)), int(np.ceil(right))):
        share = min(column + 1, right) - max(column, left)
        if 0 <= column < picture.shape[1]:
            beneath = picture[rows, column].astype(np.float32)
            picture[rows, column] = beneath + alpha * share * (np.asarray(rgb) - beneath)
