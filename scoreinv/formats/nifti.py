"""NIfTI, Analyze and FreeSurfer's MGH by nibabel: read slice by slice within bounds, NIfTI written."""

import gzip
import io
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from jaxtyping import Float

from scoreinv.formats.files import write_atomically
from scoreinv.formats.guard import DAMAGED, Bounded, FileError, allowed_bytes, check_bytes, inflated_bytes, shown
from scoreinv.formats.volume import Geometry, Volume, layout

SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img", ".img.gz", ".mgz", ".mgh")
_KINDS: tuple[Any, ...] = (
    nibabel.Nifti1Pair,
    nibabel.Nifti1Image,
    nibabel.Nifti2Pair,
    nibabel.Nifti2Image,
    nibabel.Spm2AnalyzeImage,
    nibabel.AnalyzeImage,
    nibabel.MGHImage,
)
_HEADER_BYTES = 2**24


def read_nifti(path: Path, key: str = "", plane: str = "") -> Volume:
    """Reads a NIfTI, Analyze or MGH file.

    A file does not tell its modality: its values come as stored, those of padding outside a CT scanner's field of view
    (-2000, -3024) included.

    Args:
        path: the file, or either of a pair of .hdr and .img.
        key: number of the volume to take from a 4-D file, from 0; empty: the first one.
        plane: as in `volume.layout`.

    Returns:
        The volume; magnitudes of complex values.

    Raises:
        ValueError: not such a file, not 2-D to 4-D, colour, no such volume, or too large.
    """
    with ExitStack() as opened:
        image, streams = _load(path, opened)
        return _volume(path, image, streams, key, plane)


def _volume(path: Path, image: Any, streams: list[Bounded], key: str, plane: str) -> Volume:
    """One volume of an image, read plane by plane."""
    shape, count = _shape(image, path)
    index, notes = _chosen(key, count, path)
    if not _is_oriented(image):
        notes.append("the file says no orientation: its axes are taken to run from the patient's right, back and feet")
    if image.dataobj.dtype.kind == "c":
        notes.append("complex values, their magnitude is taken")
    elif image.dataobj.dtype.kind not in "iuf":
        raise FileError(f"{shown(path)} holds {image.dataobj.dtype}, colour perhaps; allowed: one number a voxel")
    check_bytes(shape, np.float32, path)
    affine = np.asarray(image.affine, float)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        affine = np.diag([-1.0, -1.0, 1.0, 1.0])
        notes.append("the header's orientation is damaged: taken as axial slices with pixels of 1 mm")
    found = layout(shape, affine, plane)
    values = np.empty([shape[axis] for axis in found.order], np.float32)
    stored = found.stored(values)
    for stream in streams:
        stream.largest = allowed_bytes(path)
    for k in range(shape[2]):
        # One at a time: nibabel's scaling may need eight bytes for each number.
        numbers = _plane(image, k, index)
        stored[..., k] = np.abs(numbers) if numbers.dtype.kind == "c" else numbers
    if found.plane != "axial":
        notes.append(f"{found.plane} slices, as acquired" if not plane else f"{found.plane} slices")
    return Volume(values, found.spacing, geometry=Geometry(found.affine), notes=tuple(notes))


def _load(path: Path, opened: ExitStack) -> tuple[Any, list[Bounded]]:
    """The image on bounded streams, its data not read yet, and the streams, which `opened` closes."""
    kind = _kind(path, opened)
    holders = kind.filespec_to_file_map(str(path))
    streams: dict[str, Bounded] = {}
    for holder in holders.values():
        if holder is holders.get("mat"):
            holder.fileobj = io.BytesIO()  # SPM's orientation, which scipy would inflate without a bound: not read
            continue
        if not Path(holder.filename).is_file():
            raise FileError(f"{shown(path)} needs {Path(holder.filename).name!r} beside it; copy both files")
        if holder.filename not in streams:
            streams[holder.filename] = _stream(Path(holder.filename), opened)
        holder.fileobj = streams[holder.filename]
    return kind.from_file_map(holders, mmap=False), list(streams.values())


def _kind(path: Path, opened: ExitStack) -> Any:
    """nibabel's class for a file, by its header; whether it is compressed its content says, not its name."""
    header = _beside(path, ".hdr") if path.name.lower().endswith((".img", ".img.gz")) else path
    if not header.is_file():
        raise FileError(f"{shown(path)} needs {header.name!r} beside it; copy both files")
    sniffed = (_stream(header, opened).read(1024), str(header))
    for kind in _KINDS:
        if kind.path_maybe_image(str(path), sniffed)[0]:
            return kind
    advice = "BART's .hdr is a measurement: --config.measurement" if path.suffix == ".hdr" else DAMAGED
    raise FileError(f"{shown(path)} is no NIfTI, Analyze or MGH file; {advice}")


