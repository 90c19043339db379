"""Report driver: one self-contained HTML page of what a work directory holds, to be opened without a network."""

import base64
import json
import zlib
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float

from scoreinv.formats.files import write_atomically
from scoreinv.formats.guard import FileError, read_bytes, read_text, shown
from scoreinv.formats.images import read_image
from scoreinv.formats.records import csv_rows, read_rows

PAGE = Path(__file__).with_name("report.html")
TABLE = "a table of results"
TABLES = ("volume.csv", "evaluate.csv", "sweep.csv")
IMAGE, OVERLAYS = "image", ("std", "interval", "error", "trust", "prior-share")
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
    tables = [_table(path, workdir) for name in TABLES for path in sorted(workdir.rglob(name))]
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
    """The maps `<name>-<map>.nii.gz` beside an image, thinned to `side` voxels."""
    name = path.name.removesuffix(f"-{IMAGE}.nii.gz")
    maps, steps, spacing, shape = [], [1, 1, 1], [1.0, 1.0, 1.0], None
    for kind in (IMAGE, "truth", "std", "low", "high", "error", "trust", "prior-share"):
        file = path.with_name(f"{name}-{kind}.nii.gz")
        if not file.is_file():
            continue
        volume = read_image(file)
        if shape is None:
            shape = volume.values.shape
            steps = [max(1, -(-n // side)) for n in shape]
            thickness = 1.0 if volume.geometry is None else float(np.linalg.norm(volume.geometry.affine[:3, 0]))
            spacing = [thickness, *volume.spacing]
        if volume.values.shape != shape:
            raise FileError(f"{shown(file)} has shape {volume.values.shape}, the image {shape}; use one run a folder")
        thinned = volume.values[:: steps[0], :: steps[1], :: steps[2]]
        maps.append(_packed(kind, thinned, volume.unit, "map" if kind in OVERLAYS else IMAGE))
    assert shape is not None
    sides = [len(range(0, n, step)) for n, step in zip(shape, steps, strict=True)]
    real = [s * step for s, step in zip(spacing, steps, strict=True)]
    return {"name": name, "shape": sides, "spacing": real, "maps": maps, "indices": list(range(0, shape[0], steps[0]))}


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


def _metrics(path: Path) -> dict[str, Any]:
    rows = read_rows(path, TABLE)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [["" if row.get(name) is None else str(row[name]) for name in columns] for row in rows]
    return {"name": path.name, "columns": columns, "rows": cells}


def _picture(path: Path, workdir: Path) -> dict[str, Any]:
    source = "data:image/png;base64," + base64.b64encode(read_bytes(path, "a picture")).decode()
    return {"name": str(path.relative_to(workdir)), "source": source}
