"""Is the motion smooth, and can one see where windows were joined?

`jerk` and spectral arc length look at all of it; the seam ratios at the joins of a long motion that
was made in windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SPARC_WINDOW_S = 4.0
SPARC_MOST_HZ = 10.0
SPARC_AMPLITUDE = 0.05
SPARC_PADDING = 16
"""Times the window's length, for a fine spectrum."""
SPARC_LEAST_M_S = 0.05
"""Windows that move less on average have no movement whose smoothness could be told."""
NUM_PLACEBOS = 200
UNSEEN_M_S = 2e-3
"""Added to jumps before they are divided: nobody sees a change of velocity of 2 mm/s from one frame
to the next, and hands that lie dead still would divide by nothing."""


def jerk(points: np.ndarray, fps: float) -> float:
    """Mean length of the third derivative [m/s^3] of points (T, P, 3): high = shaky."""
    if len(points) < 4:
        return 0.0
    third = np.diff(points.astype(np.float64), n=3, axis=0) * fps**3
    return float(np.linalg.norm(third, axis=-1).mean())


def spectral_arc_length(speed: np.ndarray, fps: float) -> float:
    """SPARC (Balasubramanian et al., J. NeuroEng. Rehabil. 2015) of one speed profile (T,): the
    negative length of its normalised amplitude spectrum's curve. Nearer to zero = smoother; a
    single minimum-jerk reach has about -1.4, whatever its size and length.

    The curve runs from 0 Hz to the last frequency below 10 Hz whose amplitude reaches 5 % of that
    at 0.
    """
    size = int(2 ** np.ceil(np.log2(len(speed) * SPARC_PADDING)))
    amplitude = np.abs(np.fft.rfft(speed, size))
    if amplitude[0] <= 0:
        return float("nan")
    amplitude = amplitude / amplitude[0]
    frequency = np.fft.rfftfreq(size, 1 / fps)
    inside = frequency <= SPARC_MOST_HZ
    last = int(np.flatnonzero(inside & (amplitude >= SPARC_AMPLITUDE)).max())
    if last < 1:
        return float("nan")
    along = np.diff(frequency[: last + 1]) / frequency[last]
    return float(-np.hypot(along, np.diff(amplitude[: last + 1])).sum())


def mean_arc_length(speed: np.ndarray, fps: float) -> float:
    """Mean SPARC of the 4 s windows of speeds (T, P) that hold movement.

    An arc length grows with the number of movements in a window: it compares motions that gesture
    about as often: read it beside beats per second.
    """
    size = round(SPARC_WINDOW_S * fps)
    windows = [
        spectral_arc_length(track[start : start + size], fps)
        for track in speed.T
        for start in range(0, len(track) - size + 1, size)
        if track[start : start + size].mean() > SPARC_LEAST_M_S
    ]
    return float(np.nanmean(windows)) if windows else float("nan")


@dataclass(frozen=True)
class Seams:
    """Jumps at window joins against jumps elsewhere. 1 = nobody can tell.

    A jump is how far a frame's velocity differs from the one before [m/s], mean over points, and
    over the two steps that a join touches; `acceleration` is the same for the next derivative.

    Hands that rest half of the time make jumps a very skewed quantity: their mean is two to five
    times their median with no seam at all. A mean at joins over a median of all frames, taken to
    the letter, would blame resting hands for every stroke that crosses a join; `placebo` shows by
    how much, for joins put where none are. So the ratio to be judged is like over like: the median
    at joins over the median elsewhere. The mean over the mean is beside it, because a median cannot
    see one bad join in three.
    """

    velocity: float
    """Median velocity jump at joins over the median elsewhere: the seam ratio."""
    acceleration: float
    mean_ratio: float
    """Mean velocity jump at joins over the mean elsewhere."""
    literal: float
    """Mean velocity jump at joins over the median of all frames."""
    placebo: float
    """`literal` for joins in random places."""
    placebo_most: float
    """95 % of random places give a `velocity` below this: what a seamless motion may show."""
    joins: int


