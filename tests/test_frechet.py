"""Distances between crowds of features, and what geometric features say: laws, references,
floors."""

import numpy as np
import pytest
from motions import smooth_motion
from scipy.linalg import sqrtm

from emo2.errors import InputError
from emo2.evaluation.frechet import (
    against,
    frechet_distance,
    gaussian_distance,
    kernel_distance,
    split_half_floor,
)
from emo2.evaluation.geometry import HAND_FEATURES, NAMES, geometric_features
from emo2.evaluation.windows import HOP_FRAMES, WINDOW_FRAMES, cut
from emo2.hands.model import HandModel
from emo2.motion.edit import mirror, resample
from emo2.types import HandMotion


def crowd(seed: int, rows: int = 400, features: int = 6, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(features, features))
    return rng.normal(size=(rows, features)) @ mixing + shift


# Frechet distance -----------------------------------------------------------------------------


def test_a_crowd_is_at_no_distance_from_itself_in_any_order():
    a, b = crowd(0), crowd(1, shift=0.5)
    shuffled = np.random.default_rng(2).permutation(a)
    assert frechet_distance(a, shuffled) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(shuffled, b) == pytest.approx(frechet_distance(a, b), rel=1e-12)


def test_it_is_symmetric_and_not_negative():
    pairs = [(crowd(i, 30), crowd(i + 50, 45, shift=0.1 * i)) for i in range(8)]
    for a, b in pairs:
        assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
        assert frechet_distance(a, b) > 0


def test_gaussians_in_closed_form():
    """Along one axis: (m1 - m2)^2 + (s1 - s2)^2, and axes add up, however they are turned."""
    m1, m2 = np.array([0.0, 1, -2]), np.array([1.0, 1, 0])
    s1, s2 = np.array([1.0, 2, 0.5]), np.array([3.0, 2, 0.0])
    expected = ((m1 - m2) ** 2 + (s1 - s2) ** 2).sum()
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    first, second = (turn @ np.diag(s**2) @ turn.T for s in (s1, s2))
    found = gaussian_distance(turn @ m1, first, turn @ m2, second)
    assert found == pytest.approx(expected, rel=1e-6)


def test_it_equals_the_textbook_formula():
    a, b = crowd(0), 1.4 * crowd(1, shift=0.3)
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = sqrtm(cov_a @ cov_b).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)


def test_what_is_no_covariance_is_an_error():
    """An imaginary part would be dropped by others; here nothing is."""
    indefinite = np.array([[1.0, 2.0], [2.0, 1.0]])
    for covariances in ((indefinite, np.eye(2)), (np.eye(2), indefinite)):
        with pytest.raises(ArithmeticError, match="not a covariance"):
            gaussian_distance(np.zeros(2), covariances[0], np.zeros(2), covariances[1])


def test_it_grows_with_injected_noise():
    a, b = crowd(0, 2000), crowd(1, 2000)
    rng = np.random.default_rng(3)
    noise = rng.normal(size=a.shape)
    distances = [frechet_distance(a + size * noise, b) for size in (0, 0.5, 1, 2, 4)]
    assert np.all(np.diff(distances) > 0)


@pytest.mark.parametrize(("rows", "features"), [(300, 10), (300, 45), (1000, 30)])
def test_the_small_sample_bias_is_as_stated(rows, features):
    rng = np.random.default_rng(rows)
    pairs = rng.normal(size=(6, 2, rows, features))
    found = np.mean([frechet_distance(a, b) for a, b in pairs])
    stated = features * (features + 1) / (2 * rows) + 2 * features / rows
    assert found == pytest.approx(stated, rel=0.12)


def test_fewer_rows_than_features_stay_finite():
    a, b = crowd(0, 5, 12), crowd(1, 7, 12)
    assert np.isfinite(frechet_distance(a, b))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_bad_tables_are_refused():
    a = crowd(0)
    for other in (a[:1], a[:, :3], a[0], np.where(a > 2, np.nan, a)):
        with pytest.raises(InputError):
            frechet_distance(a, other)
        with pytest.raises(InputError):
            kernel_distance(other, a)


# Kernel distance ------------------------------------------------------------------------------


