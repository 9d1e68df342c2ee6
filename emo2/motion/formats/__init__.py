"""Files a motion can be written to and read from: one table, two functions.

    imported = read_motion("take.bvh")                  # .motion, .report
    write_motion(imported.motion, "hands.glb")

The suffix names the format; where one suffix serves several (an .npz may be ours, BEAT2's or
AMASS's), the file's own keys decide. A name without suffix is a folder of EchoMimicV2 poses. No
format is read by unrestricted pickle.
"""

from emo2.motion.formats.npz import load_npz, save_npz
from emo2.motion.formats.registry import FORMATS, Format, identify, read_motion, write_motion
from emo2.motion.formats.report import Context, Imported, ImportReport

__all__ = [
    "FORMATS",
    "Context",
    "Format",
    "ImportReport",
    "Imported",
    "identify",
    "load_npz",
    "read_motion",
    "save_npz",
    "write_motion",
]
