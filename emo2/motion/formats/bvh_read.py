"""A `HandMotion` from BVH: our own, BEAT's (Vicon), and others with finger joints.

Bones are found by name and brought from their rest pose to ours by `retarget`. The header's number
of frames is often wrong in files that were thinned out; the lines themselves count, and the report
says so. A file that simply ends too soon is refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emo2.motion.formats.bone_names import find_bones, needed_bones
from emo2.motion.formats.bvh_file import BvhFile, read_bvh, refuse
from emo2.motion.formats.report import Context, Imported, ImportReport
from emo2.motion.formats.retarget import Humanoid, retarget
from emo2.types import NUM_HANDS, HandMotion

THINNED_FRAMES = 3
"""How far a thinned file's number of frames may be from the header's divided by a whole number."""
WHOLE_RATE = 0.01
"""Frame rates so near (as a share) to a whole number are that number: Frame Time has few digits."""


def read(path: Path, context: Context) -> Imported:
    """The registry's reader."""
    path = Path(path)
    bvh = read_bvh(path)
    fps, remarks = _rate(bvh, path)
    bones = find_bones([joint.name for joint in bvh.joints])
    names = needed_bones(bones, "motion", path)
    joints = [bones[name] for name in names]
    rotations, places = bvh.world(joints)
    hands = retarget(
        Humanoid(
            bones={name: k for k, name in enumerate(names)},
            rest_rotations=np.broadcast_to([1.0, 0.0, 0.0, 0.0], (len(joints), 4)),
            rest_places=bvh.rest_places()[joints],
            rotations=rotations,
            places=places,
        )
    )
    if hands.are_free:
        remarks += ("what of the hands' shape moves no bone, which hands are hidden, and meta",)
    motion = HandMotion(
        quaternions=hands.quaternions,
        translation_m=hands.translation_m,
        visible=np.ones((len(rotations), NUM_HANDS), bool),
        betas=hands.betas,
        fps=fps,
        meta={"source": path.name},
    )
    orders = {"".join(c[0] for c in j.channels if c.endswith("rotation")) for j in bvh.joints}
    convention = (
        f"{len(bvh.joints)} joints, Euler angles {' and '.join(sorted(filter(None, orders)))}; "
        "hands relative to the shoulders, scaled to the reference body"
    )
    return Imported(motion, ImportReport("bvh", fps, convention, remarks + hands.remarks))


def _rate(bvh: BvhFile, path: Path) -> tuple[float, tuple[str, ...]]:
    """Frames per second, and a remark where the header was not right."""
    fps = _whole(1 / bvh.frame_time_s)
    found, declared = len(bvh.values), bvh.declared_frames
    if found == declared:
        return fps, ()
    if found > declared:
        return fps, (f"the header counts {declared} frames, the file has {found}: all were read",)
    every = round(declared / found)
    if every >= 2 and abs(declared / every - found) <= THINNED_FRAMES:
        thinned = _whole(fps / every)
        return thinned, (
            f"the header counts {declared} frames at {fps:g} a second, the file has {found}: read "
            f"as every {every}th, {thinned:g} a second",
        )
    raise refuse(path, f"must have the {declared} frames that its header counts", found)


def _whole(fps: float) -> float:
    near = round(fps)
    return float(near) if near and abs(fps / near - 1) < WHOLE_RATE else fps
