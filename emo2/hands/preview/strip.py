"""The beat strip: a band below each frame of a preview in which a playhead runs through the hands'
speeds and the recording.

The band is added to the picture's height: the picture above it stays as it is, pixel for pixel. A
short clip is shown whole; of a long one, the stretch around the playhead slides through.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emo2.hands.preview.lettering import clock, write
from emo2.hands.preview.timeline import (
    GROUND_RGB,
    HAND_RGB,
    ONSET_RGB,
    TEXT_RGB,
    Beats,
    Timeline,
    draw_dot,
    draw_upright,
)
from emo2.types import NUM_HANDS, Frame, HandMotion

WHOLE_S = 10.0
"""A clip up to this long is shown whole."""
STRETCH_S = 7.0
LEAD = 0.4
"""Where the playhead stands in a sliding stretch, share of the width."""
_DIM = 0.62
_FLASH_S = 0.16


class BeatStrip:
    """Draws the band of a motion for pictures of one width."""

    def __init__(self, motion: HandMotion, beats: Beats | None, width: int) -> None:
        self.timeline = Timeline(motion, beats)
        self.width = width
        self.height = 2 * max(28, round(0.085 * width))
        """Pixels, even."""
        whole = motion.duration_s <= WHOLE_S
        # Sliding by whole pixels a frame keeps the lines from shimmering.
        slide = max(1, round(width / (STRETCH_S * motion.fps)))
        self._per_frame = width / motion.num_frames if whole else slide
        self._page_frames = motion.num_frames if whole else -(-width // slide)
        self._whole, self._pages = whole, {}

    def below(self, frame: Frame, t: int) -> Frame:
        """`frame` (H, W, 3) with the band of frame `t` below it: (H + height, W, 3)."""
        return np.concatenate([frame, self.draw(t)])

    def under(self, frames: Iterator[Frame], start: int = 0) -> Iterator[Frame]:
        """The same for a stream of frames that begins with `start`."""
        for t, frame in enumerate(frames, start=start):
            yield self.below(frame, t)

    def draw(self, t: int) -> np.ndarray:
        """The band of frame `t`: (height, width, 3) uint8."""
        timeline = self.timeline
        first = self._first_frame(t)
        band = self._stretch(first)
        x = self.playhead_px(t)
        now_s = (t + 0.5) / timeline.fps
        rows = timeline.reach(self.height)
        future = band[:, max(round(x), 0) :]
        future[:] = future * _DIM + np.array(GROUND_RGB) * (1 - _DIM)
        onsets_s = timeline.beats.onsets_s
        for time_s in onsets_s[slice(*np.searchsorted(onsets_s, (now_s - _FLASH_S, now_s)))]:
            at = (time_s * timeline.fps - first) * self._per_frame
            fresh = 1 - (now_s - time_s) / _FLASH_S
            draw_upright(band, at, rows, ONSET_RGB, fresh, 1.5)
        draw_upright(band, x, slice(rows.start, self.height), (255, 255, 255), 0.95, 1.8)
        for hand in range(NUM_HANDS):
            speed = timeline.speed_m_s[t, hand]
            if np.isfinite(speed):
                y = timeline.height_of(speed, timeline.rooms(self.height))
                draw_dot(band, x, y, max(3.0, self.height / 22), (255, 255, 255))
                draw_dot(band, x, y, max(2.0, self.height / 32), HAND_RGB[hand])
        self._write_legend(band, t)
        return band

    def playhead_px(self, t: int) -> float:
        """The playhead's place in the band of frame `t`, pixels from the left."""
        return (t + 0.5 - self._first_frame(t)) * self._per_frame

    def _first_frame(self, t: int) -> int:
        if self._whole:
            return 0
        last = max(self.timeline.num_frames - self._page_frames, 0)
        return int(np.clip(t - round(LEAD * self._page_frames), 0, last))

    def _stretch(self, first: int) -> np.ndarray:
        """The still picture of the frames from `first`, cut from pages that are drawn once."""
        page, into = divmod(first, self._page_frames)
        wanted = {page: self._page(page), page + 1: self._page(page + 1)} if into else {
            page: self._page(page)
        }  # fmt: skip
        self._pages = wanted
        offset = round(into * self._per_frame)
        joined = np.concatenate(list(wanted.values()), axis=1)
        return joined[:, offset : offset + self.width].copy()

    def _page(self, page: int) -> np.ndarray:
        if page in self._pages:
            return self._pages[page]
        fps, count = self.timeline.fps, self._page_frames
        width = self.width if self._whole else round(count * self._per_frame)
        start, stop = page * count / fps, (page + 1) * count / fps
        return self.timeline.draw(start, stop, width, self.height)

    def _write_legend(self, band: np.ndarray, t: int) -> None:
        size = max(9, self.height // 8)
        y, x = 0.085 * self.height, 0.6 * size
        for hand, name in enumerate(("left", "right")):
            draw_dot(band, x + 0.3 * size, y, 0.28 * size, HAND_RGB[hand])
            x += 0.9 * size
            x += write(band, name, x, y, size, TEXT_RGB) + size
        time = f"{clock(t / self.timeline.fps)}  ·  {t}"
        write(band, time, self.width - 0.6 * size, y, size, TEXT_RGB, "rm")
