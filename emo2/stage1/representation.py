"""Hand motion as the network's channels, and back. The only module that knows the flat layout.

Outside: unit quaternions and metres (`emo2.types.HandMotion`, 134 numbers a frame). Inside: two
hands, each the arm's part and 16 joints x 6-D rotation; 6-D has no sign and no jump, which costs a
small network fewer errors than quaternions do. The right hand is mirrored into a left one, so both
hands share one statistic.

What the arm's part is makes the two representations. `HANDS`, the paper's own: where the wrist is
and how it lies in the body frame, 2 x (3 + 96) = 198 channels. `ARMS`, the paper's comparison "on
SMPL" (Table 1): upper arm and forearm as rotations and the wrist relative to the forearm, 2 x (12 +
96) = 216 channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emo2.motion.rotations import continuous, from_6d, mirror, to_6d
from emo2.stage1.arm_chains import follow, solve
from emo2.types import NUM_HANDS, NUM_JOINTS

NUM_SLOTS = 1 + NUM_JOINTS
"""What a keep-mask can hold fast, per hand: the arm's part (slot 0: where the wrist is), then each
joint's rotation (slots 1..16)."""
PARTS = {"translation": slice(0, 1), "wrist": slice(1, 2), "fingers": slice(2, NUM_SLOTS)}
"""Groups of slots: the loss weighs them alike, and the network is told how much of each is kept."""
NUM_PARTS = len(PARTS)
_MIRROR = np.array([-1.0, 1.0, 1.0])

Wrist = tuple[np.ndarray, np.ndarray]
"""A left wrist: (..., 3) metres or (..., A) channels of the arm, and a unit quaternion (..., 4)."""