def test_kernel_distance_by_hand():
    a, b = crowd(0, 7, 3), crowd(1, 5, 3)

    def kernel(x, y):
        return (x @ y / 3 + 1) ** 3

    own_a = np.mean([kernel(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j])
    own_b = np.mean([kernel(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j])
    across = np.mean([kernel(x, y) for x in a for y in b])
    assert kernel_distance(a, b).value == pytest.approx(own_a + own_b - 2 * across, rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_kernel_distance_is_unbiased_and_knows_its_error(shift):
    """At 40 rows the Frechet distance of equals is far above zero; this one is zero on average."""
    rng = np.random.default_rng(4)
    found = [
        kernel_distance(rng.normal(size=(40, 5)), rng.normal(size=(40, 5)) + shift)
        for _ in range(60)
    ]
    values = np.array([f.value for f in found])
    stated = np.mean([f.standard_error for f in found])
    if shift:
        assert values.min() > 0
        assert stated == pytest.approx(values.std(), rel=0.4)
    else:
        assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
        assert values.std() < stated < 2 * values.std()  # on the safe side, as documented


# Floors ---------------------------------------------------------------------------------------


def test_halves_are_split_by_clip():
    """Clips differ, windows of a clip hardly: halves of the rows would hide it."""
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(60, 2)) + offset for offset in (-5, 5)]
    assert split_half_floor(clips) > 80
    rows = np.concatenate(clips)
    assert split_half_floor([rows[::2], rows[1::2]]) < 1


def test_the_floor_follows_its_sample_size_and_seed():
    clips = [crowd(i, 40) for i in range(12)]
    assert split_half_floor(clips, 0) == split_half_floor(clips, 0)
    assert split_half_floor(clips, 0, rows=30) > 3 * split_half_floor(clips, 0, rows=240)
    with pytest.raises(InputError, match="rows"):
        split_half_floor(clips, 0, rows=241)
    with pytest.raises(InputError, match="clips"):
        split_half_floor(clips[:1])


def test_a_twin_is_at_the_floor_and_a_stranger_is_not():
    real = [crowd(i, 30) for i in range(20)]
    twin = against([crowd(100 + i, 30) for i in range(20)], real)
    stranger = against([1.5 * crowd(100 + i, 30) for i in range(20)], real)
    assert twin.frechet == pytest.approx(twin.floor, rel=0.5)
    assert stranger.floor == twin.floor
    assert stranger.frechet > 5 * stranger.floor
    assert abs(twin.kernel.value) < 4 * twin.kernel.standard_error
    assert stranger.kernel.value > 4 * stranger.kernel.standard_error
    assert (twin.rows, twin.features) == (300, 6)
    assert "300 windows of 6 features: enough" in twin.note


# Geometric features ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hand_model() -> HandModel:
    return HandModel.from_pretrained("checkpoints/demo/hands")


def by_name(row: np.ndarray) -> dict[str, float]:
    return dict(zip(NAMES, row, strict=True))


def test_windows_overlap_by_half():
    track = np.arange(200)
    windows = cut(track)
    assert windows.shape == (5, WINDOW_FRAMES)
    assert (windows[:, 0] == np.arange(5) * HOP_FRAMES).all()


def test_one_row_per_window_in_units_of_one(hand_model):
    features = geometric_features(smooth_motion(200), hand_model)
    assert features.shape == (5, len(NAMES))
    assert np.isfinite(features).all()
    assert np.abs(features).max() < 10
    with pytest.raises(InputError, match="motion"):
        geometric_features(smooth_motion(40), hand_model)


def test_a_mirror_swaps_the_hands_and_leaves_the_pair(hand_model):
    motion = smooth_motion(100)
    motion = HandMotion(motion.quaternions, motion.translation_m, motion.visible,
                        np.zeros((2, 10)), motion.fps)  # fmt: skip
    here, there = (geometric_features(m, hand_model) for m in (motion, mirror(motion)))
    count = len(HAND_FEATURES)
    np.testing.assert_allclose(here[:, :count], there[:, count : 2 * count], atol=2e-3)
    np.testing.assert_allclose(here[:, 2 * count :], there[:, 2 * count :], atol=2e-3)


def test_the_frame_rate_does_not_matter(hand_model):
    motion = smooth_motion(240)
    here, there = (
        geometric_features(m, hand_model) for m in (motion, resample(resample(motion, 48), 30))
    )
    assert np.abs(here - there).max() < 0.25


def waving(hertz: float, size_m: float, frames: int = 64) -> HandMotion:
    """Both hands up and down, side by side."""
    motion = smooth_motion(frames)
    places = np.tile([[0.2, -0.2, 0.2], [-0.2, -0.2, 0.2]], (frames, 1, 1))
    wave = size_m * np.sin(2 * np.pi * hertz * np.arange(frames) / 24)
    places[..., 1] += wave[:, None]
    return HandMotion(np.repeat(motion.quaternions[:1], frames, 0), places, motion.visible,
                      motion.betas, 24.0)  # fmt: skip


def test_features_mean_what_they_say(hand_model):
    slow, fast = (by_name(geometric_features(waving(hz, 0.05), hand_model)[0]) for hz in (0.6, 2))
    large = by_name(geometric_features(waving(0.6, 0.1), hand_model)[0])
    bands = [f"log speed of the wrists {band} [m/s]" for band in ("below 1 Hz", "at 1-3 Hz")]
    assert slow[bands[0]] > slow[bands[1]] + 1
    assert fast[bands[1]] > fast[bands[0]] + 1
    assert large["left log spread up [m]"] - slow["left log spread up [m]"] == pytest.approx(
        1, abs=0.1
    )
    assert slow["correlation of mirrored velocities"] > 1
    assert fast["left log mean jerk [m/s^3]"] > slow["left log mean jerk [m/s^3]"] + 2
    assert slow["left share slower than 5 cm/s"] > fast["left share slower than 5 cm/s"]
    still = by_name(geometric_features(waving(1, 0), hand_model)[0])
    assert abs(still["correlation of mirrored velocities"] + 0.3 / 0.4) < 1e-6
    assert still["left share slower than 5 cm/s"] == pytest.approx((1 - 0.4) / 0.3)
