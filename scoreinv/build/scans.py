"""Measurement files to scans."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

from scoreinv.build import measurements
from scoreinv.formats.arrays import Arrays, read_arrays
from scoreinv.formats.fastmri import is_fastmri, read_fastmri
from scoreinv.formats.ismrmrd import is_ismrmrd, read_ismrmrd
from scoreinv.formats.twix import read_twix
from scoreinv.scans import kspace_layout
from scoreinv.scans.ct_geometry import GeometrySettings
from scoreinv.scans.ct_names import known_names
from scoreinv.scans.ct_readings import STORED, SinogramSettings
from scoreinv.scans.encoding_3d import slices_of_3d
from scoreinv.scans.kspace import KSpaceSettings, gridded, kspace_scan, retrospective_scan, spacing_of
from scoreinv.scans.scan import Scan
from scoreinv.scans.sinogram import sinogram_scan
from scoreinv.scans.trajectories import is_noncartesian, noncartesian_scan
from scoreinv.typing import Image


def _kspace_settings(config) -> KSpaceSettings:
    section = config.scan
    said = {field.name: section[field.name] for field in fields(KSpaceSettings) if field.name in section}
    said["shape"] = tuple(said.get("shape", ()))
    return KSpaceSettings(slice_index=config.slice_index, **said)


def _kspace(name: str, arrays: Arrays, config) -> Scan:
    make = noncartesian_scan if is_noncartesian(arrays) else kspace_scan
    return make(name, arrays, _kspace_settings(config))


def _sinogram(name: str, arrays: Arrays, config) -> Scan:
    section = config.scan
    geometry = GeometrySettings(**{field.name: _plain(section[field.name]) for field in fields(GeometrySettings)})
    said = {name: section[name] for name in ("noise_std", "quantity", "open_beam", "water", "rings", "metal")}
    window = (config.data.window[0], config.data.window[1])
    return sinogram_scan(
        name, arrays, SinogramSettings(**said, window=window, row=config.slice_index, geometry=geometry)
    )


def _plain(value):
    return tuple(value) if isinstance(value, tuple | list) else value


# What makes arrays a kind of scan -> how it is made.
SCAN_KINDS: tuple[tuple[Callable[[Arrays], bool], Callable[..., Scan]], ...] = (
    (lambda arrays: "kspace" in arrays, _kspace),
    (lambda arrays: bool({"sinogram", "counts", "transmission"} & set(known_names(arrays)[0])), _sinogram),
)


def _hdf5_of(kind: Callable[[Path], bool]) -> Callable[[Path], bool]:
    return lambda path: path.suffix.lower() in (".h5", ".hdf5") and kind(path)


# How a file is recognised that is more than arrays with names -> its reader, given (path, configuration).
FILE_KINDS: tuple[tuple[Callable[[Path], bool], Callable[[Path, Any], Arrays]], ...] = (
    (lambda path: path.suffix.lower() == ".dat", lambda path, config: read_twix(path)),
    (_hdf5_of(is_ismrmrd), lambda path, config: read_ismrmrd(path)),
    (_hdf5_of(is_fastmri), lambda path, config: read_fastmri(path, config.slice_index)),
)


def read_file(path: Path, config) -> Arrays:
    """The arrays of a scanner's file, or of any file of named arrays; 3-D encoded k-space as slices.

    Raises:
        ValueError: a file that cannot be read.
    """
    kinds = FILE_KINDS if path.is_file() else ()
    read = next((read for fits, read in kinds if fits(path)), None)
    arrays = read(path, config) if read else kspace_layout.named(read_arrays(path))
    arrays, note = slices_of_3d(arrays)
    if note:
        logging.warning("%s: %s", path.stem, note)
    return arrays


def make_scan(name: str, arrays: Arrays, config) -> Scan:
    """The scan of a measurement's arrays.

    Args:
        name: of the scan.
        arrays: by the names of the kind of scan.
        config: the configuration: its section `scan`, slice_index and data.window.

    Raises:
        ValueError: no measurement, or one that cannot be.
    """
    for fits, make in SCAN_KINDS:
        if fits(arrays):
            return make(name, arrays, config)
    raise ValueError(f"{name!r} holds {', '.join(arrays) or 'nothing'}; give kspace, or sinogram and angles")


def read_scan(path: Path, config) -> Scan:
    """The scan of a measurement file; what was recognised or guessed about it is logged.

    Args:
        path: the file, or a folder of projections.
        config: see `make_scan`.

    Raises:
        ValueError: a file that cannot be read or holds no measurement.
    """
    arrays = read_file(path, config)
    scan = make_scan(path.stem, arrays, config)
    say(scan)
    index = config.slice_index if config.slice_index >= 0 else _slice_count(arrays) // 2
    return scan if scan.geometry is None else replace(scan, geometry=scan.geometry.of_slice(index))


def slices_of(path: Path, config) -> tuple[int, Callable[..., Scan]]:
    """The slices of a file of measured data.

    Args:
        path: the file, or a folder of projections; it is read once, of fastMRI's a slice at a time.
        config: see `make_scan`; its slice_index is not looked at.

    Returns:
        (their number, (index, fields of `config.scan` that differ) -> the slice's scan).

    Raises:
        ValueError: see `read_scan`.
    """
    arrays = read_file(path, config)

    def scan(index: int, **said: Any) -> Scan:
        own = config.copy_and_resolve_references()
        own.slice_index = index
        own.scan.update(said)
        return make_scan(path.stem, read_file(path, own) if "chosen" in arrays else arrays, own)

    return _slice_count(arrays), scan


def _slice_count(arrays: Arrays) -> int:
    """How many slices the arrays of a file hold; 1 where nothing can be chosen."""
    if "chosen" in arrays:
        return int(arrays["chosen"][1])
    if "kspace" in arrays:
        return 1 if is_noncartesian(arrays) else kspace_layout.slice_count(arrays["kspace"])
    readings = known_names(arrays)[0]
    found = next((np.squeeze(readings[name]) for name in STORED if name in readings), np.zeros(1))
    return found.shape[1] if found.ndim == 3 else 1


def retrospective_scans(path: Path, config) -> list[tuple[Scan, Image]]:
    """Scans of a fully sampled file undersampled as `config.operator` says, each with the image of all samples.

    Args:
        path: the file.
        config: the configuration: its sections `scan` and `operator`, slice_index and seed.

    Raises:
        ValueError: a file that cannot be read, holds no k-space or was undersampled already; masks that make no sense.
    """
    arrays = read_file(path, config)
    if "kspace" not in arrays:
        raise ValueError(
            f"scan.retrospective undersamples k-space; {str(path)!r} holds {', '.join(arrays) or 'nothing'}"
        )
    settings = _kspace_settings(config)
    full = gridded(arrays, settings)
    shape = (*full.measured.shape, 2)
    scans = []
    for label, operator in measurements.operators(
        config.operator, shape, jax.random.split(jax.random.key(config.seed))[0]
    ):
        mask = np.broadcast_to(np.asarray(operator.mask) > 0, full.measured.shape)
        scan, image = retrospective_scan(f"{path.stem}-{label}", full, mask, settings, **spacing_of(arrays))
        say(scan)
        scans.append((scan, image))
    return scans


def say(scan: Scan) -> None:
    """Logs what was recognised, guessed or done about a scan."""
    for note in scan.notes:
        logging.warning("%s: %s", scan.name, note)
