"""A derived DICOM series: our values in the place, study and patient of the images they come from."""

import datetime
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from jaxtyping import Float
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from scoreinv.formats.dicom_files import read_header
from scoreinv.formats.files import write_atomically
from scoreinv.formats.guard import FileError
from scoreinv.formats.volume import Geometry

STORAGE = {"CT": CTImageStorage, "MR": MRImageStorage}
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_LARGEST = 2**15 - 1
_IMAGE_GROUPS = (0x0002, 0x0028, 0x5400, 0x7FE0)  # of the file and of the pixels, not of the patient and the study
_KEPT = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod", "BurnedInAnnotation")
_OF_FRAMES = (
    "NumberOfFrames",
    "PerFrameFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence",
    "DimensionIndexSequence",
    "DimensionOrganizationSequence",
    "IconImageSequence",
    "FrameIncrementPointer",
)


def write_dicom(
    folder: Path, values: Float[np.ndarray, "slices H W"], geometry: Geometry, method: str
) -> tuple[Path, ...]:
    """Writes slices as a derived series, one file each.

    Patient, study and acquisition are those of `geometry.sources`; position, orientation and spacing those of its
    affine. Values are stored as 16-bit integers with RescaleSlope and RescaleIntercept: Hounsfield units that go below
    zero, as images do, in steps of 1 HU from -1024, all else in 32767 steps from the lowest to the highest value.

    Args:
        folder: receives IM0001.dcm, IM0002.dcm, ...
        values: the slices, in the unit that `geometry` names.
        geometry: where they lie and what they come from.
        method: what made them; into SeriesDescription, DerivationDescription and ImageComments.

    Returns:
        The files.

    Raises:
        ValueError: values that are not finite.
    """
    low, high = (float(end([end(plane) for plane in values])) for end in (np.min, np.max))
    if not np.isfinite([low, high]).all():
        raise FileError(f"values for {str(folder)!r} hold NaN or Inf; DICOM holds integers: repair them")
    series, now = generate_uid(), datetime.datetime.now()
    slope, intercept = _rescale(low, high, geometry)
    paths = []
    for index, plane in enumerate(values):
        pixels = np.clip(np.round((plane - intercept) / slope), 0, _LARGEST).astype("<u2")
        dataset = _of_source(_source(geometry, index, len(values)), geometry)
        _describe(dataset, series, index, method, now)
        _place(dataset, geometry.of_slice(index).affine)
        _put_pixels(dataset, pixels, slope, intercept, geometry)
        path = folder / f"IM{index + 1:04d}.dcm"
        write_atomically(path, partial(dataset.save_as, enforce_file_format=True))
        paths.append(path)
    return tuple(paths)


def _rescale(low: float, high: float, geometry: Geometry) -> tuple[float, float]:
    """(slope, intercept): value = slope * stored + intercept. Numbers of at most 16 characters, as DICOM has them.

    Args:
        low: smallest value.
        high: largest value.
        geometry: its unit; a spread in HU is never negative and is no image of densities.
    """
    if geometry.unit == "HU" and low < 0:
        return 1.0, -1024.0
    low = min(low, 0.0)
    return float(f"{(high - low) / _LARGEST or 1.0:.9e}"), float(f"{low:.8e}")


def _source(geometry: Geometry, index: int, count: int) -> pydicom.Dataset:
    """The header of the image that a slice comes from; an empty one where there is none."""
    if not geometry.sources:
        return pydicom.Dataset()
    return read_header(geometry.sources[index if len(geometry.sources) == count else 0])


def _of_source(source: pydicom.Dataset, geometry: Geometry) -> pydicom.Dataset:
    """What a derived image keeps of its source."""
    dataset = pydicom.Dataset()
    for element in source:
        overlay = 0x5000 <= element.tag.group <= 0x50FF or 0x6000 <= element.tag.group <= 0x60FF
        kept = element.tag.group not in _IMAGE_GROUPS or element.keyword in _KEPT
        if kept and not element.tag.is_private and not overlay and element.keyword not in _OF_FRAMES:
            dataset.add(element)
    if "SOPInstanceUID" in source:
        reference = pydicom.Dataset()
        reference.ReferencedSOPClassUID = source.get("SOPClassUID", "")
        reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
        dataset.SourceImageSequence = [reference]
    dataset.Modality = dataset.get("Modality") or geometry.modality or "OT"
    dataset.SOPClassUID = STORAGE.get(dataset.Modality, SecondaryCaptureImageStorage)
    for name in ("StudyInstanceUID", "FrameOfReferenceUID"):
        if not dataset.get(name):
            setattr(dataset, name, generate_uid(entropy_srcs=[name, *map(str, geometry.sources)]))
    for name in ("PatientName", "PatientID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"):
        if name not in dataset:
            setattr(dataset, name, "")
    for name in ("PatientBirthDate", "PatientSex", "ReferringPhysicianName"):
        if name not in dataset:
            setattr(dataset, name, "")
    return dataset


def _describe(dataset: pydicom.Dataset, series: UID, index: int, method: str, now: datetime.datetime) -> None:
    """Says that the image is derived, and by what."""
    text = method.encode("ascii", "replace").decode()
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = generate_uid(), series
    number = dataset.get("SeriesNumber")
    dataset.SeriesNumber = (int(number) if number else 0) + 1000
    dataset.InstanceNumber = index + 1
    kind = [str(part) for part in np.atleast_1d(dataset.get("ImageType", []))][2:]
    dataset.ImageType = ["DERIVED", "SECONDARY", *(part for part in kind if part.upper() != "MOSAIC")]
    dataset.SeriesDescription = f"{dataset.get('SeriesDescription', '')} {text}".strip()[:64]
    dataset.DerivationDescription, dataset.ImageComments = text[:1024], text[:1024]
    dataset.InstanceCreationDate = dataset.ContentDate = now.strftime("%Y%m%d")
    dataset.InstanceCreationTime = dataset.ContentTime = now.strftime("%H%M%S")


def _place(dataset: pydicom.Dataset, affine: np.ndarray) -> None:
    """Position, orientation and spacing (PS3.3, C.7.6.2) of the slice at the origin of a RAS affine."""
    lps = RAS_TO_LPS @ affine
    thickness, row, column = np.linalg.norm(lps[:3, :3], axis=0)
    dataset.ImagePositionPatient = _decimals(lps[:3, 3])
    dataset.ImageOrientationPatient = _decimals([*(lps[:3, 2] / column), *(lps[:3, 1] / row)])
    dataset.PixelSpacing = _decimals([row, column])
    dataset.SpacingBetweenSlices = _decimals([thickness])[0]
    if not dataset.get("SliceThickness"):
        dataset.SliceThickness = dataset.SpacingBetweenSlices


def _decimals(numbers: Sequence[float] | np.ndarray) -> list[str]:
    """Decimal strings of at most 16 characters."""
    return [f"{float(number) + 0.0:.9g}" for number in numbers]


def _put_pixels(
    dataset: pydicom.Dataset, pixels: np.ndarray, slope: float, intercept: float, geometry: Geometry
) -> None:
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = f"{slope:.9g}", f"{intercept:.9g}"
    dataset.RescaleType = geometry.unit or "US"
    low, high = (slope * float(end) + intercept for end in np.percentile(pixels, (1, 99)))
    if geometry.unit == "HU" and intercept == -1024:
        low, high = -160.0, 240.0  # soft tissue
    dataset.WindowCenter, dataset.WindowWidth = _decimals([(low + high) / 2, max(high - low, slope)])
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PixelData = pixels.tobytes()
