"""The folder that Stage 1 learns from: speech, motions and labels, as plain arrays.

Letters: N clips, K motions to each clip's speech, T frames of the longest clip.

    audio.npy     (N, samples) int16, 16 kHz      channels.npy  (N, K, T, 198) float16, `HANDS` of
    prosody.npy   (N, T, 2) float16               stage1.representation
    speed.npy     (N, K) float32                  rest_m.npy    (N, K, 2, 3) float32
    style.npy     (N, K) int16                    visible.npy   (N, K, T, 2) bool
    speaker.npy   (N,) int16                      length.npy    (N,) int32
    held_out.npy  (N,) bool
    corpus.json   names of styles and speakers, fps, quantiles of speed, mean and std per channel

Whoever makes clips (`corpus`, `recorded`) appends them one by one, so no corpus has to fit into
memory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.stage1.representation import HANDS
from emo2.training.moments import channel_moments
from emo2.types import NUM_HANDS

STILL_M = 4e-3
"""Added to the std before the logarithm, so that hands at rest have a speed, too."""
NUM_SHARES = 21
"""Shares 0..1 of the corpus at which its speed is noted."""
MIN_SPEED_SPAN = 0.5
"""Natural logarithms between the slowest and the liveliest motion, at least: a corpus of one clip
must leave a scale to move on."""
VALIDATION_SHARE = 0.05
DTYPES = {
    "audio": np.int16,
    "channels": np.float16,
    "prosody": np.float16,
    "speed": np.float32,
    "rest_m": np.float32,
    "style": np.int16,
    "speaker": np.int16,
    "visible": np.bool_,
    "length": np.int32,
    "held_out": np.bool_,
}


@dataclass(frozen=True)
class Clip:
    """One stretch of speech with its K motions. Arrays that are shorter than the corpus's longest
    clip are filled up with zeros."""

    audio: np.ndarray
    """(samples,) int16."""
    channels: np.ndarray
    """(K, T, 198)."""
    prosody: np.ndarray
    """(T, 2) in [0, 1]: how stressed this moment is, and whether somebody speaks."""
    speed: np.ndarray
    """(K,) `log_speed`; NaN where nobody speaks and every motion rests."""
    rest_m: np.ndarray
    """(K, 2, 3) where the wrists rest."""
    style: np.ndarray
    """(K,) places in the corpus's list of styles."""
    speaker: int
    """Place in the corpus's list of speakers."""
    visible: np.ndarray
    """(K, T, 2) bool."""


@dataclass(frozen=True)
class Corpus:
    """A folder's arrays on disk, read as needed; shapes in the module's docstring."""

    audio: np.ndarray
    channels: np.ndarray
    prosody: np.ndarray
    speed: np.ndarray
    rest_m: np.ndarray
    style: np.ndarray
    speaker: np.ndarray
    visible: np.ndarray
    length: np.ndarray
    """Frames of each clip; what follows them is filling."""
    held_out: np.ndarray
    """Clips that are never trained on, only for validation."""
    facts: dict
    """`corpus.json`."""

    @classmethod
    def load(cls, folder: str | Path) -> Corpus:
        """Open a corpus folder.

        Of a folder without labels motion k is of style k, every hand is seen, all clips are full
        and the last ones are held out.
        """
        folder = Path(folder)
        if not (folder / "corpus.json").is_file():
            raise InputError(
                "corpus",
                "must be a corpus folder",
                str(folder),
                "Make one with `python -m emo2 corpus gesture --out DIR`, or of your own takes "
                "with `python -m emo2 corpus recorded --from DIR --out DIR`.",
            )
        facts = json.loads((folder / "corpus.json").read_text())
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r")
            for name in DTYPES
            if (folder / f"{name}.npy").is_file()
        }
        count, motions, frames = arrays["channels"].shape[:3]
        plain = {
            "style": np.broadcast_to(np.arange(motions), (count, motions)),
            "speaker": np.zeros(count, np.int16),
            "visible": np.broadcast_to(True, (count, motions, frames, NUM_HANDS)),
            "length": np.full(count, frames),
            "held_out": last_of(count),
        }
        return cls(**{**plain, **arrays}, facts={"speakers": ["one"], **facts})


def last_of(count: int) -> np.ndarray:
    """(N,) bool: the last clips, enough to validate on."""
    return np.arange(count) >= count - max(1, int(count * VALIDATION_SHARE))


