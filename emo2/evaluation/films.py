"""Many portraits, several recordings: what detectors find in every film, and floors beside it.

    python -m emo2 evaluate films --portraits DIR --speech A.wav B.wav --english C.wav --out DIR

`--out` gets `films.csv` (a row a film), `report.md` (the means, the bars, the floors, the worst;
with `--real`, distances from real pictures) and `missed.png` (frames of the worst films, the joints
that were looked for drawn in).
"""

from __future__ import annotations

import argparse
import csv
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, fields
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from emo2.errors import InputError
from emo2.evaluation.columns import FILM, markdown
from emo2.evaluation.film_crowds import OFFLINE, crowds, gather, sources
from emo2.evaluation.film_rows import FilmRow, report
from emo2.evaluation.portrait_films import MISSED_PX, Job, measure_portrait
from emo2.evaluation.realism import distances
from emo2.gallery import portraits
from emo2.pipeline import DEMO_CHECKPOINT, RENDERERS
from emo2.types import Frame


def _sheet(missed: list[tuple[float, Frame, str]]) -> Frame:
    """The worst films' frames, five in a row."""
    worst = sorted(missed, key=lambda item: -item[0])[:20]
    sheet = np.zeros((-(-len(worst) // 5) * MISSED_PX, 5 * MISSED_PX, 3), np.uint8)
    for k, (share, frame, name) in enumerate(worst):
        y, x = (k // 5) * MISSED_PX, (k % 5) * MISSED_PX
        sheet[y : y + frame.shape[0], x : x + frame.shape[1]] = frame
        words = f"{name} {100 * share:.0f}%"
        cv2.putText(sheet, words, (x + 4, y + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 60, 60))
    return sheet


def main(argv: list[str] | None = None) -> int:
    """Measure all films, write the report and print it."""
    parser = argparse.ArgumentParser(prog="emo2 evaluate films", description=__doc__)
    parser.add_argument("--portraits", type=Path, required=True)
    parser.add_argument("--speech", type=Path, nargs="*", default=[], help="in any language")
    parser.add_argument("--english", type=Path, nargs="*", default=[], help="p, b, m are checked")
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    parser.add_argument("--real", type=Path, help="a folder of real films or pictures")
    parser.add_argument("--renderer", choices=RENDERERS, default="draft")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each recording")
    parser.add_argument("--every", type=int, default=1, help="take every n-th portrait")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--checkpoint", type=Path, default=DEMO_CHECKPOINT)
    options = parser.parse_args(argv)
    english = tuple(options.english)
    if not options.speech and not english:
        raise InputError("--speech", "must name recordings", "none", "Or name --english ones.")
    for name in ("every", "workers"):
        if getattr(options, name) < 1:
            rule = "must be at least 1"
            raise InputError(f"--{name}", rule, getattr(options, name), "Leave it out for 1.")
    jobs = [
        Job(
            path,
            (*options.speech, *english),
            english,
            options.checkpoint,
            options.renderer,
            options.seconds,
            options.seed,
            options.real is not None,
        )
        for path in islice(portraits(options.portraits), 0, None, options.every)
    ]
    real = sources(options.real) if options.real else []
    options.out.mkdir(parents=True, exist_ok=True)
    rows, known, missed, tables, refused = [], [], [], [], {}
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        results = tqdm(pool.map(measure_portrait, jobs), total=len(jobs), unit="portrait")
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, str):
                refused[job.portrait.name] = result
                continue
            rows += result.rows
            tables += result.tables
            known.append(result.face)
            missed += [
                (share, frame, f"{job.portrait.stem} {film.speech[:8]}")
                for film, (share, frame) in zip(result.rows, result.missed, strict=True)
            ]
            with (options.out / "films.csv").open("w", newline="") as file:
                table = csv.DictWriter(file, [field.name for field in fields(FilmRow)])
                table.writeheader()
                table.writerows(asdict(row) for row in rows)
            Image.fromarray(_sheet(missed)).save(options.out / "missed.png")
    words = report(rows, np.array(known), refused)
    if real:
        facts = distances(tables, gather(real, crowds(tuple(OFFLINE))))
        words += f"\n{markdown(FILM, facts)}\n"
    (options.out / "report.md").write_text(words, encoding="utf-8")
    print(words)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
