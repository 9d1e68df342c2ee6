"""How long a draft takes, part by part: CPU seconds of one thread, so a busy machine does not lie.

    python -m benchmarks.draft --portrait face.jpg --audio speech.wav [--frames 48]

Prints JSON: seconds once per film, milliseconds per frame, and frames per CPU second.
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
from emo2.draft.performance import perform
from emo2.draft.plate import make_plate
from emo2.draft.upper_arm import UpperArms
from emo2.features.portrait import analyse_portrait
from emo2.hands.arm import ArmModel
from emo2.hands.model import HandModel
from emo2.media import load_audio, load_image
from emo2.types import HandMotion

T = TypeVar("T")


def waving(num_frames: int, fps: float = 24.0) -> HandMotion:
    """Two hands that swing in front of the body at the speed of lively speech."""
    phase = 2 * np.pi * 0.5 * np.arange(num_frames) / fps
    wrists = np.empty((num_frames, 2, 3))
    wrists[:, 0] = np.stack(
        [0.2 + 0.06 * np.sin(phase), -0.22 + 0.1 * np.cos(phase), 0.2 + 0 * phase], axis=-1
    )
    wrists[:, 1] = wrists[:, 0] * [-1, 1, 1]
    quaternions = np.tile(np.array([1.0, 0, 0, 0]), (num_frames, 2, 16, 1))
    visible = np.ones((num_frames, 2), bool)
    return HandMotion(quaternions, wrists, visible, np.zeros((2, 10)), fps)


def clocked(times: dict[str, float], name: str, work: Callable[[], T]) -> T:
    """The result of `work`, its CPU seconds added to `times[name]`."""
    start = time.thread_time()
    result = work()
    times[name] = times.get(name, 0.0) + time.thread_time() - start
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--portrait", type=Path, required=True)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--hands", type=Path, default=Path("checkpoints/demo/hands"))
    args = parser.parse_args()
    arms, hands = ArmModel.from_pretrained(args.hands), HandModel.from_pretrained(args.hands)
    audio, motion = load_audio(args.audio), waving(args.frames)
    image = load_image(args.portrait)
    list(draft.DraftRenderer(arms, hands)(analyse_portrait(image), audio, motion, stop=2))  # jit

    once: dict[str, float] = {}
    each: dict[str, float] = {}
    portrait = clocked(once, "analyse", lambda: analyse_portrait(image))
    plate = clocked(once, "plate", lambda: make_plate(portrait))
    person = clocked(once, "face set-up", lambda: PortraitWarp(portrait, plate))
    performance = clocked(once, "performance", lambda: perform(audio, args.frames, motion.fps))
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
    per_frame = {name: round(1000 * s / args.frames, 1) for name, s in each.items()}
    total = sum(per_frame.values())
    print(
        json.dumps(
            {
                "size": portrait.image.shape[:2],
                "once_s": {name: round(s, 2) for name, s in once.items()},
                "frame_ms": per_frame | {"all": round(total, 1)},
                "frames_per_cpu_second": round(1000 / total, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