@dataclass(frozen=True)
class Representation:
    """One way to write two hands as numbers."""

    arm_channels: int
    """A: channels of slot 0."""
    write: Callable[[np.ndarray, np.ndarray], Wrist]
    """A left wrist's place [m] and orientation in the body frame -> the arm's channels (..., A) and
    the orientation that slot 1 holds."""
    read: Callable[[np.ndarray, np.ndarray], Wrist]
    """The inverse of `write`."""

    @property
    def channels_per_hand(self) -> int:
        """The arm's channels and 16 rotations."""
        return self.arm_channels + NUM_JOINTS * 6

    @property
    def num_channels(self) -> int:
        """C, both hands."""
        return NUM_HANDS * self.channels_per_hand

    def to_channels(self, quaternions: np.ndarray, translation_m: np.ndarray) -> np.ndarray:
        """(..., 2, 16, 4) unit wxyz and (..., 2, 3) metres -> (..., C) float32."""
        quaternions, translation_m = _mirror_right(quaternions, translation_m)
        arm, quaternions[..., 0, :] = self.write(translation_m, quaternions[..., 0, :])
        rotations = to_6d(quaternions).reshape(*quaternions.shape[:-2], NUM_JOINTS * 6)
        channels = np.concatenate([arm, rotations], axis=-1)
        return channels.reshape(*channels.shape[:-2], self.num_channels).astype(np.float32)

    def from_channels(self, channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(T, C) -> quaternions (T, 2, 16, 4) float32, unit and hemisphere-continuous in time;
        translation (T, 2, 3)."""
        hands = self._hands(channels).astype(np.float64)
        rotations = hands[..., self.arm_channels :].reshape(-1, NUM_HANDS, NUM_JOINTS, 6)
        quaternions = from_6d(rotations)
        arm = hands[..., : self.arm_channels]
        translation_m, quaternions[..., 0, :] = self.read(arm, quaternions[..., 0, :])
        quaternions, translation_m = _mirror_right(quaternions, translation_m)
        return continuous(quaternions).astype(np.float32), translation_m.astype(np.float32)

    def places_m(self, channels: np.ndarray) -> np.ndarray:
        """Where the wrists are: (..., C) -> (..., 2, 3) float32 metres."""
        hands = self._hands(channels).astype(np.float64)
        arm, wrist = np.split(hands[..., : self.arm_channels + 6], [self.arm_channels], axis=-1)
        places = self.read(arm, from_6d(wrist))[0]
        places[..., 1, :] *= _MIRROR
        return places.astype(np.float32)

    def rewrite(self, channels: np.ndarray, source: Representation) -> np.ndarray:
        """Channels of another representation (..., C') -> (..., C) float32. Fingers stay as they
        are; so does everything where both are the same."""
        if source is self:
            return channels
        hands = source._hands(channels)
        arm, wrist, fingers = np.split(
            hands, [source.arm_channels, source.arm_channels + 6], axis=-1
        )
        arm, wrist = self.write(*source.read(arm, from_6d(wrist)))
        hands = np.concatenate([arm, to_6d(wrist), fingers], axis=-1)
        return hands.reshape(*hands.shape[:-2], self.num_channels).astype(np.float32)

    def expand_slots(self, slots: np.ndarray) -> np.ndarray:
        """A value per hand and slot (..., 2, 17) -> per channel (..., C)."""
        channels = np.asarray(slots)[..., self._slot_of_channel]
        return channels.reshape(*channels.shape[:-2], self.num_channels)

    def part_weights(self) -> np.ndarray:
        """(C,) float32 with mean 1: every part of every hand has the same total weight, however
        many channels it has."""
        weights = np.zeros(NUM_SLOTS)
        for part in PARTS.values():
            channels_in_part = np.isin(self._slot_of_channel, np.arange(NUM_SLOTS)[part]).sum()
            weights[part] = self.channels_per_hand / (NUM_PARTS * channels_in_part)
        return self.expand_slots(np.tile(weights, (NUM_HANDS, 1))).astype(np.float32)

    @property
    def _slot_of_channel(self) -> np.ndarray:
        return np.repeat(np.arange(NUM_SLOTS), [self.arm_channels] + [6] * NUM_JOINTS)

    def _hands(self, channels: np.ndarray) -> np.ndarray:
        """(..., C) -> (..., 2, C / 2)."""
        channels = np.asarray(channels)
        return channels.reshape(*channels.shape[:-1], NUM_HANDS, self.channels_per_hand)


def pool_parts(slots: np.ndarray) -> np.ndarray:
    """A keep-mask (..., 2, 17) -> the kept share of each hand's parts (..., 2 * 3) float32 in [0,
    1]."""
    slots = np.asarray(slots, dtype=np.float32)
    parts = np.stack([slots[..., part].mean(axis=-1) for part in PARTS.values()], axis=-1)
    return parts.reshape(*parts.shape[:-2], NUM_HANDS * NUM_PARTS)


def swap_hands(channels: np.ndarray) -> np.ndarray:
    """The motion seen in a mirror, in any representation (..., C): hands are stored as mirror
    images of each other, so they just change places."""
    return np.roll(channels, channels.shape[-1] // 2, axis=-1)


def _write_chain(place_m: np.ndarray, wrist: np.ndarray) -> Wrist:
    upper, forearm, hand = solve(place_m, wrist)
    return np.concatenate([to_6d(upper), to_6d(forearm)], axis=-1), hand


def _read_chain(arm: np.ndarray, hand: np.ndarray) -> Wrist:
    return follow(from_6d(arm[..., :6]), from_6d(arm[..., 6:]), hand)


def _as_it_is(place_m: np.ndarray, wrist: np.ndarray) -> Wrist:
    return place_m, wrist


def _mirror_right(
    quaternions: np.ndarray, translation_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Left stays, right is seen in the mirror x = 0 (an involution)."""
    quaternions, translation_m = np.array(quaternions), np.array(translation_m)
    quaternions[..., 1, :, :] = mirror(quaternions[..., 1, :, :])
    translation_m[..., 1, :] = translation_m[..., 1, :] * _MIRROR
    return quaternions, translation_m


HANDS = Representation(3, write=_as_it_is, read=_as_it_is)
ARMS = Representation(12, write=_write_chain, read=_read_chain)
REPRESENTATIONS = {"hands": HANDS, "arms": ARMS}
"""By the name that a checkpoint's config and `emo2 train gesture --representation` give."""

# Short names: corpora hold hands, whatever is learnt from them, and measures look at hands.
NUM_CHANNELS = HANDS.num_channels
to_channels, from_channels = HANDS.to_channels, HANDS.from_channels
expand_slots, part_weights = HANDS.expand_slots, HANDS.part_weights
