"""Films in a table: what was measured of each, the bars they have to clear, and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emo2.evaluation.criteria import Criterion, within
from emo2.evaluation.identity import cosine

WORST = 5


@dataclass(frozen=True)
class FilmRow:
    """One film. Shares 0..1, `nan` where there was nothing to measure."""

    portrait: str
    speech: str
    frames: int
    face: float
    any_hand: float
    both_hands: float
    each_hand: float
    pck: float
    mouth_r: float
    mouth_lag: int
    mouth_range: float
    flicker: float
    background_flicker: float
    identity: float
    """Cosine of face embeddings with the portrait's, mean over frames."""
    identity_first: float
    identity_last: float
    """Over the first and the last second."""
    hand_confidence: float
    """The detector's, a hand that is not found counting 0."""
    hand_variance: float
    """Of the hands' points, in shoulder breadths squared."""
    mouth_sync: float
    """How much the right time stands out among 31 lags."""
    closures: int
    closures_met: float
    """p, b and m at which the lips that the detector sees are in their lowest quarter."""
    fps: float
    """Frames a second of wall clock while rendering, one process of several."""
    # Floors:
    other_mouth_r: float
    """The mouth against the other recordings, at the same lag, mean."""
    other_any_hand: float
    """Hands looked for where another recording's motion has them."""
    other_pck: float
    still_any_hand: float
    """The portrait as it is, in place of the film."""
    still_both_hands: float
    still_pck: float
    still_hand_confidence: float
    asked_hand_variance: float
    """What the motion itself has."""
    other_mouth_sync: float
    """The mouth against its own speech shifted round by parts of the clip."""
    loud_closures_met: float
    """The same portrait with a mouth that knows only loudness."""


def mean_of(rows: Sequence[FilmRow], name: str) -> float:
    """Over the films in which it could be measured."""
    values = np.array([getattr(row, name) for row in rows], np.float64)
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan


def pooled(rows: Sequence[FilmRow], name: str) -> float:
    """Closures met, every closure counting alike."""
    heard = [row for row in rows if row.closures]
    total = sum(row.closures for row in heard)
    return sum(getattr(row, name) * row.closures for row in heard) / total if total else np.nan


def bars(rows: Sequence[FilmRow], strangers: float) -> list[Criterion]:
    """What a good draft clears. `strangers` is the cosine of different people's faces."""

    def mean(name: str) -> float:
        return mean_of(rows, name)

    def floor(words: str, *values: float) -> str:
        return words.format(*(f"{value:.2f}" for value in values))

    return [
        within("face found, frames", mean("face"), least=0.99),
        within(
            "a hand found, frames",
            mean("any_hand"),
            least=0.95,
            detail=floor(
                "portrait as it is {}, other motion {}",
                mean("still_any_hand"),
                mean("other_any_hand"),
            ),
        ),
        within(
            "both hands found, frames",
            mean("both_hands"),
            least=0.85,
            detail=floor(
                "portrait as it is {}; of all hands {}", mean("still_both_hands"), mean("each_hand")
            ),
        ),
        within(
            "points within .2 of a hand",
            mean("pck"),
            least=0.8,
            detail=floor(
                "portrait as it is {}, other motion {}", mean("still_pck"), mean("other_pck")
            ),
        ),
        within(
            "face recognised, cosine",
            mean("identity"),
            least=0.9,
            detail=floor("different people {}", strangers),
        ),
        within("mouth and speech, r", mean("mouth_r"), least=0.7),
        within(
            "mouth and another clip, r",
            mean("other_mouth_r"),
            most=0.2,
        ),
        within(
            "mouth's lag, frames",
            float(np.max(np.abs([row.mouth_lag for row in rows]))),
            most=1,
            detail="the largest of all films",
        ),
        within(
            "p, b, m with shut lips",
            pooled(rows, "closures_met"),
            least=0.8,
            detail=floor("loudness alone {}", pooled(rows, "loud_closures_met")),
        ),
        within("flicker of the background", mean("background_flicker"), most=0),
    ]


BESIDE = (
    ("hand confidence", "hand_confidence", "portrait as it is", "still_hand_confidence"),
    ("hand variance, shoulders²", "hand_variance", "the motion's own", "asked_hand_variance"),
    ("mouth sync", "mouth_sync", "shifted speech", "other_mouth_sync"),
    ("face, last second", "identity_last", "first second", "identity_first"),
)


def report(rows: Sequence[FilmRow], faces: np.ndarray, refused: dict[str, str]) -> str:
    """Markdown. `faces` (P, 128) are the portraits' embeddings."""
    faces = faces[np.isfinite(faces).all(axis=-1)] if len(faces) else faces
    one, other = np.triu_indices(len(faces), 1)
    strangers = float(np.median(cosine(faces[one], faces[other]))) if len(one) else np.nan
    people, clips = ({getattr(row, name) for row in rows} for name in ("portrait", "speech"))
    frames = sum(row.frames for row in rows)
    lines = [
        f"{len(people)} portraits, {len(clips)} recordings, {frames} frames",
        "",
        "| measure | mean | bar | met | beside it |",
        "|---|---|---|---|---|",
    ]
    for bar in bars(rows, strangers) if rows else []:
        met = {True: "yes", False: "NO", None: "–"}[bar.passed]
        lines.append(f"| {bar.name} | {bar.shown} | {bar.bound} | {met} | {bar.detail} |")
    lines += ["", "| figure without a bar | mean | beside it |", "|---|---|---|"]
    for title, name, words, floor in BESIDE:
        lines.append(
            f"| {title} | {mean_of(rows, name):.3f} | {words} {mean_of(rows, floor):.3f} |"
        )
    for name in ("each_hand", "both_hands", "mouth_r", "identity"):
        worst = sorted(
            (row for row in rows if np.isfinite(getattr(row, name))),
            key=lambda row: getattr(row, name),
        )
        shown = ", ".join(
            f"{row.portrait} {row.speech} {getattr(row, name):.2f}" for row in worst[:WORST]
        )
        lines += ["", f"Lowest {name}: {shown}"]
    lines += [f"\nRefused {name}: {why}" for name, why in refused.items()]
    return "\n".join(lines) + "\n"
