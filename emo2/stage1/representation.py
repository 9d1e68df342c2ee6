"""Hand motion as the network's channels, and back. The only module that knows the flat layout.

Outside: unit quaternions and metres (`emo2.types.HandMotion`, 134 numbers a frame). Inside: 198
channels a frame, 2 hands x (translation 3 + 16 joints x 6-D rotation); 6-D has no sign and no
jump, which costs a small network fewer errors than quaternions do. The right hand is mirrored
into a left one, so both hands share one statistic.
"""

from __future__ import annotations

import numpy as np

from emo2.motion.rotations import continuous, from_6d, mirror, to_6d
from emo2.types import NUM_HANDS, NUM_JOINTS

CHANNELS_PER_HAND = 3 + NUM_JOINTS * 6
NUM_CHANNELS = NUM_HANDS * CHANNELS_PER_HAND
NUM_SLOTS = 1 + NUM_JOINTS
"""What a keep-mask can hold fast, per hand: the translation (slot 0), then each joint's rotation
(slots 1..16)."""
PARTS = {"translation": slice(0, 1), "wrist": slice(1, 2), "fingers": slice(2, NUM_SLOTS)}
"""Groups of slots: the loss weighs them alike, and the network is told how much of each is kept."""
NUM_PARTS = len(PARTS)
_SLOT_OF_CHANNEL = np.repeat(np.arange(NUM_SLOTS), [3] + [6] * NUM_JOINTS)
_MIRROR = np.array([-1.0, 1.0, 1.0])


def to_channels(quaternions: np.ndarray, translation_m: np.ndarray) -> np.ndarray:
    """(..., 2, 16, 4) unit wxyz and (..., 2, 3) metres -> (..., 198) float32."""
    quaternions, translation_m = _mirror_right(quaternions, translation_m)
    rotations = to_6d(quaternions).reshape(*quaternions.shape[:-2], NUM_JOINTS * 6)
    channels = np.concatenate([translation_m, rotations], axis=-1)
    return channels.reshape(*channels.shape[:-2], NUM_CHANNELS).astype(np.float32)


def from_channels(channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, 198) -> quaternions (T, 2, 16, 4) float32, unit and hemisphere-continuous in time;
    translation (T, 2, 3)."""
    hands = np.asarray(channels, dtype=np.float64).reshape(-1, NUM_HANDS, CHANNELS_PER_HAND)
    rotations = hands[..., 3:].reshape(-1, NUM_HANDS, NUM_JOINTS, 6)
    quaternions, translation_m = _mirror_right(from_6d(rotations), hands[..., :3])
    return continuous(quaternions).astype(np.float32), translation_m.astype(np.float32)


def expand_slots(slots: np.ndarray) -> np.ndarray:
    """A value per hand and slot (..., 2, 17) -> per channel (..., 198)."""
    channels = np.asarray(slots)[..., _SLOT_OF_CHANNEL]
    return channels.reshape(*channels.shape[:-2], NUM_CHANNELS)


def pool_parts(slots: np.ndarray) -> np.ndarray:
    """A keep-mask (..., 2, 17) -> the kept share of each hand's parts (..., 2 * 3) float32 in [0,
    1]."""
    slots = np.asarray(slots, dtype=np.float32)
    parts = np.stack([slots[..., part].mean(axis=-1) for part in PARTS.values()], axis=-1)
    return parts.reshape(*parts.shape[:-2], NUM_HANDS * NUM_PARTS)


def part_weights() -> np.ndarray:
    """(198,) float32 with mean 1: every part of every hand has the same total weight, however many
    channels it has."""
    weights = np.zeros(NUM_SLOTS)
    for part in PARTS.values():
        channels_in_part = np.isin(_SLOT_OF_CHANNEL, np.arange(NUM_SLOTS)[part]).sum()
        weights[part] = CHANNELS_PER_HAND / (NUM_PARTS * channels_in_part)
    return expand_slots(np.tile(weights, (NUM_HANDS, 1))).astype(np.float32)


def _mirror_right(quaternions: np.ndarray, translation_m: np.ndarray) -> tuple:
    """Left stays, right is seen in the mirror x = 0 (an involution)."""
    quaternions, translation_m = np.array(quaternions), np.array(translation_m)
    quaternions[..., 1, :, :] = mirror(quaternions[..., 1, :, :])
    translation_m[..., 1, :] = translation_m[..., 1, :] * _MIRROR
    return quaternions, translation_m
