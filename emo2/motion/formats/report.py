"""What an import found and what it could not keep: every reader states it, every caller can show
it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from emo2.types import HandMotion, Portrait

if TYPE_CHECKING:
    from pathlib import Path

    from emo2.hands.model import HandModel


@dataclass(frozen=True)
class ImportReport:
    """How a file was understood."""

    format: str
    """The format's name in `emo2.motion.formats.FORMATS`."""
    source_fps: float
    """Frames per second of the file (or as assumed: then `convention` says so)."""
    convention: str
    """One sentence: frame, units, rotation order, flat or mean hand."""
    lost: tuple[str, ...] = ()
    """What the file held and the motion does not, and what was guessed, one short phrase each."""
    error_px: float | None = None
    """Median reprojection error on confident points, pixels of a 768 px picture, of a motion that
    was fitted to 2-D points."""

    def lines(self) -> list[str]:
        """The report for people, one fact a line."""
        out = [f"{self.format}, {self.source_fps:g} frames per second", self.convention]
        if self.error_px is not None:
            out.append(f"fitted with a median error of {self.error_px:.1f} px of 768")
        return out + [f"note: {loss}" for loss in self.lost]

    def facts(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Imported:
    """A motion read from a file, and how."""

    motion: HandMotion
    report: ImportReport


@dataclass(frozen=True)
class Context:
    """What a reader or writer may need beside the file. Each takes what it uses and says by
    `InputError` what it misses."""

    hand_model: HandModel | None = None
    """The hand that is fitted to 2-D points, projected into poses."""
    portrait: Portrait | None = None
    """The person whose picture the poses are for."""
    audio: Path | None = None
    """The speech, for formats that carry it as a sidecar."""
    mano_folder: Path | None = None
    """Where MANO_LEFT and MANO_RIGHT lie, for files that count from MANO's mean hand or in its
    principal components."""