def seams(tracks: list[tuple[np.ndarray, np.ndarray]], fps: float, seed: int = 0) -> Seams | None:
    """Seams of motions, each points (T, P, 3) and joins (n,): the frames that begin a window. None
    where nothing was joined."""
    tracks = [(points, _inside(joins, len(points))) for points, joins in tracks]
    tracks = [track for track in tracks if len(track[1])]
    if not tracks:
        return None
    jumps = [jumps_at(points, fps, 2) for points, _ in tracks]
    joins = [joins for _, joins in tracks]
    at, elsewhere = _split(jumps, joins)
    sharper = _split([jumps_at(points, fps, 3) for points, _ in tracks], joins)
    rng = np.random.default_rng(seed)
    placebo = np.array([_placebo(jumps, joins, rng) for _ in range(NUM_PLACEBOS)])
    return Seams(
        velocity=_over(np.median(at), np.median(elsewhere)),
        acceleration=_over(*map(np.median, sharper), UNSEEN_M_S * fps),
        mean_ratio=_over(at.mean(), elsewhere.mean()),
        literal=_over(at.mean(), np.median(np.concatenate([at, elsewhere]))),
        placebo=float(placebo[:, 0].mean()),
        placebo_most=float(np.percentile(placebo[:, 1], 95)),
        joins=len(at),
    )


def local_ratios(points: np.ndarray, joins: np.ndarray, fps: float) -> np.ndarray:
    """(n,) each join's velocity jump over the median of those within a second of it: for joins so
    few that a rest or a stroke nearby would decide. Motion without seams has 1 in the middle."""
    jumps, reach = jumps_at(points, fps, 2), round(fps)
    ratios = []
    for join in joins:
        around = np.abs(np.arange(len(jumps)) - join)
        near = jumps[(around <= reach) & (around > 1)]
        ratios.append(_over(jumps[join], np.nanmedian(near)))
    return np.array(ratios)


def jumps_around(
    tracks: list[tuple[np.ndarray, np.ndarray]], fps: float, reach: int
) -> np.ndarray | None:
    """(2 reach + 1,) mean velocity jump `reach` frames before to after joins, over the mean of all
    frames: flat where nobody can tell. None without joins."""
    around, usual = [], []
    for points, joins in tracks:
        jumps = jumps_at(points, fps, 2)
        usual.append(jumps[np.isfinite(jumps)])
        joins = joins[(joins >= reach + 2) & (joins < len(points) - reach - 2)]
        around.append(jumps[joins[:, None] + np.arange(-reach, reach + 1)])
    around = np.concatenate(around)
    return around.mean(axis=0) / np.concatenate(usual).mean() if len(around) else None


def jumps_at(points: np.ndarray, fps: float, order: int) -> np.ndarray:
    """(T,) how far the motion (T, P, 3) is from going on as before at the step into each frame:
    order 2 = change of velocity [m/s], 3 = change of acceleration [m/s^2]; mean over points and the
    differences that contain the step. NaN at the ends."""
    change = np.diff(points.astype(np.float64), n=order, axis=0) * fps ** (order - 1)
    size = np.linalg.norm(change, axis=-1).mean(axis=1)  # (T - order,): frames k .. k + order
    out = np.full(len(points), np.nan)
    # The step t-1 -> t lies within the differences that begin at frames t - order .. t - 1.
    inner = np.convolve(size, np.full(order, 1 / order), mode="valid")
    out[order : order + len(inner)] = inner
    return out


def _inside(joins: np.ndarray, frames: int) -> np.ndarray:
    joins = np.asarray(joins, int)
    return joins[(joins >= 4) & (joins < frames - 4)]


def _split(jumps: list[np.ndarray], joins: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    at = np.concatenate([jump[frames] for jump, frames in zip(jumps, joins, strict=True)])
    rest = np.concatenate(
        [np.delete(jump, frames) for jump, frames in zip(jumps, joins, strict=True)]
    )
    return at[np.isfinite(at)], rest[np.isfinite(rest)]


def _placebo(jumps, joins, rng: np.random.Generator) -> tuple[float, float]:
    moved = [
        np.sort(rng.choice(np.arange(4, len(jump) - 4), len(frames), replace=False))
        for jump, frames in zip(jumps, joins, strict=True)
    ]
    at, elsewhere = _split(jumps, moved)
    usual = np.median(np.concatenate([at, elsewhere]))
    return _over(at.mean(), usual), _over(np.median(at), np.median(elsewhere))


def _over(jump: float, usual: float, unseen: float = UNSEEN_M_S) -> float:
    return float((jump + unseen) / (usual + unseen))
