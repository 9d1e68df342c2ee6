"""Files a motion can be written to and read from."""

from emo2.motion.formats.npz import load_npz, save_npz

__all__ = ["load_npz", "save_npz"]
