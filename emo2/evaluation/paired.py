"""A film against the film it should be, frame by frame: PSNR and SSIM, no network.

    python -m emo2 evaluate video film.mp4 ... --reference real.mp4

Both must have the same size, frame rate and number of frames: nothing is resized, cut or shifted,
for each of these changes the figures more than most methods do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest

import cv2
import numpy as np

from emo2.errors import InputError
from emo2.types import Frame

PEAK = 255.0
MOST_DB = 100.0
"""PSNR of a frame that is the reference to the last bit."""
SIGMA_PX, REACH_PX = 1.5, 5
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2


@dataclass(frozen=True)
class Paired:
    """Means over frames."""

    psnr: float
    """Peak signal-to-noise ratio [dB] over the three colours, at most 100."""
    ssim: float
    """Structural similarity of the grey picture, -1..1."""
    frames: int


def compare(film: Iterable[Frame], reference: Iterable[Frame]) -> Paired:
    """Raises `InputError` where sizes or lengths differ."""
    decibels, alike = [], []
    for t, (frame, wanted) in enumerate(zip_longest(film, reference)):
        if frame is None or wanted is None:
            short = "the film" if frame is None else "the reference"
            rule, remedy = "must have as many frames as the film", "Cut the longer one."
            raise InputError("--reference", rule, f"{short} ends after {t}", remedy)
        decibels.append(psnr(frame, wanted))
        alike.append(ssim(frame, wanted))
    if not decibels:
        raise InputError("--reference", "must have frames", "none", "Name another film.")
    return Paired(float(np.mean(decibels)), float(np.mean(alike)), len(decibels))


def psnr(frame: Frame, reference: Frame) -> float:
    """[dB], higher is nearer."""
    _same_size(frame, reference)
    error = np.mean((frame.astype(np.float64) - reference) ** 2)
    return min(float(10 * np.log10(PEAK**2 / error)), MOST_DB) if error > 0 else MOST_DB


def ssim(frame: Frame, reference: Frame) -> float:
    """Wang et al. 2004: a Gaussian window of 11 px and sigma 1.5, the rim of 5 px left out."""
    _same_size(frame, reference)
    a, b = (cv2.cvtColor(f, cv2.COLOR_RGB2GRAY).astype(np.float64) for f in (frame, reference))

    def local(values: np.ndarray) -> np.ndarray:
        side = 2 * REACH_PX + 1
        return cv2.GaussianBlur(values, (side, side), SIGMA_PX, borderType=cv2.BORDER_REFLECT)

    mean_a, mean_b = local(a), local(b)
    var_a, var_b = local(a * a) - mean_a**2, local(b * b) - mean_b**2
    both = local(a * b) - mean_a * mean_b
    found = ((2 * mean_a * mean_b + C1) * (2 * both + C2)) / (
        (mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2)
    )
    return float(found[REACH_PX:-REACH_PX, REACH_PX:-REACH_PX].mean())


def _same_size(frame: Frame, reference: Frame) -> None:
    if frame.shape != reference.shape:
        height, width = reference.shape[:2]
        rule = f"must have the film's size, {frame.shape[1]} x {frame.shape[0]}"
        remedy = "Render or scale both to one size first."
        raise InputError("--reference", rule, f"{width} x {height}", remedy)
