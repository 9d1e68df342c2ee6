"""Edits of a motion: pure functions from one `HandMotion` to another."""

from emo2.motion.edit.simple import mirror, trim
from emo2.motion.edit.time import resample

__all__ = ["mirror", "resample", "trim"]
