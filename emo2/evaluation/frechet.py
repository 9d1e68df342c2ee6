"""Distances between two crowds of feature vectors, and the floor that real motion has to itself.

    frechet_distance(made, real)                    # Gaussians fitted to both (FID, FGD)
    kernel_distance(made, real)                     # unbiased, with a standard error (KID)
    split_half_floor(real_by_clip, seed=0)          # real against real: no model can be below
    against(made_by_clip, real_by_clip, seed=0)     # all of it, at one sample size

Rows are windows, columns features (`geometric_features`, `MotionAutoencoder.features`). None of
these numbers is comparable with a published FGD: features, windows and data differ.

**Small samples.** The Frechet distance of samples is too large: with n rows of d features each, two
samples of one and the same Gaussian of unit variance lie about d (d + 1) / (2 n) + 2 d / n apart
(first order, met by experiment; d = 45: 1.7 at n = 675, 11 at n = 100), and where n <= d the fitted
covariance is singular and the figure says mostly n. So a distance is only ever read beside a floor
made from as many rows of as many clips, which is what `against` does; below ten rows a feature
trust the kernel distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emo2.errors import InputError

Features = np.ndarray
"""(n, d) float: one row per window."""
SPLITS = 10
BLOCKS = 20
NEGATIVE = 1e-6
"""Share of the largest eigenvalue below which a negative one is rounding."""


@dataclass(frozen=True)
class KernelDistance:
    """A squared maximum mean discrepancy and how well it is known."""

    value: float
    """Zero on average when both crowds are one; may be negative by chance."""
    standard_error: float


@dataclass(frozen=True)
class Against:
    """How far made motion lies from real motion, beside how far real lies from itself."""

    frechet: float
    """Made against half of the real clips, `rows` rows each, mean over splits."""
    floor: float
    """The other half of the real clips against the same half, as many rows."""
    kernel: KernelDistance
    """Made against all of the real, all rows."""
    kernel_floor: float
    """Real half against real half, mean over splits: about zero."""
    rows: int
    features: int

    @property
    def note(self) -> str:
        """What the sample allows one to say, in one line."""
        ratio = self.rows / self.features
        trust = "enough for the Frechet distance" if ratio >= 10 else "few: compare with the floor"
        if ratio <= 1:
            trust = "fewer rows than features: only the kernel distance means something"
        return f"{self.rows} windows of {self.features} features: {trust}"


def frechet_distance(a: Features, b: Features) -> float:
    """The squared Frechet (2-Wasserstein) distance of the Gaussians fitted to two samples.

    As FID and FGD print it: |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^1/2) (Dowson & Landau 1982;
    Heusel et al. 2017). Raises InputError for other than two finite tables of equal width with at
    least two rows each.
    """
    a, b = _checked(a, b)
    return gaussian_distance(
        a.mean(axis=0), np.cov(a, rowvar=False), b.mean(axis=0), np.cov(b, rowvar=False)
    )


def gaussian_distance(
    mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray
) -> float:
    """The same between two Gaussians, means (d,) and covariances (d, d).

    The trace of (C_a C_b)^1/2 is that of (R C_b R)^1/2 with R = C_a^1/2, which is symmetric:
    neither a general matrix root nor an offset on the diagonal is needed, and for covariances no
    imaginary part can arise. Where it does, because a matrix is no covariance, ArithmeticError
    is raised; nothing is dropped.
    """
    cov_a, cov_b = np.atleast_2d(cov_a), np.atleast_2d(cov_b)
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(_not_negative(values))) @ vectors.T
    cross = root @ cov_b @ root
    both = np.sqrt(_not_negative(np.linalg.eigvalsh((cross + cross.T) / 2))).sum()
    offset = np.asarray(mean_a) - np.asarray(mean_b)
    # Of two equal samples the terms cancel to the last digits, which may be below zero.
    return max(float(offset @ offset + np.trace(cov_a) + np.trace(cov_b) - 2 * both), 0.0)


def kernel_distance(a: Features, b: Features) -> KernelDistance:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3, of any sample
    size (Binkowski et al. 2018: KID).

    The standard error is a jackknife that leaves out one of 20 blocks of neighbouring rows of each
    table at a time: windows that overlap are neighbours, so their dependence is in it. Where both
    crowds are one the statistic is degenerate and the error is on the safe side, up to twice.
    """
    a, b = _checked(a, b)
    kernels = _kernel(a, a), _kernel(b, b), _kernel(a, b)
    whole = _discrepancy(*kernels)
    blocks = min(BLOCKS, len(a) // 2, len(b) // 2)
    if blocks < 2:
        return KernelDistance(whole, float("nan"))
    parts = (np.array_split(np.arange(len(table)), blocks) for table in (a, b))
    without = []
    for out_a, out_b in zip(*parts, strict=True):
        in_a, in_b = (np.delete(np.arange(len(t)), out) for t, out in ((a, out_a), (b, out_b)))
        rows = ((in_a, in_a), (in_b, in_b), (in_a, in_b))
        kept = (kernel[np.ix_(*pair)] for kernel, pair in zip(kernels, rows, strict=True))
        without.append(_discrepancy(*kept))
    return KernelDistance(whole, float(np.std(without) * np.sqrt(blocks - 1)))


def split_half_floor(
    clips: Sequence[Features], seed: int = 0, *, rows: int | None = None, splits: int = SPLITS
) -> float:
    """The Frechet distance of real motion to real motion: the mean over random halves of the CLIPS
    (one table per clip), so that no clip is on both sides.

    Both halves are cut to `rows` rows, drawn at random (default: as many as the smaller half has);
    use the number that the distance beside it was made of.
    """
    pairs = _halves(clips, seed, splits)
    return float(np.mean([frechet_distance(*_thin(pair, rows, rng)) for *pair, rng in pairs]))


def against(
    made: Sequence[Features], real: Sequence[Features], seed: int = 0, *, splits: int = SPLITS
) -> Against:
    """Compare made with real clips (one table per clip each) at one sample size.

    Each split of the real clips gives a reference half; the other half, and as many made clips,
    are held against it with the same number of rows.
    """
    crowd = np.concatenate(list(made))
    frechet, floor, kernel_floor, counts = [], [], [], []
    for reference, other, rng in _halves(real, seed, splits):
        chosen = np.sort(rng.permutation(len(made))[: len(real) // 2])
        sample = np.concatenate([made[i] for i in chosen])
        rows = min(len(reference), len(other), len(sample))
        held, twin, sample = _thin((reference, other, sample), rows, rng)
        frechet.append(frechet_distance(sample, held))
        floor.append(frechet_distance(twin, held))
        kernel_floor.append(
            _discrepancy(_kernel(twin, twin), _kernel(held, held), _kernel(twin, held))
        )
        counts.append(rows)
    return Against(
        frechet=float(np.mean(frechet)),
        floor=float(np.mean(floor)),
        kernel=kernel_distance(crowd, np.concatenate(list(real))),
        kernel_floor=float(np.mean(kernel_floor)),
        rows=min(counts),
        features=crowd.shape[1],
    )


def _halves(clips: Sequence[Features], seed: int, splits: int) -> list[tuple]:
    """Random halves of the clips, each as one table, with the generator that drew them."""
    if len(clips) < 2:
        raise InputError("clips", "must be at least two", len(clips), "Halves are split by clip.")
    out = []
    for number in range(splits):
        rng = np.random.default_rng((seed, number))
        order = rng.permutation(len(clips))
        sides = np.array_split(order, 2)
        out.append((*(np.concatenate([clips[i] for i in np.sort(side)]) for side in sides), rng))
    return out


def _thin(tables: Sequence[Features], rows: int | None, rng: np.random.Generator) -> list[Features]:
    """`rows` random rows of each table, in their order."""
    smallest = min(map(len, tables))
    rows = smallest if rows is None else rows
    if rows > smallest:
        rule = f"must not exceed the {smallest} rows there are"
        raise InputError("rows", rule, rows, "Take fewer rows, or more clips.")
    return [table[np.sort(rng.permutation(len(table))[:rows])] for table in tables]


def _kernel(a: Features, b: Features) -> np.ndarray:
    base = a @ b.T / a.shape[1] + 1
    return base * base * base  # ten times quicker than a power


def _discrepancy(within_a: np.ndarray, within_b: np.ndarray, across: np.ndarray) -> float:
    """The unbiased estimate out of kernel matrices: no row is compared with itself."""
    own = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (within_a, within_b)]
    return float(sum(own) - 2 * across.mean())


def _not_negative(values: np.ndarray) -> np.ndarray:
    worst = values.min(initial=0.0)
    if worst < -NEGATIVE * max(float(np.abs(values).max(initial=0.0)), 1e-12):
        raise ArithmeticError(f"not a covariance: eigenvalue {worst:.3g} of {values.max():.3g}")
    return np.maximum(values, 0.0)


def _checked(a: Features, b: Features) -> tuple[Features, Features]:
    a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))
    for name, table in (("a", a), ("b", b)):
        if table.ndim != 2 or len(table) < 2 or table.shape[1] != b.shape[-1]:
            rule = "must be tables (n >= 2, d) of equal width"
            raise InputError(name, rule, f"{a.shape} and {b.shape}", "Give longer motions.")
        if not np.isfinite(table).all():
            raise InputError(name, "must be finite", "NaN or inf", "Check the motion for NaN.")
    return a, b
