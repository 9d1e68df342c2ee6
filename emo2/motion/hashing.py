"""The fingerprint of a motion: what edits, recipes and caches know it by."""

from __future__ import annotations

import hashlib

from emo2.types import HandMotion


def motion_hash(motion: HandMotion) -> str:
    """First 16 hex digits of the SHA-256 over the motion's numbers, not its `meta`."""
    digest = hashlib.sha256(str(motion.fps).encode())
    for array in (motion.quaternions, motion.translation_m, motion.visible, motion.betas):
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
