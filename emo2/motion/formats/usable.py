"""What every writer asks of a motion before it writes a byte."""

from __future__ import annotations

import numpy as np

from emo2.errors import InputError
from emo2.types import HandMotion


def check_writable(motion: HandMotion) -> None:
    """Raises `InputError` for a motion without frames or with numbers that are not finite."""
    if motion.num_frames == 0:
        raise InputError("motion", "must have frames", 0, "Export a motion of at least one frame.")
    arrays = (motion.quaternions, motion.translation_m, motion.betas)
    if not all(np.isfinite(array).all() for array in arrays):
        raise InputError("motion", "must hold finite numbers", "NaN", "Repair the motion.")
    if not (np.isfinite(motion.fps) and motion.fps > 0):
        raise InputError("motion", "must have a positive frame rate", motion.fps, "Set its fps.")
