"""Edits of which hands are in the picture. A hand is there or not: no cross-fade."""

from __future__ import annotations

import numpy as np

from emo2.motion.edit.span import WHOLE, Span, put
from emo2.types import HandMotion


def show(motion: HandMotion, span: Span = WHOLE) -> HandMotion:
    """The hands are in the picture."""
    return _set(motion, span, True)


def hide(motion: HandMotion, span: Span = WHOLE) -> HandMotion:
    """The hands are not in the picture: nothing is drawn, and the film model is told so."""
    return _set(motion, span, False)


def _set(motion: HandMotion, span: Span, shown: bool) -> HandMotion:
    span = span.within(motion)
    frames = span.stop - span.start
    flags = np.full((frames, len(span.indices)), shown)
    return put(motion, span, visible=flags, weights=np.ones(frames))
