"""The peers' measures: values worked out by hand, and the weaknesses they are known for."""

import numpy as np
import pytest

from emo2.evaluation import peers
from emo2.evaluation.performers import Trembling, frozen, motion_of
from emo2.motion.anatomy import FOREARM_M, UPPER_ARM_M
from emo2.types import AudioClip

FPS = 30.0


def at_30(places: np.ndarray):
    """Hands whose wrists are at (T, 2, 3)."""
    quaternions = np.tile(np.array([1.0, 0, 0, 0]), (len(places), 2, 16, 1))
    return motion_of(quaternions, places, FPS)


def swinging(turns_s: np.ndarray, duration_s: float):
    """Both wrists go up and down in front of the body, turning at `turns_s`, drifting forward so
    that they are never quite still."""
    time = np.arange(round(duration_s * FPS)) / FPS
    height = -0.2 + 0.08 * np.cos(np.interp(time, turns_s, np.pi * np.arange(len(turns_s))))
    left = np.stack([0.2 + 0 * time, height, 0.15 + 0.004 * time], axis=-1)
    return at_30(np.stack([left, left * [-1, 1, 1]], axis=1))


def test_talkshow_rewards_jitter():
    """Its published flaw, which is why it is no criterion here: jitter beats timing."""
    rng = np.random.default_rng(0)
    onsets = np.cumsum(rng.uniform(0.3, 1.1, 60))
    duration = onsets[-1] + 1
    in_time = swinging(onsets, duration)
    clip = AudioClip(np.zeros(round(duration * 16_000), np.float32))
    shaking = Trembling(1e-3)(clip, "", 0)
    assert peers.bc_talkshow(shaking, onsets) > 0.85
    assert peers.bc_talkshow(shaking, onsets) > peers.bc_talkshow(in_time, onsets + 0.3)
    assert np.isnan(peers.bc_talkshow(frozen(clip, "", 0), onsets))  # a dead body is left out


def test_talkshow_angles_are_of_bones_in_metres():
    """arccos of an unnormalised product: an elbow at a right angle gives one half, a straight arm
    arccos(0.30 * 0.26) / pi, no more than 0.475."""
    straight = np.array([0.18, -0.985 * (UPPER_ARM_M + FOREARM_M), 0.0])
    angles = peers._arm_angles(at_30(np.tile([straight, straight * [-1, 1, 1]], (3, 1, 1))))
    elbows = angles[:, 2:]
    assert elbows == pytest.approx(np.arccos(UPPER_ARM_M * FOREARM_M) / np.pi, abs=0.004)
    assert angles[:, 0] == pytest.approx(angles[:, 1])


def test_talkshow_by_hand(monkeypatch):
    """Steps 3 2 1 2 3 ... of the angle: one minimum, in the third step, 2 thirtieths after zero."""
    usual = peers.TALKSHOW_MEAN_SPEED[2]
    steps = np.array([3.0, 2.0, 1.0, 2.0, 3.0, 3.0]) * 4 * usual
    angles = np.zeros((7, 4))
    angles[1:, 2] = np.cumsum(steps)
    monkeypatch.setattr(peers, "_arm_angles", lambda motion: angles)
    beat, sigma = 2 / 30, 0.1
    onsets = np.array([beat, beat + 0.1])
    wanted = (1 + np.exp(-0.5 * (0.1 / sigma) ** 2)) / 2  # the three still angles do not count
    assert peers.bc_talkshow(None, onsets) == pytest.approx(wanted)


def test_emage_knows_time_but_saturates():
    rng = np.random.default_rng(1)
    onsets = np.cumsum(rng.uniform(0.5, 1.1, 60))
    motion = swinging(onsets, onsets[-1] + 1)
    on_time, late = (peers.bc_emage(motion, onsets + lag, mask=0.0) for lag in (0.0, 0.35))
    assert on_time > late + 0.25
    # With onsets as dense as in speech a wide kernel gives nearly everything to anybody.
    dense = np.arange(0, onsets[-1], 0.2)
    assert peers.bc_emage(motion, dense, sigma_s=0.5, mask=0.0) > 0.75
    still = frozen(AudioClip(np.zeros(160_000, np.float32)), "", 0)
    assert peers.bc_emage(still, onsets) == 0  # here a dead body does count


def test_diversities_by_hand():
    samples = np.zeros((2, 5, 3, 3))
    samples[1, :, 0, 0] = 0.2  # one of three joints 20 cm aside: variance 0.02, in one coordinate
    assert peers.div_talkshow(samples) == pytest.approx(0.02)
    poses = np.zeros((3, 4, 2))
    poses[1], poses[2] = 1.0, 3.0
    assert peers.div_diffsheg(poses) == pytest.approx((1 + 3 + 2) / 3)
    clip = np.zeros((4, 2, 3))
    clip[::2, 1, 2] = 1.0  # a half above and below the mean, always
    assert peers.l1div_emage(clip) == pytest.approx(0.5)


def test_l1div_is_no_diversity():
    """Equal samples of a moving clip: DIV is zero, L1div is not; and it grows with a walk."""
    clip = np.random.default_rng(0).normal(size=(50, 4, 3))
    assert peers.div_talkshow(np.stack([clip, clip])) == 0
    walk = clip + np.linspace(0, 9, 50)[:, None, None]
    assert peers.l1div_emage(walk) > 2 * peers.l1div_emage(clip)


def test_pck_and_srgr_by_hand():
    reference = np.zeros((2, 4))
    poses = np.array([[0.4, 0.6, -0.49, 0.0], [9.0, 0.1, 0.1, -0.5]])
    assert peers.pck_diffsheg(poses, reference) == pytest.approx(5 / 8)
    places = np.zeros((2, 2, 3))
    places[0, 0] = [0.06, 0.06, 0.0]  # 8.5 cm as the crow flies, 12 by blocks
    relevance = np.array([1.0, 0.5])
    assert peers.srgr_beat(places, 0 * places, relevance) == pytest.approx(0.75)
    assert peers.srgr_beat(places, 0 * places, relevance, order=1) == pytest.approx(0.5)
    speeds = np.zeros((3, 1, 3))
    speeds[1:, 0, 0] = 0.1, 0.3
    assert peers.lvd_talkshow(speeds, 0 * speeds) == pytest.approx((0.1 + 0.2) / 2)


def test_poses_are_resampled_to_their_rate():
    motion = frozen(AudioClip(np.zeros(32_000, np.float32)), "", 0)
    vectors = peers.pose_vectors(motion)
    assert vectors.shape == (59, 96)  # frames 0 to 58 of 30 a second, up to 47/24 s
    assert np.ptp(vectors, axis=0).max() < 1e-6
