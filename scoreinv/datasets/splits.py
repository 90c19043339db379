"""Which subjects train, validate and test a prior: by subject, never by slice."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Splits:
    """Which subjects train, validate and test.

    Attributes:
        validation_fraction: of subjects.
        test_fraction: of subjects.
        validation_subjects: subjects assigned by name, whatever the fractions say.
        test_subjects: likewise.
    """

    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    validation_subjects: tuple[str, ...] = ()
    test_subjects: tuple[str, ...] = ()

    def of(self, subject: str) -> str:
        """The split of a subject: "train", "validation" or "test"."""
        if subject in self.validation_subjects:
            return "validation"
        if subject in self.test_subjects:
            return "test"
        return split_of(subject, self.validation_fraction, self.test_fraction)


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
