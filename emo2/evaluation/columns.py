"""What figures are called and how they are read: of motions from `columns.toml`, of films from
`film_columns.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Column:
    """One figure of every row."""

    key: str
    label: str
    unit: str
    """"%" shows shares of 1 times 100."""
    digits: int
    says: str
    """What it is and how to read it, one or two sentences."""
    beside: dict[str, str] = field(default_factory=dict)
    """Facts that it is read against: key to words."""

    def shown(self, value: float | None) -> str:
        """A figure as people read it; an en dash where there is none."""
        if value is None or value != value:
            return "–"
        return f"{100 * value if self.unit == '%' else value:.{self.digits}f}"


@dataclass(frozen=True)
class Group:
    """Columns that belong together."""

    title: str
    columns: tuple[Column, ...]


def _read(path: Path) -> tuple[Group, ...]:
    groups = tomllib.loads(path.read_text(encoding="utf-8"))["group"]
    return tuple(
        Group(group["title"], tuple(Column(**column) for column in group["column"]))
        for group in groups
    )


TABLE = _read(Path(__file__).with_suffix(".toml"))
FILM = _read(Path(__file__).with_name("film_columns.toml"))


def markdown(groups: tuple[Group, ...], facts: dict[str, float]) -> str:
    """The facts that were asked for, one a line; groups without any are left out."""
    lines = []
    for group in groups:
        rows = [column for column in group.columns if column.key in facts]
        if rows:
            lines += [
                "",
                f"### {group.title}",
                "",
                "| figure | | beside it | |",
                "|---|---|---|---|",
            ]
        for column in rows:
            floors = [
                f"{words} {_beside(column, facts[key])}"
                for key, words in column.beside.items()
                if key in facts
            ]
            value = f"{column.shown(facts[column.key])} {column.unit}".rstrip()
            lines.append(f"| {column.label} | {value} | {', '.join(floors)} | {column.says} |")
    return "\n".join(lines[1:])


def _beside(column: Column, value: float) -> str:
    """A floor as the figure itself; a count as a count."""
    return str(value) if isinstance(value, int) else column.shown(value)
