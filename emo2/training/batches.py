"""Training examples for Stage 1: windows of the corpus, with what is hidden, dropped or given.

Batch number `n` depends on the seed and on `n` alone: a run that is stopped and resumed sees what
it would have seen, several processes share one sequence, and workers may draw ahead.

Letters: A stretches of audio, M motions to each, B = A x M, K context, N window, L look-ahead
frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from emo2.features.audio import AudioEncoder
from emo2.stage1.representation import (
    HANDS,
    NUM_PARTS,
    NUM_SLOTS,
    REPRESENTATIONS,
    pool_parts,
    swap_hands,
)
from emo2.training.config import GestureConfig
from emo2.training.mixture import Mixture
from emo2.training.voices import record
from emo2.types import NETWORK_SAMPLE_RATE_HZ, NUM_HANDS

CUT_AUDIO = 0.1
"""How often the speech of a window stops early, as a clip's last window does."""


@dataclass(frozen=True)
class Batch:
    """One step's examples. Audio comes once per stretch (A), all else once per motion (B)."""

    samples: Tensor
    """(A, n) normalised audio of frames -K .. N + L; n = 0 where `hidden` is given."""
    hidden: Tensor
    """(A, K + N + L, D) what a frozen encoder heard; D = 0 where `samples` are given."""
    prosody: Tensor
    """(A, K + N + L, 2) what the teacher heard."""
    audio_mask: Tensor
    """(A, K + N + L) bool: frames inside the clip."""
    frames: Tensor
    """(B, K + N, C) channels, not normalised."""
    context_mask: Tensor
    """(B,) bool."""
    style: Tensor
    """(B, S); zeros = not told."""
    speed: Tensor
    """(B,) NaN = not told."""
    offset_m: Tensor
    """(B, 2, 3) NaN = not told."""
    visible: Tensor
    """(B, K + N, 2) bool."""
    kept: Tensor
    """(B, N, C) bool: given values."""
    keep: Tensor
    """(B, N, 6) the kept share of parts."""
    deaf: Tensor
    """(B,) bool: this motion's audio is hidden, for classifier-free guidance."""
    loss_mask: Tensor
    """(B, K + N) bool: frames that are learnt."""

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The batch where a GPU fetches it by itself; loaders ask for this."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(**{f.name: change(getattr(self, f.name)) for f in fields(self)})


class Examples(Dataset):
    """Batches by their number, for a loader."""

    def __init__(
        self,
        mixture: Mixture,
        encoder: AudioEncoder,
        config: GestureConfig,
        heard: Sequence[np.ndarray] | None,
    ) -> None:
        self._draw = partial(draw, mixture, encoder, config, heard=heard)

    def __getitem__(self, number: int) -> Batch:
        return self._draw(number)


