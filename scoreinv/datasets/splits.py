"""Which subjects train, validate and test a prior: by subject, never by slice."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from scoreinv.formats.guard import FileError

SPLITS = ("train", "validation", "test")


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


def check_disjoint(path: Path, subjects: Mapping[str, Sequence[str]]) -> None:
    """Refuses prepared data that has a subject in two splits.

    Args:
        path: file or folder that the message names.
        subjects: the subjects of every split, each once.

    Raises:
        ValueError: a subject is in several.
    """
    names = [name for split in subjects.values() for name in split]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileError(
            f"{str(path)!r} has subject {twice[0]!r} in several splits; a subject may be in one: write it again with "
            "--mode=prepare"
        )
