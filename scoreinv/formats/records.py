"""JSON, CSV and SQLite files, through the boundary of `guard`."""

import csv
import io
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from scoreinv.formats.guard import DAMAGED, FileError, check_file, one_line, read_text, reading, shown


def read_json(path: str | Path, expected: str) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: the file.
        expected: what it has to be, for the message.

    Raises:
        ValueError: missing, too large, not JSON, or no object.
    """
    text = read_text(path, expected)
    with reading(path, expected):
        return json_object(text, path, expected)


def json_object(text: str, path: str | Path, expected: str) -> dict[str, Any]:
    """The object that a JSON text from the file describes; call it under `reading`."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise FileError(f"{shown(path)} holds a JSON {type(found).__name__}; expected {expected}")
    return found


def read_rows(path: str | Path, expected: str) -> list[dict[str, Any]]:
    """The objects in a JSON file that lists objects.

    Args:
        path: the file.
        expected: what it has to be, for the message.

    Raises:
        ValueError: missing, too large, not JSON, or something else than a list of objects.
    """
    text = read_text(path, expected)
    with reading(path, expected):
        found = json.loads(text)
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise FileError(f"{shown(path)} is no JSON list of objects; expected {expected}: {DAMAGED}")
        return found


def read_csv(path: str | Path, expected: str, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a CSV file with a header.

    Args:
        path: the file.
        expected: what it has to be, for the message.
        columns: those it must have.

    Raises:
        ValueError: missing, too large, no CSV, a column missing, or a row of another length.
    """
    return csv_rows(read_text(path, expected), path, expected, columns)


def csv_rows(text: str, path: str | Path, expected: str, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows that a CSV text from the file holds; see `read_csv`."""
    with reading(path, expected):
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise FileError(f"{shown(path)} has no column {missing[0]!r}; expected {expected}: {', '.join(columns)}")
        rows = list(reader)
        for number, row in enumerate(rows):
            if None in row or None in row.values():
                raise FileError(f"{shown(path)}: line {number + 2} has another number of cells than the header")
        return rows


def check_sqlite(path: str | Path, expected: str) -> None:
    """Refuses a file that is no SQLite database or a damaged one.

    Args:
        path: the file.
        expected: what it has to be, for the message.

    Raises:
        ValueError: missing, another kind of file, or damaged.
    """
    path = check_file(path, expected)
    address = f"{path.resolve().as_uri()}?mode=ro"
    # Other processes may be writing: they are waited for.
    with reading(path, expected), closing(sqlite3.connect(address, uri=True, timeout=60)) as database:
        found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise FileError(f"{shown(path)} is damaged ({one_line(found, 90)}); expected {expected}: start a new one")
