"""DICOM: one file, or the files of one series sorted along their normal, in the unit the file declares."""

import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import apply_rescale

from scoreinv.formats.guard import FileError, check_bytes
from scoreinv.formats.volume import Volume, to_axial

AIR_HU = -1024.0


def read_dicom(files: list[Path], path: Path) -> Volume:
    """Reads the files of one series; several slices become axial ones, a single one stays in the plane it has.

    Args:
        files: DICOM files in any order.
        path: file or folder that error messages name.

    Returns:
        The volume.

    Raises:
        ValueError: no file, several series or sizes, missing or doubled slices, undecodable pixels.
    """
    if not files:
        raise FileError(f"folder {str(path)!r} holds no DICOM file; give a folder with the files of one series")
    headers = [_dicom_header(file) for file in files]
    _check_series(headers, path)
    if len(headers) > 1:
        headers = _by_position(headers, path)
    first = headers[0]
    check_bytes((len(headers), first.Rows, first.Columns), np.float32, path)
    modality = first.get("Modality", "")
    values = np.stack([_pixels(header, path) for header in headers])
    row_spacing, column_spacing = (float(s) for s in first.get("PixelSpacing", (1.0, 1.0)))
    spacing = row_spacing, column_spacing
    if len(headers) > 1:
        # [slices, rows, columns] -> [columns, rows, slices], the axes of the affine below
        values, spacing = to_axial(values.transpose(2, 1, 0), _dicom_affine(headers))
    subject = str(first.get("PatientID", ""))
    if modality == "CT":
        # Scanners pad outside their field of view with values no tissue has (-2000, -3024).
        return Volume(np.maximum(values, AIR_HU), spacing, modality, subject, "HU")
    return Volume(values, spacing, modality if modality == "MR" else "", subject)


def _dicom_header(file: Path) -> pydicom.Dataset:
    try:
        header = pydicom.dcmread(file)
    except pydicom.errors.InvalidDicomError as error:
        raise FileError(f"{str(file)!r} is not a DICOM file; give .dcm files") from error
    frames, samples = int(header.get("NumberOfFrames", 1) or 1), header.get("SamplesPerPixel", 1)
    if "PixelData" not in header or frames != 1 or samples != 1:
        found = f"{frames} frames of {samples} samples" if "PixelData" in header else "no pixel data"
        raise FileError(f"{str(file)!r} holds {found}; allowed: one gray image per file: convert others to NIfTI")
    check_bytes((header.Rows, header.Columns), np.float32, file)
    return header


def _check_series(headers: list[pydicom.Dataset], path: Path) -> None:
    series = {str(header.get("SeriesInstanceUID", "")) for header in headers}
    sizes = {(header.Rows, header.Columns) for header in headers}
    if len(series) > 1 or len(sizes) > 1:
        raise FileError(
            f"{str(path)!r} mixes {len(series)} series and image sizes {sorted(sizes)}; allowed: one series of one "
            "size per folder: move the others out or name one file"
        )


def _normal(header: pydicom.Dataset) -> np.ndarray:
    row, column = np.reshape(np.asarray(header.ImageOrientationPatient, float), (2, 3))
    return np.cross(row, column)


def _by_position(headers: list[pydicom.Dataset], path: Path) -> list[pydicom.Dataset]:
    """Sorts the slices of a series along their normal; refuses gaps and doubles."""
    if any("ImagePositionPatient" not in h or "ImageOrientationPatient" not in h for h in headers):
        raise FileError(f"{str(path)!r} holds slices without position or orientation; name one file instead")
    normal = _normal(headers[0])
    position = np.array([normal @ np.asarray(h.ImagePositionPatient, float) for h in headers])
    order = np.argsort(position)
    gaps = np.diff(position[order])
    typical = np.median(gaps)
    if gaps.min() < 0.5 * typical or gaps.max() > 1.5 * typical or typical < 1e-3:
        raise FileError(
            f"{str(path)!r}: neighbouring slices are {gaps.min():.3g} to {gaps.max():.3g} mm apart; allowed: "
            f"evenly spaced slices (typical here {typical:.3g} mm): add the missing or remove the doubled files"
        )
    return [headers[i] for i in order]


def _dicom_affine(headers: list[pydicom.Dataset]) -> np.ndarray:
    """RAS affine of the array [columns, rows, slices] (DICOM PS3.3, C.7.6.2.1.1; DICOM's own frame is LPS)."""
    first, last = headers[0], headers[-1]
    along_row, along_column = np.reshape(np.asarray(first.ImageOrientationPatient, float), (2, 3))
    row_spacing, column_spacing = (float(s) for s in first.PixelSpacing)
    start, end = (np.asarray(h.ImagePositionPatient, float) for h in (first, last))
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = along_row * column_spacing, along_column * row_spacing
    affine[:3, 2], affine[:3, 3] = (end - start) / (len(headers) - 1), start
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _pixels(header: pydicom.Dataset, path: Path) -> np.ndarray:
    """Stored pixels in the file's output unit (Hounsfield units for CT)."""
    try:
        with warnings.catch_warnings():
            # Old scanners disagree with themselves about the sign of JPEG 2000 pixels; pydicom resolves it and warns.
            warnings.simplefilter("ignore", UserWarning)
            return np.asarray(apply_rescale(header.pixel_array, header), np.float32)
    except Exception as error:
        syntax = header.file_meta.get("TransferSyntaxUID", "")
        name = getattr(syntax, "name", str(syntax))
        message = " ".join(str(error).split())
        raise FileError(
            f"cannot decode the pixels of {str(path)!r}, transfer syntax {name!r} ({message}); allowed: uncompressed "
            "and JPEG 2000: convert the file, or copy it again if it is truncated"
        ) from error
