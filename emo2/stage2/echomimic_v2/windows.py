"""Which frames are denoised together. A network of EchoMimicV2's kind sees 12 at once; longer films
are windows that overlap by 3, and windows that lie elsewhere in every step, so that no seam stays.

* `closed`: the original's. The film is a ring: the last window goes on at frame 0, so the first
  and the last frames are blended as if they were neighbours.
* `opened`: ours. The film has a beginning and an end; every window is full.

Either lists, for one step, windows of frame numbers in the order of their first frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Window = list[int]


@dataclass(frozen=True)
class Windows:
    """How windows lie."""

    length: int = 12
    overlap: int = 3
    shift: int = 3
    """By how many frames they move from one step to the next."""

    def closed(self, step: int, num_frames: int) -> list[Window]:
        """The original's: starts 0, 9, 18, ... on a ring, all moved by `shift * step`."""
        if num_frames <= self.length:
            places = [range(num_frames)]
        else:
            starts = range(0, num_frames, self.length - self.overlap)
            places = [range(start, start + self.length) for start in starts]
        moved = self.shift * step
        return [[(frame + moved) % num_frames for frame in place] for place in places]

    def opened(self, step: int, num_frames: int) -> list[Window]:
        """From 0 to the last frame: those at the ends lie flush, the others are moved as above."""
        last = num_frames - self.length
        if last <= 0:
            return [list(range(num_frames))]
        stride = self.length - self.overlap
        first = self.shift * step % stride or stride
        starts = [0, *range(first, last, stride), last]
        return [list(range(start, start + self.length)) for start in starts]

    def weights(self, window: Window) -> list[float]:
        """How much each frame of a window counts where windows overlap: less towards the window's
        edges, so that one fades into the next."""
        ramp = self.overlap + 1
        size = len(window)
        return [min(n + 1, size - n, ramp) / ramp for n in range(size)]


Schedule = Callable[[int, int], list[Window]]
"""`Windows.closed` or `Windows.opened`."""
