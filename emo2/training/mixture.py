"""One or several corpora to learn from, and what their labels are called.

Each example's corpus is drawn by weight. Labels come from the data: the style of a clip, its
speaker, or both; labels of the same name in two corpora are one label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.stage1.representation import Representation
from emo2.training.corpus_folder import Corpus, speed_scale
from emo2.training.moments import channel_moments

LABELS = ("style", "speaker", "both")
"""What the network's style labels are made of; "both" is "SPEAKER STYLE"."""


@dataclass(frozen=True)
class Mixture:
    """Corpora with weights. `facts` describe them together, as `corpus.json` does one."""

    corpora: tuple[Corpus, ...]
    weights: tuple[float, ...]
    """Shares of the examples, summing to one."""
    label: str = "style"

    @classmethod
    def of(
        cls,
        corpora: Sequence[Corpus],
        weights: Sequence[float] | None = None,
        label: str = "style",
    ) -> Mixture:
        """Weights need not sum to one; None = every clip of every corpus alike. Raises
        `InputError`."""
        if weights is None:
            weights = [len(corpus.length) for corpus in corpora]
        fits = len(weights) == len(corpora) and min(weights) >= 0 and sum(weights) > 0
        if not (fits and np.isfinite(weights).all()):
            rule = f"must be one number for each of the {len(corpora)} corpora, none negative"
            raise InputError("weights", rule, list(weights), "Say --weights 3 1, or leave it out.")
        rates = {corpus.facts["fps"] for corpus in corpora}
        if len(rates) > 1:
            rule = "must all have the same frame rate"
            raise InputError("corpus", rule, sorted(rates), "Make them again at 24.")
        for corpus in corpora:
            if corpus.held_out.all() or not corpus.held_out.any():
                rule = "must have clips to learn from and some held out"
                raise InputError(
                    "corpus", rule, f"{len(corpus.length)} clips", "Add a take, or use longer ones."
                )
        total = float(sum(weights))
        return cls(tuple(corpora), tuple(w / total for w in weights), label)

    @classmethod
    def load(
        cls,
        folders: Sequence[Path],
        weights: Sequence[float] | None = None,
        label: str = "style",
    ) -> Mixture:
        """Open corpus folders."""
        return cls.of([Corpus.load(folder) for folder in folders], weights, label)

    @property
    def names(self) -> tuple[str, ...]:
        """The labels, in the order of their numbers."""
        return self._labels[0]

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.corpora[0].facts["fps"]

    def label_of(self, corpus: int, clip: int, motion: int) -> int:
        """The number of a motion's label."""
        return int(self._labels[1][corpus][clip, motion])

    def pick(
        self, rng: np.random.Generator, count: int, *, validation: bool = False
    ) -> list[tuple[int, int]]:
        """`count` times a corpus and a clip of it; no clip twice while there are others."""
        corpora = np.zeros(count, int)
        if len(self.corpora) > 1:
            corpora = rng.choice(len(self.corpora), count, p=self.weights)
        out = np.zeros(count, int)
        for number in np.unique(corpora):
            pool = np.flatnonzero(self.corpora[number].held_out == validation)
            wanted = corpora == number
            out[wanted] = rng.choice(pool, wanted.sum(), replace=len(pool) < wanted.sum())
        return list(zip(corpora.tolist(), out.tolist(), strict=True))

    @cached_property
    def facts(self) -> dict:
        """styles, speed_quantiles, style_speeds and rest_m of the mixture."""
        speeds = [np.asarray(corpus.speed).ravel() for corpus in self.corpora]
        counts = [
            np.full(len(own), weight / max(np.isfinite(own).sum(), 1))
            for own, weight in zip(speeds, self.weights, strict=True)
        ]
        labels = np.concatenate([numbers.ravel() for numbers in self._labels[1]])
        scale = speed_scale(np.concatenate(speeds), labels, len(self.names), np.concatenate(counts))
        rests = [np.asarray(corpus.facts["rest_m"]) for corpus in self.corpora]
        rest_m = np.average(rests, axis=0, weights=self.weights)
        return {"styles": list(self.names), **scale, "rest_m": rest_m.tolist()}

    def moments(self, written: Representation) -> dict[str, list[float]]:
        """mean and std (C,) of the mixture's channels in a representation."""
        each = [channel_moments(c.channels, written, c.visible) for c in self.corpora]
        means, stds = (np.array([one[name] for one in each]) for name in ("mean", "std"))
        mean = np.average(means, axis=0, weights=self.weights)
        power = np.average(stds**2 + (means - mean) ** 2, axis=0, weights=self.weights)
        return {"mean": mean.tolist(), "std": np.sqrt(power).tolist()}

    @property
    def commonest(self) -> str:
        """The label of most motions: what the product takes where no style is asked for."""
        counts = np.zeros(len(self.names))
        for weight, labels in zip(self.weights, self._labels[1], strict=True):
            counts += weight * np.bincount(labels.ravel(), minlength=len(counts)) / labels.size
        return self.names[int(counts.argmax())]

    @cached_property
    def _labels(self) -> tuple[tuple[str, ...], list[np.ndarray]]:
        """All names, and for each corpus (N, K) numbers into them."""
        names: dict[str, int] = {}
        numbers = []
        for corpus in self.corpora:
            styles, speakers = corpus.facts["styles"], corpus.facts["speakers"]
            style = np.asarray(corpus.style)
            speaker = np.broadcast_to(np.asarray(corpus.speaker)[:, None], style.shape)
            if self.label == "style":
                texts, place = styles, style
            elif self.label == "speaker":
                texts, place = speakers, speaker
            else:
                texts = [f"{who} {how}" for who in speakers for how in styles]
                place = speaker * len(styles) + style
            used = np.unique(place)
            table = np.zeros(len(texts), int)
            for index in used:
                table[index] = names.setdefault(texts[index], len(names))
            numbers.append(table[place])
        return tuple(names), numbers

    def describe(self) -> list[dict]:
        """What a run's `config.json` says of its corpora."""
        told = ("source", "seed", "clips", "duration_s", "styles", "speakers")
        return [
            {"weight": weight, **{key: corpus.facts[key] for key in told if key in corpus.facts}}
            for corpus, weight in zip(self.corpora, self.weights, strict=True)
        ]
