"""What a preview costs: both backends side by side in one run, plain, with trails, with the strip.

    python -m benchmarks.preview [--frames 300] [--side 512] [--repeat 3]

Prints JSON: CPU milliseconds of this process, all its threads, for each frame, once warmed up; the
best of `repeat` runs, for other work on the machine only ever adds. Both hands are in the picture
all the time, seen at the scale of a half-body portrait. Encoding the film is not counted.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import deque
from pathlib import Path

import numpy as np

from emo2.features.onsets import speech_beats
from emo2.hands.preview.strip import BeatStrip
from emo2.hands.render import available_backend, render_motion
from emo2.media import load_audio
from emo2.motion.edit import trim
from emo2.pipeline import EMO2Pipeline
from emo2.types import AudioClip, Camera

ASSETS = Path(__file__).resolve().parent.parent / "assets"
VARIANTS = {"plain": {}, "trails": {"trails": True}, "ghost": {"trails": True, "ghost": True}}


def main() -> None:
    """Warm up, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    studio, side = EMO2Pipeline.from_pretrained(), options.side
    speech = [load_audio(path).samples for path in sorted(ASSETS.glob("*.flac"))]
    needed = int(options.frames / studio.fps * 16_000)
    audio = AudioClip(np.resize(np.concatenate(speech), needed))
    motion = trim(studio.gesture(audio, speed=0.7), 0, options.frames)
    camera = Camera((side / 2, 0.36 * side), 1.05 * side, side, side)

    def frame_ms(backend: str, variant: str, strip: bool) -> float:
        spent = []
        for stop in (8, *[options.frames] * options.repeat):
            start = time.process_time()
            frames = render_motion(
                motion,
                studio.hand_model,
                camera,
                detail=studio.hand_detail,
                backend=backend,
                stop=stop,
                **VARIANTS[variant],
            )
            if strip:
                frames = BeatStrip(motion, speech_beats(audio), side).under(frames)
            deque(frames, maxlen=0)
            spent.append(1000 * (time.process_time() - start) / stop)
        return round(min(spent[1:]), 1)

    facts: dict[str, object] = {"frames": options.frames, "side_px": side}
    for name in ("raster", "pyrender"):
        if name == "raster" or available_backend()[0] == "pyrender":
            facts[name] = {
                f"{variant}{' + strip' * strip}": frame_ms(name, variant, strip)
                for variant in VARIANTS
                for strip in (False, True)
            }
    if "pyrender" in facts:
        facts["pyrender_over_raster"] = {
            variant: round(facts["pyrender"][variant] / facts["raster"][variant], 2)
            for variant in facts["raster"]
        }
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
