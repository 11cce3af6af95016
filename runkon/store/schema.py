"""Writes `schema.sql` from the tables: `python -m runkon.store.schema > runkon/store/schema.sql`.

The SQLite store creates its file from that text without loading SQLModel. A test compares both.
"""

from __future__ import annotations

import sys
from pathlib import Path

VERSION = 3
SCHEMA_FILE = Path(__file__).with_name("schema.sql")
VIEWS_FILE = Path(__file__).with_name("views.sql")


def generate() -> str:
    """The DDL of every table, its indices and the documented views, for SQLite."""
    from sqlalchemy.dialects import sqlite  # late: only this command and its test pay for it
    from sqlalchemy.schema import CreateIndex, CreateTable

    from runkon.store.tables import TABLES

    dialect = sqlite.dialect()
    parts = ["-- Generated from tables.py and views.sql by `python -m runkon.store.schema`; do not edit."]
    for model in TABLES:
        table = model.metadata.tables[str(model.__tablename__)]
        parts.append(_tidy(str(CreateTable(table).compile(dialect=dialect))))
        for index in sorted(table.indexes, key=lambda item: str(item.name)):
            parts.append(_tidy(str(CreateIndex(index).compile(dialect=dialect))))
    return "\n".join(parts) + "\n\n" + VIEWS_FILE.read_text(encoding="utf-8")


def _tidy(ddl: str) -> str:
    lines = (line.rstrip().replace("\t", "    ") for line in ddl.strip().splitlines())
    return "\n".join(line for line in lines if line).replace("\n)\n WITHOUT", "\n) WITHOUT") + ";"


def ddl() -> list[str]:
    """The statements of `schema.sql`, one by one: they run inside one transaction."""
    lines = SCHEMA_FILE.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    return [part.strip() for part in text.split(";") if part.strip()]


if __name__ == "__main__":
    sys.stdout.write(generate())
