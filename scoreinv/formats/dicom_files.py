"""Single DICOM files: found, opened and decoded within bounds, with what each of their frames says about itself."""

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.pixels import iter_pixels
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from scoreinv.formats.guard import FileError, allowed_bytes, check_bytes, inflate, one_line, reading, reason, shown

SUFFIXES = (".dcm", ".ima", ".dicom")
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_RLE_RATIO = 64
# Where a multi-frame object says of its frames what a single image says of itself: keyword -> (sequence, keyword).
_GROUPS = {
    "ImagePositionPatient": ("PlanePositionSequence", "ImagePositionPatient"),
    "ImageOrientationPatient": ("PlaneOrientationSequence", "ImageOrientationPatient"),
    "PixelSpacing": ("PixelMeasuresSequence", "PixelSpacing"),
    "SliceThickness": ("PixelMeasuresSequence", "SliceThickness"),
    "RescaleSlope": ("PixelValueTransformationSequence", "RescaleSlope"),
    "RescaleIntercept": ("PixelValueTransformationSequence", "RescaleIntercept"),
    "RescaleType": ("PixelValueTransformationSequence", "RescaleType"),
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
}


@dataclass(frozen=True)
class Frame:
    """One image of a file.

    Attributes:
        path: the file.
        number: of the frame in it.
        header: the file's data set without pixels.
    """

    path: Path
    number: int
    header: pydicom.Dataset

    def get(self, keyword: str, default: Any = None) -> Any:
        """An attribute of the frame, from its own functional group, that of all frames, or the file."""
        sequence, name = _GROUPS.get(keyword, ("", ""))
        own = self.header.get("PerFrameFunctionalGroupsSequence") or ()
        groups = [own[self.number]] if sequence and self.number < len(own) else []
        for group in [*groups, *(self.header.get("SharedFunctionalGroupsSequence") or ())]:
            inner = group.get(sequence) if sequence else None
            if inner and inner[0].get(name) is not None:
                return inner[0].get(name)
        value = self.header.get(keyword)
        return default if value is None or value == "" else value

    def vector(self, keyword: str, length: int) -> np.ndarray | None:
        """An attribute of several numbers; None where it is missing or malformed."""
        value = self.get(keyword)
        try:
            numbers = np.asarray(value, float)
        except (TypeError, ValueError):
            return None
        return numbers if numbers.shape == (length,) and np.isfinite(numbers).all() else None


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM files in a folder and below it, sorted; the directory of an exported medium (DICOMDIR) is none."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".") and p.name != "DICOMDIR")
    return sorted(path for path in files if looks_like_dicom(path))