def draw(
    mixture: Mixture,
    encoder: AudioEncoder,
    config: GestureConfig,
    number: int,
    *,
    heard: Sequence[np.ndarray] | None = None,
    validation: bool = False,
) -> Batch:
    """The examples of one batch, or fixed validation windows with nothing dropped.

    `heard`, (clips, T, D) for each corpus, is what a frozen encoder made of it; without it the
    batch holds the sound itself.
    """
    rng = np.random.default_rng((config.seed, number, int(validation)))
    size = config.motion
    before, after = size.num_context_frames, size.num_frames + size.num_lookahead_frames
    names = ("frames", "visible", "style", "speed", "offset_m")
    motions: dict[str, list] = {name: [] for name in names}
    sounds, hidden, prosodies, masks, contexts, lasts = [], [], [], [], [], []
    for source, clip in mixture.pick(rng, config.batch_audio, validation=validation):
        corpus = mixture.corpora[source]
        num_frames = int(corpus.length[clip])
        first_window = not validation and rng.random() < config.drop_context
        last_start = max(before, num_frames - size.num_frames)
        start = 0 if first_window else int(rng.integers(before, last_start + 1))
        places = np.arange(start - before, start + after)
        end = num_frames
        if not validation and rng.random() < CUT_AUDIO:
            end = int(rng.integers(start + 6, num_frames + 1))
        inside = (places >= 0) & (places < end)
        nearest = places.clip(0, num_frames - 1)
        if heard is None:
            sound = _sound(corpus, encoder, clip, places, inside, config.fps)
            if not validation and rng.random() < config.rerecord:
                sound = encoder.normalise(record(rng, sound))
            sounds.append(sound)
            hidden.append(np.zeros((len(places), 0), dtype=np.float32))
        else:
            sounds.append(np.zeros(0, dtype=np.float32))
            hidden.append(heard[source][clip][nearest].astype(np.float32))
        prosodies.append(np.asarray(corpus.prosody[clip])[nearest])
        masks.append(inside)
        contexts += [not first_window] * config.batch_motions
        shown = np.arange(start - before, start + size.num_frames)
        lasts += [(shown < end) & (shown >= (start if first_window else 0))] * config.batch_motions
        shown = shown.clip(0, num_frames - 1)
        chosen = rng.permutation(corpus.channels.shape[1])[: config.batch_motions]
        for motion in np.resize(chosen, config.batch_motions):
            frames = np.asarray(corpus.channels[clip, motion])[shown].astype(np.float32)
            visible = np.asarray(corpus.visible[clip, motion])[shown]
            rest = np.array(corpus.rest_m[clip, motion])
            if rng.random() < 0.5:
                frames, visible = swap_hands(frames), visible[:, ::-1]
                rest = rest[::-1] * np.float32([-1, 1, 1])
            speed = corpus.speed[clip, motion]
            if np.isnan(speed):  # nobody speaks: whatever speed is asked for, the hands rest
                speed = rng.choice(mixture.facts["speed_quantiles"])
            label = mixture.label_of(source, clip, motion)
            motions["frames"].append(frames)
            motions["visible"].append(visible)
            motions["style"].append(np.eye(len(mixture.names), dtype=np.float32)[label])
            motions["speed"].append(np.float32(speed))
            motions["offset_m"].append(rest)
    count = len(motions["frames"])
    slots = np.zeros((count, size.num_frames, NUM_HANDS, NUM_SLOTS), dtype=bool)
    deaf = np.zeros(count, dtype=bool)
    told = {name: np.stack(values) for name, values in motions.items()}
    written = REPRESENTATIONS[config.representation]
    told["frames"] = written.rewrite(told["frames"], HANDS)
    if not validation:
        _drop(rng, config, told, slots, deaf)
    return Batch(
        samples=torch.from_numpy(np.stack(sounds)),
        hidden=torch.from_numpy(np.stack(hidden)),
        prosody=torch.from_numpy(np.stack(prosodies).astype(np.float32)),
        audio_mask=torch.from_numpy(np.stack(masks)),
        **{name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in told.items()},
        context_mask=torch.tensor(contexts),
        kept=torch.from_numpy(written.expand_slots(slots)),
        keep=torch.from_numpy(pool_parts(slots).reshape(count, -1, NUM_HANDS * NUM_PARTS)),
        deaf=torch.from_numpy(deaf),
        loss_mask=torch.from_numpy(np.stack(lasts)),
    )


def _sound(corpus, encoder: AudioEncoder, clip: int, places, inside, fps: float) -> np.ndarray:
    """Normalised samples from frame `places[0]` to the end of `places[-1]`; nothing where not
    `inside`."""
    per_frame = NETWORK_SAMPLE_RATE_HZ / fps
    filled = round(int(corpus.length[clip]) * per_frame)
    whole = encoder.normalise(np.asarray(corpus.audio[clip, :filled]) / np.float32(32768))
    out = np.zeros(round(len(places) * per_frame), dtype=np.float32)
    first, last = round(places[inside][0] * per_frame), round((places[inside][-1] + 1) * per_frame)
    part = whole[first : min(last, len(whole))]
    at = round((places[inside][0] - places[0]) * per_frame)
    part = part[: len(out) - at]
    out[at : at + len(part)] = part
    return out


def _drop(rng, config: GestureConfig, told: dict, slots, deaf) -> None:
    """Hide conditions at random and give some frames, so that all of these can be asked for later.
    In place."""
    for row in range(len(deaf)):
        deaf[row] = rng.random() < config.drop_audio
        if rng.random() < config.drop_style:
            told["style"][row] = 0
        if rng.random() < config.drop_speed:
            told["speed"][row] = np.nan
        if rng.random() < config.drop_offset:
            told["offset_m"][row] = np.nan
        if rng.random() < config.hide_hand:
            told["visible"][row, :, rng.integers(2)] = False
        if rng.random() < config.keep_some:
            slots[row] = _keep_mask(rng, slots.shape[1])


def _keep_mask(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """What a person may hold fast: all but a span, the end, key poses, one hand, or the wrists'
    paths."""
    mask = np.zeros((num_frames, NUM_HANDS, NUM_SLOTS), dtype=bool)
    kind = rng.choice(["span", "end", "keys", "hand", "paths"])
    if kind == "span":
        start, stop = np.sort(rng.integers(0, num_frames + 1, 2))
        mask[:] = True
        mask[start:stop] = False
    elif kind == "end":
        mask[num_frames - int(rng.integers(1, 25)) :] = True
    elif kind == "keys":
        keys = rng.integers(0, num_frames, int(rng.integers(1, 5)))
        mask[keys] = True
        if rng.random() < 0.3:
            mask[:, :, 2:] = False  # wrists only
    elif kind == "hand":
        mask[:, rng.integers(2)] = True
    else:
        mask[:, :, 0] = True
    return mask
