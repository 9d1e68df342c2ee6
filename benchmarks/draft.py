"""How long a draft takes: part by part in CPU seconds of one thread, so a busy machine does not
lie, and whole by the clock, as people wait for it.

    python -m benchmarks.draft --portrait face.jpg --audio speech.wav [--frames 96] [--side 512]

Prints JSON: seconds once per film, milliseconds per frame, frames per CPU second; then of the whole
film the seconds to its first frame and frames per second, with everything that is done once counted
and without. Hands move as Stage 1 moves them to the speech.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from emo2.draft import renderer as draft
from emo2.draft.arms import ArmPainter
from emo2.draft.face import PortraitWarp
from emo2.draft.ik import rig_from_plate, solve_elbows
from emo2.draft.light import light_from_face
from emo2.draft.paint import paint_arms
from emo2.draft.plate import make_plate
from emo2.draft.upper_arm import UpperArms
from emo2.features.portrait import analyse_portrait
from emo2.media import load_audio, load_image
from emo2.pipeline import EMO2Pipeline

T = TypeVar("T")


def clocked(times: dict[str, float], name: str, work: Callable[[], T]) -> T:
    """The result of `work`, its CPU seconds added to `times[name]`."""
    start = time.thread_time()
    result = work()
    times[name] = times.get(name, 0.0) + time.thread_time() - start
    return result


def by_the_clock(render, portrait, audio, motion, frames: int) -> dict[str, float]:
    """A film rendered as the studio does, motion blur and all, on as many threads as it takes."""
    start = time.perf_counter()
    film = render(portrait, audio, motion, stop=frames)
    next(film)
    first_s = time.perf_counter() - start
    count = 1 + sum(1 for _ in film)
    spent_s = time.perf_counter() - start
    return {
        "first_frame_s": round(first_s, 2),
        "frames_per_second": round(count / spent_s, 1),
        "frames_per_second_after_the_first": round((count - 1) / (spent_s - first_s), 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--portrait", type=Path, required=True)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--side", type=int, default=512, help="long side of the film, pixels")
    args = parser.parse_args()
    studio = EMO2Pipeline.from_pretrained()
    arms, hands = studio.draft.arm_model, studio.draft.hand_model
    audio, image = load_audio(args.audio), load_image(args.portrait)
    motion = studio.gesture(audio)
    args.frames = min(args.frames, motion.num_frames)
    list(studio.draft(analyse_portrait(image), audio, motion, stop=2))  # jit

    once: dict[str, float] = {}
    each: dict[str, float] = {}
    portrait = clocked(once, "analyse", lambda: analyse_portrait(image, max_side_px=args.side))
    plate = clocked(once, "plate", lambda: make_plate(portrait))
    person = clocked(once, "face set-up", lambda: PortraitWarp(portrait, plate))
    performance = clocked(once, "performance", lambda: studio.draft.perform(audio, motion))
    rig = rig_from_plate(plate, portrait.camera)
    elbows = clocked(
        once, "elbows", lambda: solve_elbows(rig, motion.translation_m, portrait.camera)
    )
    paint = clocked(once, "paint", lambda: paint_arms(portrait, plate, arms, hands, 0))
    light = light_from_face(portrait)
    painter = ArmPainter(arms.faces, arms.blend, paint, light, portrait.camera)
    upper_arms, homes_px = UpperArms(plate), np.stack([arm.elbow for arm in plate.arms])
    for t in range(args.frames):
        moved = clocked(each, "person", lambda t=t: person.frame(performance, t))
        elbows_px = portrait.camera.project(elbows[t])
        moved = clocked(
            each,
            "upper arms",
            lambda m=moved, e=elbows_px: upper_arms.follow(m, portrait.shoulders, e, homes_px),
        )
        vertices = clocked(
            each,
            "skinning",
            lambda t=t: arms.vertices(motion, elbows[t : t + 1], t, t + 1)[0],
        )
        layer = clocked(
            each,
            "arms",
            lambda t=t, v=vertices: painter.draw(
                v, elbows[t], portrait.shoulders, rig.pinned, motion.visible[t]
            ),
        )
        clocked(each, "compose", lambda m=moved, a=layer: draft.compose(m, a))
    whole = by_the_clock(studio.draft, portrait, audio, motion, args.frames)
    per_frame = {name: round(1000 * s / args.frames, 1) for name, s in each.items()}
    total = sum(per_frame.values())
    print(
        json.dumps(
            {
                "size": portrait.image.shape[:2],
                "once_s": {name: round(s, 2) for name, s in once.items()},
                "frame_ms": per_frame | {"all": round(total, 1)},
                "frames_per_cpu_second": round(1000 / total, 1),
                "whole": whole,
            }
        )
    )


if __name__ == "__main__":
    main()
