"""Measurement files to scans."""

from collections.abc import Callable
from pathlib import Path

from scoreinv.formats.arrays import Arrays, read_arrays
from scoreinv.scans.kspace import KSpaceSettings, kspace_scan
from scoreinv.scans.scan import Scan
from scoreinv.scans.sinogram import SinogramSettings, sinogram_scan


def _kspace(name: str, arrays: Arrays, config) -> Scan:
    return kspace_scan(name, arrays, KSpaceSettings(config.operator.noise_std))


def _sinogram(name: str, arrays: Arrays, config) -> Scan:
    return sinogram_scan(name, arrays, SinogramSettings(config.operator.noise_std))


# The arrays that a kind of scan cannot do without -> what makes it one.
SCAN_KINDS: dict[frozenset[str], Callable[..., Scan]] = {
    frozenset({"kspace"}): _kspace,
    frozenset({"sinogram", "angles"}): _sinogram,
}


def read_scan(path: Path, config) -> Scan:
    """The scan of a measurement file.

    Args:
        path: the file.
        config: the configuration: operator.noise_std.

    Raises:
        ValueError: a file that cannot be read or holds no measurement.
    """
    arrays = read_arrays(path)
    for names, make in SCAN_KINDS.items():
        if names <= set(arrays):
            return make(path.stem, arrays, config)
    raise ValueError(f"{str(path)!r} holds {', '.join(arrays) or 'nothing'}; give kspace, or sinogram and angles")
