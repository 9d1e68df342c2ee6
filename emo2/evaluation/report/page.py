"""The report: `report.json` for machines, `report.html` for people, one page that needs nothing
else."""

from __future__ import annotations

import json
from dataclasses import asdict
from html import escape
from pathlib import Path
from string import Template

from emo2.evaluation.columns import TABLE, Column, Group
from emo2.evaluation.criteria import Criterion
from emo2.evaluation.examination import Examination
from emo2.evaluation.report import figures
from emo2.evaluation.takes import Row

_HERE = Path(__file__).parent
MARKS = {True: ("pass", "pass"), False: ("fail", "fail"), None: ("none", "–")}
PAPER = (
    ("method", "DIV", "BA", "PCK", "FGD"),
    ("TalkSHOW", "0.0961", "0.6743", "0.7872", "0.0329"),
    ("DiffSHEG", "0.0158", "0.7198", "0.8300", "0.0368"),
    ("EMO2 on SMPL", "0.0886", "0.7290", "0.8163", "0.0301"),
    ("EMO2 on MANO", "0.1345", "0.7626", "0.8126", "0.0373"),
)


def write_report(found: Examination, folder: Path, pipeline) -> Path:
    """Write both files into `folder`; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = pipeline.stage1.checkpoint_hash
    (folder / "report.json").write_text(json.dumps(facts(found, checkpoint), indent=1))
    path = folder / "report.html"
    path.write_text(page(found, checkpoint, pipeline.fps), encoding="utf-8")
    return path


def facts(found: Examination, checkpoint: str | None) -> dict:
    """Everything as JSON values; what could not be measured is null."""
    return _plain(
        {
            "checkpoint": checkpoint,
            "seconds": found.seconds,
            "seeds": found.seeds,
            "criteria": [asdict(line) for line in found.criteria],
            "rows": [
                {"name": row.name, "kind": row.kind, "z_by_seed": row.zs, **row.facts}
                for row in found.rows
            ],
            "speed": {
                style: {"speeds": order.speeds, "deviation_m": order.deviation_m.tolist()}
                for style, order in found.orders.items()
            },
            "styles": {
                name: {**asdict(told), "confusion": told.confusion.tolist()}
                for name, told in (("model", found.recognition), ("teacher", found.taught))
                if told is not None
            },
            "flexion_deg": {name: table.tolist() for name, table in found.flexion.items()},
        }
    )


def page(found: Examination, checkpoint: str | None, fps: float) -> str:
    """The whole page."""
    judged = [line.passed for line in found.criteria if line.passed is not None]
    minutes = sum(found.seconds.values()) / 60
    groups = f" in {len(found.seconds)} folders" if len(found.seconds) > 1 else ""
    return Template((_HERE / "page.html").read_text(encoding="utf-8")).substitute(
        css=(_HERE / "page.css").read_text(encoding="utf-8"),
        facts=f"Checkpoint {checkpoint} · {minutes:.1f} minutes of speech{groups} · "
        f"{found.seeds} seeds a row · default settings",
        held=sum(judged),
        judged=len(judged),
        share=round(100 * sum(judged) / max(len(judged), 1)),
        criteria="".join(_criterion(line) for line in found.criteria),
        figures="".join(_figures(found, fps)),
        tables="".join(_table(group, found.rows) for group in TABLE),
        glossary="".join(
            f"<dt>{escape(column.label)}</dt><dd>{escape(column.says)}</dd>"
            for group in TABLE
            for column in group.columns
        ),
        paper="".join(_cells(row, "th" if at == 0 else "td") for at, row in enumerate(PAPER)),
    )


def _criterion(line: Criterion) -> str:
    mark, word = MARKS[line.passed]
    return (
        f'<tr><td><span class="mark {mark}">{word}</span></td><td>{escape(line.name)}</td>'
        f'<td class="value">{line.shown}</td><td class="limit">{escape(line.bound)}</td>'
        f'<td class="detail">{escape(line.detail)}</td></tr>'
    )


def _figures(found: Examination, fps: float):
    by_kind: dict[str, list[Row]] = {}
    for row in found.rows:
        by_kind.setdefault(row.kind, []).append(row)
    model, teacher = by_kind["model"], by_kind["teacher"]
    yield _figure(
        "Do the hands hear the speech?",
        "Each dot is one performance of all the speech. What is deaf falls into the grey band, "
        "where chance puts 87 % of it; the dotted line is the bound.",
        figures.beat_alignment(found.rows),
        ("model", "teacher", "deaf", "floor", "baseline", "real"),
    )
    yield _figure(
        "When do strokes end?",
        f"{model[0].name}. The grey band holds 95 % of what shifted speech gives. A stroke that "
        "ends on its syllable is at zero.",
        figures.stroke_timing(model[0], teacher[0]),
        ("model", "teacher"),
    )
    yield _figure(
        "How do fingers bend?",
        "2nd to 98th percentile, the dot is the median. Recorded: semantic gestures by motion "
        "capture (SeG), which nothing here was made from.",
        figures.finger_flexion(found.flexion),
        ("real", "model", "teacher"),
        {"real": "recorded"},
    )
    yield _figure(
        "Does the speed control order motion?",
        "Lines are means over clips, dots single clips, seed 0 throughout.",
        figures.speed_control(found.orders),
    )
    if found.recognition is not None:
        yield _figure(
            "Can styles be told apart?",
            f"{found.recognition.accuracy:.0%} of {found.recognition.segments} stretches of 8 s, "
            f"of clips and seeds that the classifier has not seen; chance "
            f"{found.recognition.chance:.0%}, the teacher's own "
            f"{found.taught.accuracy:.0%}. Rows are what was asked for.",
            figures.confusion(found.recognition),
        )
    yield _figure(
        "Rest, hold, move",
        "Grey is still and low, amber still and raised, the rest moves.",
        figures.occupation([*model, *teacher, *by_kind.get("real", []), *by_kind["floor"]]),
    )
    if found.around_joins is not None:
        yield _figure(
            "Can one see where windows join?",
            "The mean jump of velocity in the second before and after joins, all styles. A seam "
            "would stand out in the middle.",
            figures.around_joins(found.around_joins, fps),
        )


def _figure(title: str, says: str, svg: str, kinds=(), names=None) -> str:
    keys = "".join(
        f'<span class="key"><i style="background: var(--{kind})"></i>'
        f"{(names or {}).get(kind, kind)}</span>"
        for kind in kinds
    )
    return (
        f'<figure class="card"><figcaption><strong>{escape(title)}</strong>'
        f"<p>{escape(says)}<br>{keys}</p></figcaption>{svg}</figure>"
    )


def _table(group: Group, rows: tuple[Row, ...]) -> str:
    shown = [row for row in rows if any(column.key in row.facts for column in group.columns)]
    heads = "".join(f'<th title="{escape(c.says)}">{_head(c)}</th>' for c in group.columns)
    lines, before = [], ""
    for at, row in enumerate(shown):
        turn = "first" if at == 0 else "turn" if row.kind != before else ""
        cells = [row.name, *(column.shown(row.facts.get(column.key)) for column in group.columns)]
        lines.append(_cells(cells, "td", turn))
        before = row.kind
    return (
        f'<h3>{escape(group.title)}</h3><div class="card wide"><table class="figs">'
        f"<tr><th></th>{heads}</tr>{''.join(lines)}</table></div>"
    )


def _head(column: Column) -> str:
    return escape(column.label + (f", {column.unit}" if column.unit not in ("", "/s", "×") else ""))


def _cells(row, tag: str, name: str = "") -> str:
    return f'<tr class="{name}">' + "".join(f"<{tag}>{escape(c)}</{tag}>" for c in row) + "</tr>"


def _plain(value):
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float | int) and value != value:
        return None
    return value.item() if hasattr(value, "item") else value
