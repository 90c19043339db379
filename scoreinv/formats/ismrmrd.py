"""ISMRMRD raw data (Inati et al. 2017): readouts with counters and an XML header, on the grid of k-space."""

from pathlib import Path
from typing import Any

import numpy as np

from scoreinv.formats.guard import FileError, check_bytes, check_file, reading, shown
from scoreinv.formats.hdf5 import open_hdf5
from scoreinv.formats.placement import placed

ISMRMRD = "an ISMRMRD file"
Arrays = dict[str, np.ndarray]


def is_ismrmrd(path: str | Path) -> bool:
    """Whether an HDF5 file holds a dataset of ISMRMRD's."""
    with open_hdf5(path) as file:
        return _group(file) is not None


def read_ismrmrd(path: str | Path) -> Arrays:
    """The readouts of a file by what they are.

    Cartesian ones lie on the grid, `kspace` [echoes, repetitions, slices, coils, readout, lines], of 3-D encoding
    `kspace_3d` [echoes, repetitions, slabs, coils, readout, lines, partitions], averages as their mean; lines of a
    reference scan fill what imaging left out. Others come as `kspace` [coils, readouts, samples] with `trajectory`
    [readouts, samples, 2] in cycles per pixel. With `noise` [coils, samples] scaled to the readouts' dwell time,
    `matrix` (rows, columns) of the image without oversampling, `spacing` along readout, lines and slices in mm, and
    `affine` [4, 4], from (slice, readout, line) to mm to the patient's right, anterior and superior, where readouts say
    how they lie.

    Args:
        path: the file.

    Raises:
        ValueError: missing, damaged or too large, the package ismrmrd is not installed, or nothing measured.
    """
    path = check_file(path, ISMRMRD)
    try:
        import ismrmrd
    except ImportError as error:
        raise FileError(f"reading {shown(path)} needs ismrmrd; install it: pip install 'scoreinv[raw]'") from error
    with reading(path, ISMRMRD):
        with open_hdf5(path) as file:
            group = _group(file)
        dataset = ismrmrd.Dataset(str(path), group, create_if_needed=False, mode="r")
        try:
            header = ismrmrd.xsd.CreateFromDocument(dataset.read_xml_header())
            readouts = [dataset.read_acquisition(i) for i in range(dataset.number_of_acquisitions())]
        finally:
            dataset.close()
        return _sorted(readouts, header.encoding[0], path)


def _group(file: Any) -> str | None:
    """The name of the group that holds ISMRMRD's header and readouts."""
    return next((name for name, node in file.items() if hasattr(node, "keys") and {"xml", "data"} <= set(node)), None)


def _sorted(readouts: list[Any], encoding: Any, path: Path) -> Arrays:
    import ismrmrd

    noise = [r for r in readouts if r.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)]
    skipped = (
        ismrmrd.ACQ_IS_NOISE_MEASUREMENT,
        ismrmrd.ACQ_IS_NAVIGATION_DATA,
        ismrmrd.ACQ_IS_PHASECORR_DATA,
        ismrmrd.ACQ_IS_DUMMYSCAN_DATA,
    )
    imaging = [r for r in readouts if not any(r.is_flag_set(flag) for flag in skipped)]
    reference = [r for r in imaging if r.is_flag_set(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)]
    imaging = [r for r in imaging if not r.is_flag_set(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)]
    if not imaging:
        raise FileError(f"{shown(path)} holds {len(readouts)} readouts, none of an image; give the scan itself")
    encoded, shown_ = encoding.encodedSpace, encoding.reconSpace
    sides = [getattr(encoded.fieldOfView_mm, axis) / getattr(encoded.matrixSize, axis) for axis in "xyz"]
    arrays: Arrays = {"spacing": np.array(sides)}
    if noise:
        dwell = np.sqrt(noise[0].sample_time_us / imaging[0].sample_time_us)
        arrays["noise"] = np.concatenate([r.data for r in noise], 1) * (dwell if np.isfinite(dwell) and dwell else 1.0)
    if encoding.trajectory.value != "cartesian":
        return arrays | {
            "kspace": np.stack([r.data for r in imaging], 1),
            "trajectory": np.stack([_per_pixel(r.traj[:, :2], encoded.matrixSize) for r in imaging]),
            "matrix": np.array([shown_.matrixSize.x, shown_.matrixSize.y]),
        }
    oversampling = encoded.fieldOfView_mm.x / shown_.fieldOfView_mm.x
    arrays["matrix"] = np.array([round(encoded.matrixSize.x / oversampling), encoded.matrixSize.y])
    grid = _on_grid(imaging, reference, encoding, path)
    if encoded.matrixSize.z > 1:
        return arrays | {"kspace_3d": np.moveaxis(grid, 3, -1)}
    kspace, head = grid[:, :, :, 0], imaging[0]
    directions = np.array([head.slice_dir, head.read_dir, head.phase_dir], float)
    if np.any(np.abs(np.linalg.norm(directions, axis=1) - 1) > 0.01):  # readouts do not say how they lie
        return arrays | {"kspace": kspace}
    heads = (next((r for r in imaging if r.idx.slice == number), head) for number in range(kspace.shape[2]))
    positions = np.array([one.position for one in heads], float)
    order, affine = placed(positions, directions, arrays["spacing"], arrays["matrix"])
    return arrays | {"kspace": kspace[:, :, order], "affine": affine}


def _per_pixel(positions: np.ndarray, matrix: Any) -> np.ndarray:
    """Positions in k-space in cycles per pixel, whether the file has those or 1 / field of view."""
    return positions if np.abs(positions).max() <= 0.5 + 1e-6 else positions / np.array([matrix.x, matrix.y])


def _on_grid(imaging: list[Any], reference: list[Any], encoding: Any, path: Path) -> np.ndarray:
    """[echoes, repetitions, slices, partitions, coils, readout, lines]."""
    size, limits = encoding.encodedSpace.matrixSize, encoding.encodingLimits
    counters = [r.idx for r in imaging]
    shape = tuple(1 + max(getattr(c, name) for c in counters) for name in ("contrast", "repetition", "slice"))
    coils = imaging[0].active_channels
    full = (*shape, size.z, coils, size.x, size.y)
    check_bytes(full, np.complex64, path)
    grid, counts = np.zeros(full, np.complex64), np.zeros((*shape, size.z, size.x, size.y), np.int32)
    for readouts in (imaging, reference):
        before = counts > 0
        for readout in readouts:
            place = _place(readout, size, limits)
            if not before[place].any():
                grid[(*place[:4], slice(None), *place[4:])] += readout.data
                counts[place] += 1
    grid /= np.maximum(counts, 1)[:, :, :, :, None]
    return grid.astype(np.complex64)


def _place(readout: Any, size: Any, limits: Any) -> tuple[Any, ...]:
    """(echo, repetition, slice, partition, samples, line) of a readout."""
    step = readout.idx
    centres = [
        limit.center if limit is not None else n // 2
        for limit, n in ((limits.kspace_encoding_step_1, size.y), (limits.kspace_encoding_step_2, size.z))
    ]
    line = step.kspace_encode_step_1 - centres[0] + size.y // 2
    partition = step.kspace_encode_step_2 - centres[1] + size.z // 2 if size.z > 1 else 0
    first = size.x // 2 - readout.center_sample
    samples = slice(first, first + readout.number_of_samples)
    if not (first >= 0 and samples.stop <= size.x and 0 <= line < size.y and 0 <= partition < size.z):
        raise ValueError(f"a readout of {readout.number_of_samples} samples at line {line} lies outside of the matrix")
    return step.contrast, step.repetition, step.slice, partition, samples, line
