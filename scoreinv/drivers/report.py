"""Report driver: one self-contained HTML page of what a work directory holds, to be opened without a network."""

import base64
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import nibabel
import numpy as np
from absl import logging
from jaxtyping import Float

from scoreinv.formats.files import write_atomically
from scoreinv.formats.guard import FileError, read_bytes, read_text, shown
from scoreinv.formats.images import read_image
from scoreinv.formats.records import csv_rows, read_rows
from scoreinv.formats.volume import Volume

PAGE = Path(__file__).with_name("report.html")
TABLE = "a table of results"
TABLES = ("volume.csv", "evaluate.csv", "sweep.csv")
IMAGE = "image"
# The maps that files hold beside the image, and those that are made of them; the overlays among both.
STORED = ("truth", "std", "low", "high", "contrast")
OVERLAYS = ("error", "interval", "std", "contrast")
LEVELS = 2**16 - 1


def report(config, workdir: Path) -> Path:
    """Writes `report.html` into a work directory: volumes in three planes, tables with sortable columns, pictures.

    Args:
        config: the whole configuration: `report.side`, the longest side of a volume in the page.
        workdir: of a reconstruction, an evaluation or a sweep.

    Returns:
        The page.

    Raises:
        ValueError: a work directory that holds nothing to show.
    """
    files = sorted(workdir.rglob("*-image.nii.gz")) if workdir.is_dir() else []
    volumes = [_volume(path, config.report.side) for path in files]
    tables = [_summary(path, workdir) for path in sorted(workdir.rglob("summary.md"))]
    tables += [_table(path, workdir) for name in TABLES for path in sorted(workdir.rglob(name))]
    tables += [_metrics(path) for path in sorted(workdir.rglob("metrics.json"))]
    pictures = [_picture(path, workdir) for path in sorted(workdir.rglob("*.png"))]
    if not volumes and not tables:
        allowed = "volumes (*-image.nii.gz), metrics.json, " + ", ".join(TABLES)
        raise ValueError(f"{str(workdir)!r} holds nothing to report; give a --workdir with {allowed}")
    found = {"volumes": volumes, "tables": tables, "pictures": pictures}
    # Closing a script element early is the one thing that text in JSON can do to a page.
    text = json.dumps(found).replace("</", "<\\/")
    footer = "Research software, not for diagnosis. Drag in a plane to move the others."
    page = Template(PAGE.read_text()).safe_substitute(title=_escaped(workdir.name), footer=footer, data=text)
    path = workdir / "report.html"
    write_atomically(path, lambda name: name.write_text(page))
    logging.info("%s: %.1f MB", path, path.stat().st_size / 1e6)
    print(f"the report is {path}")
    return path


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _volume(path: Path, side: int) -> dict[str, Any]:
    """The maps `<name>-<map>.nii.gz` beside an image, thinned to `side` voxels, of one slice to four times as many."""
    name = path.name.removesuffix(f"-{IMAGE}.nii.gz")
    whole = read_image(path)
    most = side if len(whole.values) > 1 else 4 * side  # one slice is little
    steps = [max(1, -(-n // most)) for n in whole.values.shape]
    maps = {IMAGE: _thinned(whole, steps)}
    opened = sorted(file.name.removeprefix(f"{name}-")[:-7] for file in path.parent.glob(f"{name}-open-*.nii.gz"))
    for kind in (*STORED, *opened):
        file = path.with_name(f"{name}-{kind}.nii.gz")
        if file.is_file():
            volume, shape = read_image(file), whole.values.shape
            if volume.values.shape != shape:
                raise FileError(
                    f"{shown(file)} has shape {volume.values.shape}, the image {shape}; use one run a folder"
                )
            maps[kind] = _thinned(volume, steps)
    if "truth" in maps:
        maps["error"] = np.abs(maps[IMAGE] - maps["truth"])
    if {"low", "high"} <= set(maps):
        maps["interval"] = (maps["high"] - maps["low"]) / 2
    header: Any = nibabel.load(path).header
    unit = header["intent_name"].item().decode("latin1")  # as `write_nifti` keeps it
    thickness = 1.0 if whole.geometry is None else float(np.linalg.norm(whole.geometry.affine[:3, 0]))
    real = [s * step for s, step in zip((thickness, *whole.spacing), steps, strict=True)]
    over = (*OVERLAYS, *opened)
    units = {kind: "" if kind in opened else unit for kind in maps}
    packed = [_packed(kind, values, units[kind], "map" if kind in over else IMAGE) for kind, values in maps.items()]
    indices = _indices(path.with_name("volume.csv"), name, len(whole.values))[:: steps[0]]
    return {"name": name, "shape": maps[IMAGE].shape, "spacing": real, "maps": packed, "indices": indices}


def _indices(rows: Path, name: str, count: int) -> list[int]:
    """The slices' own numbers, where the rows beside a volume are of all of them; else from 0 on."""
    found = csv_rows(read_text(rows, TABLE, whole_lines=True), rows, TABLE) if rows.is_file() else []
    own = {int(row["slice"]) for row in found if row.get("volume") == name and row.get("slice", "").isdigit()}
    return sorted(own) if len(own) == count else list(range(count))


def _thinned(volume: Volume, steps: Sequence[int]) -> Float[np.ndarray, "slices H W"]:
    return volume.values[:: steps[0], :: steps[1], :: steps[2]]


def _packed(name: str, values: Float[np.ndarray, "slices H W"], unit: str, kind: str) -> dict[str, Any]:
    """A map as 16-bit integers between its extremes, deflated."""
    low, high = float(values.min()), float(values.max())
    stored = np.round((values - low) / (high - low or 1.0) * LEVELS).astype("<u2")
    text = base64.b64encode(zlib.compress(stored.tobytes(), 6)).decode()
    return {"name": name, "kind": kind, "low": low, "high": high, "unit": unit, "values": text}


def _table(path: Path, workdir: Path) -> dict[str, Any]:
    rows = csv_rows(read_text(path, TABLE, whole_lines=True), path, TABLE)
    columns = list(rows[0]) if rows else []
    return {"name": str(path.relative_to(workdir)), "columns": columns, "rows": [list(row.values()) for row in rows]}


def _summary(path: Path, workdir: Path) -> dict[str, Any]:
    """The table of means that an evaluation or a sweep wrote."""
    lines = [line.split("|")[1:-1] for line in read_text(path, TABLE).splitlines() if line.startswith("|")]
    columns, *rows = [[cell.strip() for cell in line] for line in lines[:1] + lines[2:]] or [[]]
    return {"name": str(path.relative_to(workdir)), "columns": columns, "rows": rows}


def _metrics(path: Path) -> dict[str, Any]:
    rows = read_rows(path, TABLE)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [["" if row.get(name) is None else str(row[name]) for name in columns] for row in rows]
    return {"name": path.name, "columns": columns, "rows": cells}


def _picture(path: Path, workdir: Path) -> dict[str, Any]:
    source = "data:image/png;base64," + base64.b64encode(read_bytes(path, "a picture")).decode()
    return {"name": str(path.relative_to(workdir)), "source": source}
