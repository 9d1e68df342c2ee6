"""Measure a gesture checkpoint on speech, and say line by line whether it is right.

    python -m emo2 evaluate motion --speech DIR [--checkpoint DIR] [--reference DIR]
                                   [--corpus DIR] [--out REPORT_DIR] [--seeds N] [--quick]

Prints a table, a row per performer (the checkpoint in every style, its teacher, deaf controls,
floors, baselines, real speakers), then the criteria with value, bound and verdict. With `--out`
writes `report.json` and `report.html`, one page with pictures that needs nothing else. Sub-folders
of the speech, a language or a speaker each, are judged by themselves, too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import diffusers
import transformers

from emo2.errors import InputError
from emo2.evaluation.columns import TABLE
from emo2.evaluation.criteria import Criterion
from emo2.evaluation.examination import Examination, Examiner
from emo2.evaluation.reference import find_references
from emo2.evaluation.sounds import find_speech
from emo2.evaluation.takes import Row

CLIP_S = 30.0
"""Recordings are joined to clips of about this length: long enough to shift in a circle."""
MARKS = {True: "pass", False: "FAIL", None: "-"}


def main(argv: list[str] | None = None) -> int:
    """Returns 0 when all criteria hold, 1 when one fails."""
    options = _parser().parse_args(argv)
    if options.seeds < 1:
        raise InputError("--seeds", "must be at least 1", options.seeds, "2 tell styles apart.")
    if not options.clip > 0:
        raise InputError("--clip", "must be above 0 s", options.clip, f"Try {CLIP_S:g}.")
    from emo2.evaluation.report.page import write_report
    from emo2.pipeline import EMO2Pipeline

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    pipeline = EMO2Pipeline.from_pretrained(options.checkpoint)
    found = Examiner(
        pipeline,
        find_speech(options.speech, options.clip),
        corpus=options.corpus,
        references=find_references(options.reference) if options.reference else (),
        seeds=options.seeds,
        quick=options.quick,
    )()
    for group in TABLE[: 1 if options.quick else None]:
        print(*table_lines(group, found.rows), "", sep="\n")
    print(*(criterion_line(line) for line in found.criteria), sep="\n")
    print(verdict(found))
    if options.out:
        print(write_report(found, options.out, pipeline))
    return 1 if any(line.passed is False for line in found.criteria) else 0


def table_lines(group, rows: tuple[Row, ...]) -> list[str]:
    """One group of columns as text."""
    cells = [
        [group.title, *(column.label for column in group.columns)],
        *(
            [row.name, *(column.shown(row.facts.get(column.key)) for column in group.columns)]
            for row in rows
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]


def criterion_line(line: Criterion) -> str:
    """One criterion as text."""
    return f"{MARKS[line.passed]:5s} {line.name}: {line.shown} ({line.bound}); {line.detail}"


def verdict(found: Examination) -> str:
    """How many criteria hold."""
    judged = [line for line in found.criteria if line.passed is not None]
    return f"{sum(line.passed for line in judged)} of {len(judged)} criteria hold"


def _parser() -> argparse.ArgumentParser:
    from emo2.pipeline import DEMO_CHECKPOINT

    parser = argparse.ArgumentParser(
        prog="emo2 evaluate motion", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--speech", type=Path, required=True, help="a folder of recordings")
    parser.add_argument("--checkpoint", type=Path, default=DEMO_CHECKPOINT, help="a weight set")
    parser.add_argument("--reference", type=Path, help="real motions, with sound or without")
    parser.add_argument("--corpus", type=Path, help="a corpus folder: adds the retrieval baseline")
    parser.add_argument("--out", type=Path, help="folder for report.html and report.json")
    parser.add_argument("--seeds", type=int, default=2, help="performances per row (2)")
    parser.add_argument(
        "--clip",
        type=float,
        default=CLIP_S,
        help=f"seconds that recordings are joined to ({CLIP_S:g})",
    )
    parser.add_argument("--quick", action="store_true", help="the default style alone")
    return parser
