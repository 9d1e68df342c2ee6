"""Classifier-free guidance with one scale per condition.

The conditions are dropped one after the other, sound first, so that with scales g, r, a

    e = e() + g (e(guidance) - e()) + r (e(guidance, portrait) - e(guidance))
            + a (e(guidance, portrait, sound) - e(guidance, portrait))

With all scales 1 that is the fully conditioned prediction, one evaluation; with all scales s it is
ordinary classifier-free guidance, two.
"""

from __future__ import annotations

from dataclasses import dataclass

from emo2.errors import InputError


@dataclass(frozen=True)
class Term:
    """One evaluation of the denoiser and its weight in the sum."""

    weight: float
    guidance: bool
    reference: bool
    audio: bool


@dataclass(frozen=True)
class GuidanceScale:
    """How strongly each condition is followed; 1 = as trained, 0 = not at all."""

    guidance: float = 1.0
    reference: float = 1.0
    audio: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 20:
                raise InputError(
                    "guidance_scale", f"{name} must be 0 to 20", value, "1 follows it as trained"
                )

    @classmethod
    def of(cls, scale: float | GuidanceScale) -> GuidanceScale:
        """A single number stands for all three."""
        return scale if isinstance(scale, cls) else cls(scale, scale, scale)

    def terms(self) -> list[Term]:
        """The evaluations that are needed; their weights sum to one."""
        g, r, a = self.guidance, self.reference, self.audio
        every = [
            Term(1 - g, False, False, False),
            Term(g - r, True, False, False),
            Term(r - a, True, True, False),
            Term(a, True, True, True),
        ]
        return [term for term in every if term.weight]


@dataclass(frozen=True)
class GuidanceInterval:
    """The noise levels at which guidance is applied, as shares of the scheduler's timesteps: 0 =
    clean, 1 = pure noise. At the highest levels guidance costs variety, at the lowest it does
    hardly anything (Kynkäänniemi et al., "Applying Guidance in a Limited Interval", 2024); each
    step outside is one evaluation instead of two or more."""

    lowest: float = 0.0
    highest: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.lowest < self.highest <= 1:
            raise InputError(
                "guidance_interval",
                "must be two noise levels in order, 0 to 1",
                f"{self.lowest:g} to {self.highest:g}",
                "0 to 1 guides every step.",
            )

    def holds(self, level: float) -> bool:
        """Is guidance applied at this noise level."""
        return self.lowest <= level <= self.highest
