"""What edits and exports of a long motion cost, and how that grows with its length.

    python -m benchmarks.motion [--minutes 10]

Prints JSON: for every operation, for a document of all of them, and for every format that can be
written, CPU seconds and peak memory [MB] beside the motion's own, and the ratios to a tenth of the
length. Memory of operations is what Python allocated; that of exports is how far the resident set
of a child process grows while it writes (Linux).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from emo2.errors import InputError
from emo2.hands.model import HandModel
from emo2.media import load_image
from emo2.motion.edit import apply, trim
from emo2.motion.edit.filters import low_pass
from emo2.motion.formats import FORMATS, Context, Format, write_motion
from emo2.motion.rest import rest_pose
from emo2.motion.rotations import continuous, from_axis_angle, multiply
from emo2.pipeline import EMO2Pipeline
from emo2.types import HandMotion, Portrait

ROOT = Path(__file__).resolve().parent.parent
HANDS = ROOT / "checkpoints" / "demo" / "hands"
FPS = 24
OPERATIONS: tuple[dict[str, Any], ...] = (
    {"op": "amplitude", "factor": 1.3},
    {"op": "speed", "factor": 1.2},
    {"op": "smooth", "seconds": 0.3},
    {"op": "openness", "amount": 0.3},
    {"op": "handshape", "shape": "relaxed", "amount": 0.2},
    {"op": "offset", "dy": 0.02, "apart": 0.01},
    {"op": "height", "metres": 0.02},
    {"op": "mirror", "start": 1},
    {"op": "swap"},
    {"op": "hide", "start": 100, "stop": 400},
    {"op": "show"},
    {"op": "hold", "start": 100, "stop": 400},
    {"op": "rest", "start": 500, "stop": 800},
    {"op": "paste", "start": 700, "from_start": 0, "from_stop": 240},
    {"op": "nudge", "frames": 4},
    {"op": "snap", "start": 1000, "stop": 1200, "onset_s": 45.8},
    {"op": "key", "frame": 600, "place": [0.2, 0.0, 0.3], "shape": "point"},
    {"op": "style", "style": "keynote"},
    {"op": "limit"},
    {"op": "separate"},
    {"op": "seam", "frame": 900},
    {"op": "bridge", "start": 1300, "stop": 1306},
    {"op": "resample", "fps": 30},
    {"op": "trim", "start": 5, "stop": 1000},
)
"""Each over all frames where it can be."""


def long_motion(frames: int) -> HandMotion:
    """Hands that wander around where they rest; nothing repeats."""
    rng = np.random.default_rng(0)
    rests = [rest_pose(hand) for hand in (0, 1)]
    swing = low_pass(rng.normal(0, 1, (frames, 2, 17, 3)), FPS) * 2.5
    turns = from_axis_angle(swing[:, :, 1:] * np.array([0.5] + [0.1] * 15)[:, None])
    quaternions = multiply(turns, np.stack([quaternions for quaternions, _ in rests]))
    places = np.stack([place for _, place in rests]) + [0.0, 0.1, 0.05] + 0.08 * swing[:, :, 0]
    return HandMotion(
        continuous(quaternions), places, np.ones((frames, 2), bool), np.zeros((2, 10)), FPS
    )


def cost(work: Callable[[], object]) -> dict[str, float]:
    """CPU seconds, and in a second run the peak of Python's memory [MB] above where it began."""
    begin = time.process_time()
    work()
    seconds = time.process_time() - begin
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"cpu_s": round(seconds, 3), "peak_mb": round(peak / 1e6, 1)}


def ratios(at_length: dict[str, float], at_tenth: dict[str, float]) -> dict[str, float]:
    """The long motion's costs, and how many times the short one's they are."""
    return at_length | {
        f"{name}_ratio": round(at_length[name] / at_tenth[name], 1)
        for name in at_length
        if at_tenth[name]
    }


def export_costs(
    format: Format, motions: tuple[HandMotion, ...], portrait: Portrait
) -> list[dict[str, float]] | str:
    """What `write_motion` costs for each motion, in a process of its own; or why it cannot."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as child:
        return child.submit(_export, format, motions, portrait).result()


def _export(
    format: Format, motions: tuple[HandMotion, ...], portrait: Portrait
) -> list[dict[str, float]] | str:
    context = Context(hand_model=HandModel.from_pretrained(HANDS), portrait=portrait)
    with tempfile.TemporaryDirectory() as folder:
        try:
            write_motion(
                trim(motions[0], 0, FPS),
                Path(folder) / f"warm{format.suffixes[0]}",
                format=format.name,
                context=context,
            )
        except InputError as error:  # an optional library is not installed
            return str(error)
        return [
            _export_cost(motion, Path(folder) / f"{at}{format.suffixes[0]}", format.name, context)
            for at, motion in enumerate(motions)
        ]


def _export_cost(motion: HandMotion, out: Path, format: str, context: Context) -> dict[str, float]:
    _forget_peak()
    resident, begin = _resident_mb("VmRSS"), time.process_time()
    write_motion(motion, out, format=format, context=context)
    seconds = time.process_time() - begin
    files = [file for file in (out, *out.rglob("*")) if file.is_file()]
    return {
        "cpu_s": round(seconds, 2),
        "peak_mb": round(_resident_mb("VmHWM") - resident, 1),
        "file_mb": round(sum(file.stat().st_size for file in files) / 1e6, 1),
    }


def _resident_mb(line: str) -> float:
    """VmRSS, now, or VmHWM, the most since the last `_forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{line}:\s+(\d+) kB", status)[1]) / 1000


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args(argv)
    long = long_motion(round(options.minutes * 60 * FPS))
    short = long_motion(long.num_frames // 10)
    facts: dict[str, Any] = {
        "frames": long.num_frames,
        "motion_mb": round((long.quaternions.nbytes + long.translation_m.nbytes) / 1e6, 1),
    }
    apply(short, OPERATIONS)
    documents = {op["op"]: (op,) for op in OPERATIONS} | {"all of them": OPERATIONS}
    facts["operations"] = {
        name: ratios(*(cost(lambda m=m, ops=ops: apply(m, ops)) for m in (long, short)))
        for name, ops in documents.items()
    }
    portrait = EMO2Pipeline.from_pretrained().analyse(load_image(ROOT / "assets" / "amara.jpg"))
    facts["exports"] = {}
    for format in FORMATS:
        if format.writer:
            costs = export_costs(format, (short, long), portrait)
            facts["exports"][format.name] = (
                costs if isinstance(costs, str) else ratios(*costs[::-1])
            )
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