def _beside(path: Path, suffix: str) -> Path:
    packed = ".gz" if path.name.lower().endswith(".gz") else ""
    return path.with_name(path.name[: len(path.name) - len(packed) - 4] + suffix + packed)


def _stream(path: Path, opened: ExitStack) -> Bounded:
    file = opened.enter_context(path.open("rb"))
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream = opened.enter_context(gzip.GzipFile(fileobj=file)) if packed else file
    return Bounded(stream, path, _HEADER_BYTES, max(inflated_bytes(path), path.stat().st_size))


def _is_oriented(image: Any) -> bool:
    """Whether a file says where its axes point: Analyze's header does not, that of NIfTI may not."""
    if isinstance(image, nibabel.Nifti1Pair):
        return bool(image.header["sform_code"] or image.header["qform_code"])
    return not isinstance(image, nibabel.AnalyzeImage)


def _shape(image: Any, path: Path) -> tuple[tuple[int, int, int], int]:
    """The shape [i, j, k] of a volume, and how many volumes there are."""
    shape = tuple(int(side) for side in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (2, 3, 4):
        raise FileError(f"{shown(path)} has shape {shape}; allowed: [x, y], [x, y, z] or [x, y, z, volume]: reshape it")
    return (shape[0], shape[1], shape[2] if len(shape) > 2 else 1), shape[3] if len(shape) > 3 else 1


def _chosen(key: str, count: int, path: Path) -> tuple[int, list[str]]:
    """The number of the volume that a key names, and what is to be said about it."""
    index = int(key) if key.isdecimal() and len(key) < 9 else -1
    if key and not 0 <= index < count:
        allowed = f"numbers of its {count} volumes, 0 to {count - 1}" if count > 1 else "none, it holds one volume"
        raise FileError(f"data.key={key!r} names no volume of {shown(path)}; allowed: {allowed}: change data.key")
    note = f"volume {max(index, 0)} of {count} is taken" + ("" if key else "; data.key chooses another by its number")
    return max(index, 0), [note] if count > 1 else []


def _plane(image: Any, k: int, index: int) -> np.ndarray:
    """The plane [i, j, k] of volume `index` in the file's unit."""
    if len(image.shape) == 2:
        return np.asarray(image.dataobj)
    volumes = [index, *[0] * (len(image.shape) - 4)] if len(image.shape) > 3 else []
    return np.asarray(image.dataobj[(slice(None), slice(None), k, *volumes)])


def write_nifti(path: Path, values: Float[np.ndarray, "slices H W"], geometry: Geometry, method: str) -> None:
    """Writes slices as float32 NIfTI with their place in space.

    Args:
        path: .nii or .nii.gz file to write.
        values: the slices, in the unit that `geometry` names.
        geometry: where they lie.
        method: what made them; into the header's `descrip` (79 bytes).
    """
    order = [2, 1, 0, 3]  # [columns, rows, slices], the order that viewers expect
    header = nibabel.Nifti1Image(np.broadcast_to(np.float32(0), values.shape[::-1]), geometry.affine[:, order]).header
    header.set_data_dtype("<f4")
    header["descrip"] = method.encode("ascii", "replace")[:79]
    header["intent_name"] = geometry.unit.encode()[:15]
    header["vox_offset"] = header.structarr.itemsize + len(_NO_EXTENSION)
    header.set_xyzt_units("mm")
    affine = geometry.affine[:, order]
    header.set_sform(affine, 1)
    header.set_qform(affine, 1)  # without the shear of a tilted gantry, which a quaternion cannot hold
    if not np.allclose(header.get_qform(), affine, atol=1e-3):
        header["qform_code"] = 0
    write_atomically(path, lambda name: _write_planes(name, path.name.endswith(".gz"), header, values))


_NO_EXTENSION = bytes(4)


def _write_planes(path: Path, packed: bool, header: Any, values: Float[np.ndarray, "slices H W"]) -> None:
    """Header and slices, one after the other, so that a volume on disk never is in memory."""
    with path.open("wb") as file:
        stream: Any = gzip.GzipFile(fileobj=file, filename="", mode="wb", compresslevel=6, mtime=0) if packed else file
        stream.write(header.binaryblock + _NO_EXTENSION)
        for plane in values:
            stream.write(np.asarray(plane, "<f4").tobytes())
        if packed:
            stream.close()
