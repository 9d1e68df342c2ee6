"""The table's columns, from `columns.toml`: a fact's key, what it is called, how it is read."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
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
