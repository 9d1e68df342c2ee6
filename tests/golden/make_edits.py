"""Write `edits.json`: a small motion, operations over it, and what comes out, rounded.

    python -m tests.golden.make_edits

Run it only when an operation is meant to give other numbers, and say so in the commit. The angles
of the handshapes are in the file too: a better fist changes nothing here.
"""

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from motions import smooth_motion  # noqa: E402

from emo2.hands.shapes import SHAPES  # noqa: E402
from emo2.motion.edit import apply  # noqa: E402
from emo2.motion.edit.fingers import CLOSED, OPEN  # noqa: E402
from emo2.motion.edit.presets import PRESETS  # noqa: E402
from emo2.motion.rest import REST_SHAPE  # noqa: E402
from emo2.types import HandMotion  # noqa: E402

FRAMES, EVERY = 30, 4
JOINTS = [0, 2, 13]
SPAN = {"start": 4, "stop": 27, "fade": 5}
CASES = {
    "amplitude up": [{"op": "amplitude", **SPAN, "factor": 1.6, "turn": 0.8, "slow_s": 2.0}],
    "amplitude down": [{"op": "amplitude", "factor": 0.4}],
    "speed up": [{"op": "speed", "start": 4, "stop": 27, "factor": 1.8}],
    "speed down": [{"op": "speed", "start": 0, "stop": 25, "factor": 0.6, "hands": ["left"]}],
    "smooth": [{"op": "smooth", **SPAN, "seconds": 0.5}],
    "open": [{"op": "openness", **SPAN, "amount": 0.6}],
    "close": [{"op": "openness", "start": 10, "amount": -0.4, "hands": ["right"]}],
    "handshape": [{"op": "handshape", **SPAN, "shape": "pinch", "amount": 0.7}],
    "offset": [{"op": "offset", **SPAN, "dx": 0.02, "dy": 0.05, "dz": -0.03, "apart": 0.04}],
    "height": [{"op": "height", **SPAN, "metres": -0.06}],
    "mirror": [{"op": "mirror", **SPAN}],
    "mirror one hand": [{"op": "mirror", **SPAN, "hands": ["left"]}],
    "swap": [{"op": "swap", **SPAN}],
    "show and hide": [
        {"op": "show", "start": 3, "stop": 9},
        {"op": "hide", "start": 12, "stop": 21, "hands": ["right"]},
    ],
    "hold": [{"op": "hold", **SPAN, "frame": 9}],
    "rest": [{"op": "rest", "start": 8}],
    "paste": [{"op": "paste", "start": 14, "from_start": 1, "from_stop": 15, "fade": 4}],
    "paste mirrored": [
        {"op": "paste", "start": 12, "from_start": 0, "from_stop": 14, "mirrored": True}
    ],
    "nudge": [{"op": "nudge", "start": 2, "stop": 29, "frames": 3.5}],
    "snap": [{"op": "snap", "start": 0, "stop": 30, "onset_s": 0.6}],
    "key": [
        {"op": "key", "frame": 15, "place": [0.22, -0.05, 0.3], "wrist": [0.8, 0.1, 0.5, -0.2],
         "shape": "point", "before": 6, "after": 9}
    ],
    "style": [{"op": "style", **SPAN, "style": "keynote", "amount": 0.8}],
    "limit": [{"op": "offset", "dz": 0.25, "apart": -0.1}, {"op": "limit", **SPAN}],
    "separate": [{"op": "offset", "apart": -0.14}, {"op": "separate", **SPAN, "gap": 0.01}],
    "limit wrists": [{"op": "limit", "what": "wrist"}],
    "bridge": [{"op": "bridge", "start": 10, "stop": 16}],
    "seam": [{"op": "offset", "start": 15, "fade": 0, "dy": 0.04}, {"op": "seam", "frame": 15}],
    "trim": [{"op": "trim", "start": 5, "stop": 22}],
    "resample": [{"op": "resample", "fps": 30.0}],
    "several": [
        {"op": "amplitude", **SPAN, "factor": 1.3},
        {"op": "key", "frame": 12, "place": [0.18, -0.1, 0.25], "hands": ["left"]},
        {"op": "smooth", "seconds": 0.3},
        {"op": "trim", "start": 2, "stop": 28},
        {"op": "rest", "start": 18, "fade": 6},
    ],
}  # fmt: skip


def rounded(array: np.ndarray) -> list:
    """As nested lists with six decimals."""
    return np.round(np.asarray(array, np.float64), 6).tolist()


def main() -> None:
    """Write the file beside this one."""
    made = smooth_motion(FRAMES, seed=7)
    base = HandMotion(
        quaternions=np.array(rounded(made.quaternions)),
        translation_m=np.array(rounded(made.translation_m)),
        visible=made.visible,
        betas=np.zeros((2, 10)),
        fps=made.fps,
    )
    cases = []
    for name, operations in CASES.items():
        edited = apply(base, operations)
        frames = list(range(0, edited.num_frames, EVERY))
        cases.append(
            {
                "name": name,
                "operations": operations,
                "num_frames": edited.num_frames,
                "frames": frames,
                "translation_m": rounded(edited.translation_m[frames]),
                "quaternions": rounded(edited.quaternions[frames][:, :, JOINTS]),
                "visible": edited.visible[frames].tolist(),
            }
        )
    used = {op["shape"] for ops in CASES.values() for op in ops if "shape" in op}
    used |= {
        op["shape"] for preset in PRESETS.values() for op in preset.operations if "shape" in op
    }
    used |= {OPEN, CLOSED, REST_SHAPE}
    facts = {
        "base": {
            "quaternions": rounded(base.quaternions),
            "translation_m": rounded(base.translation_m),
            "visible": base.visible.tolist(),
            "fps": base.fps,
        },
        "handshapes_deg": {name: rounded(SHAPES[name]) for name in sorted(used)},
        "joints": JOINTS,
        "cases": cases,
    }
    (HERE / "edits.json").write_text(json.dumps(facts, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
