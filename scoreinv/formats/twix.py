"""Siemens' raw data (twix, .dat), by the package twixtools."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from scoreinv.formats.guard import FileError, check_bytes, check_file, reading, shown
from scoreinv.formats.placement import placed

TWIX = "a Siemens twix file"
Arrays = dict[str, np.ndarray]
# Axes of twixtools' arrays that stay, in the order of this package's; the others hold one entry or are averaged.
AXES = ("Eco", "Rep", "Sli", "Par", "Cha", "Col", "Lin")


def read_twix(path: str | Path) -> Arrays:
    """The last measurement of a file (the ones before it are adjustments) on the grid of k-space.

    Args:
        path: the file.

    Returns:
        `kspace` [echoes, repetitions, slices, coils, readout, lines], of 3-D encoding `kspace_3d` [echoes, repetitions,
        slabs, coils, readout, lines, partitions], averages as their mean, reference lines where imaging left lines out;
        `noise` [coils, samples] of an adjustment with as many coils; `matrix` (rows, columns) without readout
        oversampling; `spacing` along readout, lines and slices or partitions in mm; `affine` [4, 4], from (slice,
        readout, line) to mm to the patient's right, anterior and superior, of 2-D encoding.

    Raises:
        ValueError: missing, damaged or too large, twixtools is not installed, or no image in it.
    """
    path = check_file(path, TWIX)
    try:
        import twixtools
    except ImportError as error:
        raise FileError(f"reading {shown(path)} needs twixtools; install it: pip install 'scoreinv[raw]'") from error
    with reading(path, TWIX):
        check_bytes((path.stat().st_size,), np.uint8, path)
        read = twixtools.read_twix(str(path), verbose=False)
        measurements = twixtools.map_twix(read)
        if "image" not in measurements[-1]:
            raise FileError(f"{shown(path)} holds no image; give the scan itself")
        found = measurements[-1]
        kspace = _on_grid(found["image"], path)
        if "refscan" in found:
            kspace = _filled(kspace, _on_grid(found["refscan"], path))
        oversampling = float(found["hdr"]["Dicom"].get("flReadoutOSFactor") or 1)
        rows, columns = round(kspace.shape[-2] / oversampling), kspace.shape[-1]
        partitions = kspace.shape[3]
        arrays = {"matrix": np.array([rows, columns])} | _spacing(found["hdr"], rows, columns, partitions)
        if partitions == 1:
            arrays |= _in_space(kspace[:, :, :, 0], read[-1]["mdb"], arrays)
        else:
            arrays["kspace_3d"] = np.moveaxis(kspace, 3, -1)
        for noise in (_noise(m, found) for m in measurements if "noise" in m):
            if len(noise) == kspace.shape[4]:
                arrays["noise"] = noise
        return arrays


def _on_grid(mapped: Any, path: Path) -> np.ndarray:
    """[echoes, repetitions, slices, partitions, coils, readout, lines]."""
    mapped.flags["zf_missing_lines"] = True
    mapped.flags["average"].update({"Ave": True, "Seg": True})
    check_bytes(mapped.shape, np.complex64, path)
    dims = list(mapped.dims)
    data = np.asarray(mapped[:])
    others = [axis for axis, name in enumerate(dims) if name not in AXES]
    data = data[tuple(0 if axis in others else slice(None) for axis in range(data.ndim))]
    kept = [name for name in dims if name in AXES]
    return data.transpose([kept.index(name) for name in AXES]).astype(np.complex64)


def _filled(kspace: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Reference lines, which lie about the middle, where imaging left lines out."""
    if any(a > b for a, b in zip(reference.shape, kspace.shape, strict=True)):
        return kspace
    first = (kspace.shape[-1] - reference.shape[-1]) // 2
    place = (*(slice(n) for n in reference.shape[:-1]), slice(first, first + reference.shape[-1]))
    filled = kspace.copy()
    filled[place] = np.where(kspace[place] == 0, reference, kspace[place])
    return filled


def _noise(measurement: Any, imaging: Any) -> np.ndarray:
    """A noise adjustment [coils, samples], scaled from its dwell time to that of the image."""
    mapped = measurement["noise"]
    data = np.moveaxis(np.asarray(mapped[:]), list(mapped.dims).index("Cha"), 0)
    data = data.reshape(len(data), -1)
    dwell = [m["hdr"]["MeasYaps"]["sRXSPEC"]["alDwellTime"][0] for m in (measurement, imaging)]
    return (data[:, np.any(data != 0, 0)] * np.sqrt(dwell[0] / dwell[1])).astype(np.complex64)


def _in_space(kspace: np.ndarray, readouts: list[Any], arrays: Arrays) -> Arrays:
    """`kspace` with its slices in the order in which they lie, and `affine` where readouts say how they lie."""
    first: dict[int, Any] = {}
    for one in readouts:
        if one.is_image_scan():
            first.setdefault(int(one.mdh.Counter.Sli), one.mdh.SliceData)
    if "spacing" not in arrays or set(first) != set(range(kspace.shape[2])):
        return {"kspace": kspace}
    quaternion = np.array(first[0].Quaternion, float)
    if abs(np.linalg.norm(quaternion) - 1) > 0.01:
        return {"kspace": kspace}
    # Scalar first; the columns of its matrix are phase encoding, readout and normal, in DICOM's axes. The image by the
    # inverse Fourier transform counts against the first two, as twixtools has it and an ACR phantom shows.
    phase, read, normal = Rotation.from_quat(np.roll(quaternion, -1)).as_matrix().T
    positions = np.array([[getattr(first[i].SlicePos, axis) for axis in ("Sag", "Cor", "Tra")] for i in sorted(first)])
    directions = np.array([normal, -read, -phase])
    order, affine = placed(positions.astype(float), directions, arrays["spacing"], arrays["matrix"])
    return {"kspace": kspace[:, :, order], "affine": affine}


def _spacing(header: Any, rows: int, columns: int, partitions: int) -> Arrays:
    """Spacing along readout, lines and partitions in mm, where the header says the field of view."""
    try:
        one, encoding = header["MeasYaps"]["sSliceArray"]["asSlice"][0], header["MeasYaps"]["sKSpace"]
        # What is encoded beyond the field of view, as a share of it.
        beyond = [float(encoding.get(f"d{axis}OversamplingForDialog") or 0) for axis in ("Phase", "Slice")]
        lines = one["dPhaseFOV"] * (1 + beyond[0]) / columns
        across = one["dThickness"] * (1 + beyond[1] if partitions > 1 else 1) / partitions
        return {"spacing": np.array([one["dReadoutFOV"] / rows, lines, across])}
    except (KeyError, IndexError):
        return {}
