"""How fast films are written and read.

    python -m benchmarks.media [--frames 120] [--size 640x512]

Prints JSON: frames per second of wall time, writing (H.264 and AAC, the finished file) and reading
back, and what a second of film weighs. Here all of the picture moves; a portrait is easier.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from emo2.media import read_frames, write_video
from emo2.types import AudioClip, Frame

FPS = 24.0


def drifting(count: int, height: int, width: int) -> Iterator[Frame]:
    """Soft colours that drift by a pixel and a half a frame, under a little grain."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    grain = random.normal(0, 2, (height, width, 1)).astype(np.float32)
    for t in range(count):
        waves = [np.sin((x + 1.5 * t) / 31 + c) * np.cos((y - t) / 47 - c) for c in range(3)]
        yield (127 + 90 * np.stack(waves, axis=-1) + grain).clip(0, 255).astype(np.uint8)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--size", default="640x512", help="height x width")
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    frames = list(drifting(arguments.frames, height, width))
    duration_s = arguments.frames / FPS
    sound = AudioClip(np.sin(np.arange(round(duration_s * 16_000)) / 8).astype(np.float32))
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        start = time.perf_counter()
        write_video(film, frames, FPS, sound)
        written = time.perf_counter()
        for _ in read_frames(film):
            pass
        read = time.perf_counter()
        facts = {
            "size": arguments.size,
            "frames": arguments.frames,
            "write_fps": round(arguments.frames / (written - start), 1),
            "read_fps": round(arguments.frames / (read - written), 1),
            "kilobytes_per_second": round(film.stat().st_size / 1000 / duration_s, 1),
        }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
