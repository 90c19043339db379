"""Training slices: a folder of volumes or a packed file becomes one array of augmented images, split by subject."""

import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from scoreinv.data.folders import Slice, folder_slices
from scoreinv.data.packed import read_packed


@dataclass(frozen=True)
class SliceSet:
    """Images of one split.

    Attributes:
        images: [N, H, W, 1] float32 in [0, 1].
        subjects: the subject of each image.
        indices: the slice index of each image in its volume.
    """

    images: np.ndarray
    subjects: tuple[str, ...]
    indices: tuple[int, ...]


def split_of(subject: str, validation: float, test: float) -> str:
    """The split of a subject, a pure function of its name, so that no file order or seed can move a subject.

    Args:
        subject: subject name.
        validation: fraction of subjects for validation.
        test: fraction of subjects for testing.

    Returns:
        "train", "validation" or "test".
    """
    u = int(hashlib.sha256(subject.encode()).hexdigest()[:8], 16) / 2**32
    if u < validation:
        return "validation"
    return "test" if u < validation + test else "train"


def assigned_split(subject: str, data) -> str:
    """The split a configuration names for a subject, else `split_of`.

    Args:
        subject: subject name.
        data: the `data` section of the configuration: validation_subjects, test_subjects and the fractions.

    Returns:
        "train", "validation" or "test".
    """
    if subject in data.validation_subjects:
        return "validation"
    return "test" if subject in data.test_subjects else split_of(subject, data.validation_fraction, data.test_fraction)


def random_view(rng: np.random.Generator, image: np.ndarray, data) -> np.ndarray:
    """One rotated, zoomed, shifted, blurred view of a slice with another contrast, for training.

    Blur and contrast stand for the scanners, sequences and resolutions that the training volumes do not show.

    Args:
        rng: source of the random view.
        image: slice [H, W] in [0, 1].
        data: the `data` section of the configuration: size, zoom, rotation, blur, gamma, recoloured.

    Returns:
        view [size, size], float32 in [0, 1].
    """
    fraction, angle = rng.uniform(*data.zoom), np.deg2rad(rng.uniform(-data.rotation, data.rotation))
    slack = max(0.0, 1 - fraction) / 2 * max(image.shape)
    seen = view(image, data.size, fraction, angle, rng.uniform(-slack, slack, 2))
    if rng.uniform() < data.recoloured:
        # Another sequence: tissues change their order of brightness, air stays black.
        levels = np.concatenate([[0.0], rng.uniform(0.2, 1.0, 4)])
        seen = np.interp(seen, np.linspace(0, 1, 5), levels)
    seen = ndimage.gaussian_filter(seen, rng.uniform(0, data.blur))
    return (seen ** np.exp(rng.uniform(-data.gamma, data.gamma))).astype(np.float32)


def view(image: np.ndarray, size: int, fraction: float = 1.0, angle: float = 0.0, shift=(0.0, 0.0)) -> np.ndarray:
    """A square view of a slice, resampled with an antialiasing Gaussian.

    Args:
        image: slice [H, W] in [0, 1].
        size: output side in pixels.
        fraction: field of view, as a fraction of the slice's longer side.
        angle: rotation, radians.
        shift: of the centre, in pixels of the slice.

    Returns:
        view [size, size], float32 in [0, 1].
    """
    scale = fraction * max(image.shape) / size
    smooth = ndimage.gaussian_filter(image, 0.4 * max(scale - 1, 0)) if scale > 1 else image
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = (np.array(image.shape) - 1) / 2 + shift
    offset = centre - matrix @ np.full(2, (size - 1) / 2)
    seen = ndimage.affine_transform(smooth, matrix, offset, (size, size), order=3, mode="constant", cval=0.0)
    return np.clip(seen, 0, 1).astype(np.float32)


def prepared(item: Slice, size: int) -> Slice:
    """The slice on a square of `size` pixels, its pixel spacing adapted."""
    factor = max(item.image.shape) / size
    row, column = item.spacing
    return dataclasses.replace(item, image=view(item.image, size), spacing=(factor * row, factor * column))


def _slices_of(data, split: str) -> Iterable[Slice]:
    """The slices of one split, from the packed file if there is one, else from the folders."""
    if data.packed:
        return read_packed(Path(data.packed), split)
    return folder_slices(data, lambda subject: assigned_split(subject, data) == split)


def load_slices(data, split: str, seed: int = 0) -> SliceSet:
    """Reads every slice of one split; the training split in augmented views, the others once, as they are.

    Args:
        data: the `data` section of the configuration; `packed` names a file of `--mode=prepare`, else `folders` are
            read.
        split: "train", "validation" or "test".
        seed: seed of the augmentation.

    Returns:
        The images of the split.

    Raises:
        ValueError: no file, or no subject falls into the split.
    """
    rng = np.random.default_rng(seed)
    images, subjects, indices = [], [], []
    for item in _slices_of(data, split):
        for _ in range(data.views if split == "train" else 1):
            images.append(random_view(rng, item.image, data) if split == "train" else view(item.image, data.size))
            subjects.append(item.subject)
            indices.append(item.index)
    if not images:
        source = data.packed or ", ".join(data.folders)
        raise ValueError(f"no subject of {source} falls into split {split!r}; add volumes or name subjects")
    return SliceSet(np.stack(images)[..., None], tuple(subjects), tuple(indices))