class CorpusWriter:
    """Appends clips to a folder; the folder is a corpus once `close` has written `corpus.json`."""

    def __init__(self, folder: Path, num_frames: int, num_samples: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "corpus.json").unlink(missing_ok=True)
        self.folder, self.num_clips = folder, 0
        self._sizes = {"audio": (num_samples, 0), "prosody": (num_frames, 0)}
        self._sizes |= {"channels": (num_frames, 1), "visible": (num_frames, 1)}
        files = [name for name in DTYPES if name != "held_out"]
        self._files = {name: (folder / f"{name}.npy").open("w+b") for name in files}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def add(self, clip: Clip) -> None:
        """Write one clip at the end."""
        values = {f.name: getattr(clip, f.name) for f in fields(clip)}
        values["length"] = clip.channels.shape[1]
        for name, file in self._files.items():
            row = np.asarray(values[name], dtype=DTYPES[name])
            if name in self._sizes:
                size, axis = self._sizes[name]
                padding = [(0, 0)] * row.ndim
                padding[axis] = (0, size - row.shape[axis])
                row = np.pad(row, padding)
            if self._shapes.setdefault(name, row.shape) != row.shape:
                raise ValueError(f"{name}: clips of {self._shapes[name]} and {row.shape}")
            if not self.num_clips:
                self._head(name, 0)
            file.write(np.ascontiguousarray(row).tobytes())
        self.num_clips += 1

    def abandon(self) -> None:
        """Stop without a corpus."""
        for name, file in self._files.items():
            file.close()
            (self.folder / f"{name}.npy").unlink()

    def close(self, held_out: np.ndarray | None = None, **facts: object) -> dict:
        """Finish the arrays, measure the corpus and write `corpus.json`; returns it.

        `held_out` (N,) bool: clips for validation; None = the last ones.
        """
        for name, file in self._files.items():
            self._head(name, self.num_clips)
            file.close()
        chosen = last_of(self.num_clips) if held_out is None else held_out
        np.save(self.folder / "held_out.npy", chosen)
        arrays = {name: np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in DTYPES}
        facts = {"clips": self.num_clips, **facts}
        facts |= statistics(arrays, len(facts["styles"]))
        (self.folder / "corpus.json").write_text(json.dumps(facts, indent=1))
        return facts

    def _head(self, name: str, count: int) -> None:
        """The array's header, in place: NumPy leaves room in it for the first axis to grow."""
        file = self._files[name]
        file.seek(0)
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(DTYPES[name])),
            "fortran_order": False,
            "shape": (count, *self._shapes[name]),
        }
        np.lib.format.write_array_header_1_0(file, header)


def log_speed(translation_m: np.ndarray, visible: np.ndarray | None = None) -> float:
    """*Speed* of a motion (T, 2, 3): log of the wrists' root-mean-square distance [m] from their
    mean places, of the hands that are seen (T, 2).

    The paper conditions on the variance within a window. We measure over the whole clip, so that a
    pause in the speech, not a small number, is what makes the hands rest.
    """
    places = np.asarray(translation_m, dtype=np.float64)
    seen = np.ones(places.shape[:2], bool) if visible is None else np.asarray(visible)
    variances = [
        places[seen[:, hand], hand].var(axis=0).sum()
        for hand in range(NUM_HANDS)
        if seen[:, hand].any()
    ]
    return float(np.log(np.sqrt(np.mean(variances)) + STILL_M)) if variances else float("nan")


def speed_scale(
    speeds: np.ndarray, labels: np.ndarray, num_labels: int, weights: np.ndarray | None = None
) -> dict[str, list]:
    """Quantiles of all speeds, and the share at which each label's median lies.

    Args:
        speeds: (n,) `log_speed`s, NaN = none.
        labels: (n,) ints below `num_labels`.
        weights: (n,) how much each counts; None = alike.
    """
    known = np.isfinite(speeds)
    if not known.any():
        rule, remedy = "must hold some motion whose speed is known", "Add clips with speech."
        raise InputError("corpus", rule, f"{len(speeds)} silent motions", remedy)
    weights = np.ones(len(speeds)) if weights is None else weights
    speeds, labels, weights = speeds[known], labels[known], weights[known]
    shares = np.linspace(0, 1, NUM_SHARES)
    quantiles = weighted_quantile(speeds, weights, shares)
    missing = max(0.0, MIN_SPEED_SPAN - (quantiles[-1] - quantiles[0]))
    quantiles = quantiles + missing * (shares - 0.5)
    medians = [
        weighted_quantile(speeds[own], weights[own], 0.5)
        if own.any()
        else quantiles[len(shares) // 2]
        for own in (labels == label for label in range(num_labels))
    ]
    return {
        "speed_quantiles": quantiles.tolist(),
        "style_speeds": np.interp(medians, quantiles, shares).tolist(),
    }


def weighted_quantile(values: np.ndarray, weights: np.ndarray, shares) -> np.ndarray:
    """As `numpy.quantile` with linear interpolation, which it is where all weights are equal."""
    order = np.argsort(values, kind="stable")
    values, weights = values[order].astype(np.float64), weights[order]
    reached = np.cumsum(weights) - weights
    return np.interp(shares, reached / max(reached[-1], 1e-12), values)


def statistics(arrays: dict[str, np.ndarray], num_styles: int) -> dict:
    """What a corpus says of itself in `corpus.json`."""
    return {
        **speed_scale(
            np.asarray(arrays["speed"]).ravel(), np.asarray(arrays["style"]).ravel(), num_styles
        ),
        "rest_m": np.asarray(arrays["rest_m"]).mean(axis=(0, 1)).tolist(),
        **channel_moments(arrays["channels"], HANDS, arrays["visible"]),
    }
