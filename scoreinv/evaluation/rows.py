"""Result files that grow while work goes on: append-only CSV, shared by several processes and safe against kills."""

import csv
import fcntl
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np

from scoreinv.formats.files import write_atomically
from scoreinv.formats.guard import read_text
from scoreinv.formats.records import csv_rows, read_json

RESULTS = "the rows of a run's results"
Row = Mapping[str, Any]
# What a row is of: the values of its columns that are not results.
Identity = tuple[str, ...]


class ResultFile:
    """A CSV file that processes append rows to, and the work that each of them has taken on.

    A write is complete when its last line ends; what a kill left after that is cut off at the next append. Claims are
    POSIX record locks in `<name>.claims` on one byte for each row, at a hash of what the row is of: processes that
    share nothing but the file agree on it, and the kernel drops the claims of one that dies.

    Args:
        path: the CSV file.
        columns: its header.

    Raises:
        ValueError: the file has another header.
    """

    def __init__(self, path: Path, columns: Sequence[str]):
        self._path, self._columns = path, tuple(columns)
        path.parent.mkdir(parents=True, exist_ok=True)
        header = _complete_lines(path).split("\n")[0] if path.exists() else ""
        if header and tuple(header.split(",")) != self._columns:
            raise ValueError(
                f"{str(path)!r} has the columns {header}, this run makes {','.join(columns)}; use another --workdir"
            )

    def rows(self) -> list[dict[str, str]]:
        """The complete rows."""
        text = _complete_lines(self._path) if self._path.exists() else ""
        return csv_rows(text, self._path, RESULTS, self._columns) if text else []

    def append(self, rows: Sequence[Row]) -> None:
        """Appends rows in one write."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, lineterminator="\n")
        with self._path.open("a+b") as file, _locked(file):
            if _cut_after_last_newline(file) == 0:
                writer.writeheader()
            writer.writerows(rows)
            file.write(text.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())

    def keep(self, wanted: Callable[[dict[str, str]], bool]) -> None:
        """Drops the rows that are not wanted; for a file of one process.

        Args:
            wanted: row -> whether it stays.
        """
        rows = self.rows()
        kept = [row for row in rows if wanted(row)]
        if len(kept) == len(rows):
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        write_atomically(self._path, lambda path: path.write_text(text.getvalue()))

    @contextmanager
    def claims(self) -> Iterator["Claims"]:
        """The claims of this process, for as long as the context lasts."""
        with self._path.with_suffix(".claims").open("a+b") as file:
            yield Claims(file)


class Claims:
    """Rows, by what they are of, that no two living processes work on at once."""

    def __init__(self, file: IO[bytes]):
        self._file = file

    @contextmanager
    def claim(self, identities: Sequence[Identity]) -> Iterator[list[bool]]:
        """Which of the rows are this process's for the length of the context; another one works on the others."""
        mine = [self._lock(place_of(identity)) for identity in identities]
        try:
            yield mine
        finally:
            for identity, held in zip(identities, mine, strict=True):
                if held:
                    fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place_of(identity))

    def _lock(self, place: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:
            return False
        return True


def place_of(identity: Identity) -> int:
    """The byte that stands for a row, a hash of 56 bits; rows that share one would wait for one another, no more."""
    return int.from_bytes(hashlib.sha256("\0".join(identity).encode()).digest()[:7], "big")


def claim_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Notes beside the results what they were made with.

    Args:
        path: a JSON file.
        settings: flat, of JSON types. Names that the file does not hold yet are added to it.

    Raises:
        ValueError: the file holds another value; names the first that differs.
    """
    before = read_json(path, "the settings of a run") if path.exists() else {}
    now = json.loads(json.dumps(settings))
    for name in sorted(before.keys() & now.keys()):
        if before[name] != now[name]:
            raise ValueError(
                f"{str(path.parent)!r} holds results of another run ({name} was {before[name]!r}, is {now[name]!r}); "
                "continue with the settings it was made with, or use another --workdir"
            )
    if before.keys() < before.keys() | now.keys():
        text = json.dumps(before | now, indent=1, sort_keys=True) + "\n"
        write_atomically(path, lambda name: name.write_text(text))


def digest(tree: Any) -> str:
    """Of the numbers in a pytree."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        found.update(np.asarray(leaf).tobytes())
    return found.hexdigest()


def _complete_lines(path: Path) -> str:
    return read_text(path, RESULTS, whole_lines=True)


def _cut_after_last_newline(file: IO[bytes]) -> int:
    """Cuts off a half-written last line; returns the length of what remains."""
    file.seek(0)
    length = file.read().rfind(b"\n") + 1
    file.truncate(length)
    return length


@contextmanager
def _locked(file: IO[bytes]) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