def looks_like_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does, or as a data set of images without preamble."""
    with path.open("rb") as file:
        start = file.read(132)
    if start[128:] == b"DICM":
        return True
    # Group 8 or 2 first, little endian: what a data set without preamble begins with.
    plain = path.suffix.lower() in (*SUFFIXES, "") and len(start) > 8
    return plain and start[:2] in (b"\x08\x00", b"\x02\x00") and start[3] == 0


def read_header(path: Path, only: Sequence[str] = ()) -> pydicom.Dataset:
    """A file's data set without its pixels.

    Args:
        path: the file.
        only: attributes that are wanted; empty: all.

    Raises:
        ValueError: damaged, or not DICOM.
    """
    with reading(path, "a DICOM file"):
        return _load(path, False, [*only] or None)


def image_frames(path: Path, header: pydicom.Dataset) -> list[Frame]:
    """The frames of a file's image.

    Raises:
        ValueError: no image, colour, or larger than the file allows.
    """
    with reading(path, "a DICOM image"):
        count, samples = int(header.get("NumberOfFrames") or 1), header.get("SamplesPerPixel", 1)
        photometric = str(header.get("PhotometricInterpretation", "MONOCHROME2"))
        if "Rows" not in header or "Columns" not in header:
            raise FileError(f"{shown(path)} holds no pixel data; allowed: DICOM images, one gray value for each pixel")
        if samples != 1 or not photometric.startswith("MONOCHROME"):
            raise FileError(
                f"{shown(path)} holds {samples} samples for each pixel ({photometric}), a picture in colour; allowed: "
                "gray values as the scanner made them: choose another series"
            )
        check_bytes((count, header.Rows, header.Columns), np.float32, path)
        return [Frame(path, number, header) for number in range(count)]


def stored_frames(path: Path) -> Iterator[np.ndarray]:
    """The stored values of every frame of a file [Rows, Columns], one at a time.

    Raises:
        ValueError: damaged, or compressed in a way that cannot be decoded.
    """
    with reading(path, "a DICOM image"):
        dataset = _load(path, True)
        if not any(name in dataset for name in _PIXELS):
            raise FileError(f"{shown(path)} holds no pixel data; allowed: DICOM images, one gray value for each pixel")
        syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
        try:
            if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
                _check_codestreams(dataset, path, syntax)
            yield from iter_pixels(dataset)
        except FileError:
            raise
        except Exception as error:
            if "JPEG" in syntax.name and "2000" not in syntax.name and not find_spec("libjpeg"):
                fix = "lossless JPEG and JPEG-LS need pip install 'scoreinv[jpeg]'"
            else:
                fix = (
                    f"({reason(error)}); allowed: uncompressed, RLE, JPEG, JPEG-LS, JPEG 2000: convert or copy it again"
                )
            named = one_line(syntax.name, 60)
            raise FileError(f"cannot decode the pixels of {shown(path)}, transfer syntax {named!r}; {fix}") from error


def _load(path: Path, with_pixels: bool, only: list[str] | None = None) -> pydicom.Dataset:
    with path.open("rb") as file:
        start = file.read(132)
    if start[128:] != b"DICM":
        return _without_preamble(path, with_pixels)
    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        return _inflated(path, meta)
    return _with_syntax(pydicom.dcmread(path, stop_before_pixels=not with_pixels, specific_tags=only))


def _without_preamble(path: Path, with_pixels: bool) -> pydicom.Dataset:
    dataset = pydicom.dcmread(path, stop_before_pixels=not with_pixels, force=True)
    if "Rows" not in dataset and "SOPClassUID" not in dataset:
        raise FileError(f"{shown(path)} is no DICOM file: neither the preamble nor an image; give .dcm files")
    return _with_syntax(dataset)


def _with_syntax(dataset: pydicom.FileDataset) -> pydicom.Dataset:
    """The data set with the transfer syntax that it was found to have, where its file does not say."""
    if not dataset.file_meta.get("TransferSyntaxUID"):
        implicit = dataset.original_encoding[0] is not False
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return dataset


def _inflated(path: Path, meta: FileMetaDataset) -> pydicom.Dataset:
    """A deflated data set, inflated within bounds: pydicom has none."""
    packed = path.read_bytes()[132 + 12 + int(meta.FileMetaInformationGroupLength) :]
    content = inflate(packed, path, allowed_bytes(path), wbits=-15)
    dataset = read_dataset(io.BytesIO(content), is_implicit_VR=False, is_little_endian=True)
    dataset.file_meta = meta
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.set_original_encoding(False, True)
    return dataset


def _check_codestreams(dataset: pydicom.Dataset, path: Path, syntax: UID) -> None:
    """Refuses compressed frames of another size than the header says: decoders allocate what the frames say."""
    size = (int(dataset.Rows), int(dataset.Columns))
    frames = generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
    for frame in frames:
        if syntax == RLELossless:
            check_bytes((_RLE_RATIO * len(frame),), np.uint8, path)
            continue
        found = codestream_size(frame)
        if found not in (None, size):
            raise FileError(f"{shown(path)} holds a frame of {found}, its header says {size}; copy the file again")


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 stream declares; None where it has no such header."""
    place = frame.find(b"\xff\x4f\xff\x51", 0, 4096)  # start of a JPEG 2000 codestream, then its size
    if place >= 0:
        right, bottom, left, top = struct.unpack(">4I", frame[place + 8 : place + 24])
        return bottom - top, right - left
    place = 2
    while frame[:2] == b"\xff\xd8" and place + 9 <= len(frame) and frame[place] == 0xFF:
        marker, length = frame[place + 1], int.from_bytes(frame[place + 2 : place + 4], "big")
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            return struct.unpack(">2H", frame[place + 5 : place + 9])
        place += 2 + length
    return None
