"""Slices of folders and of packed files: splits by subject, round trip, damage."""

import dataclasses

import numpy as np
import pytest

from configs import default
from scoreinv import build
from scoreinv.datasets.folders import group_files
from scoreinv.datasets.packing import read_packed, write_packed
from scoreinv.datasets.slices import Slice
from scoreinv.datasets.splits import split_of
from scoreinv.datasets.views import Views, random_view, reduced, squared, view
from scoreinv.drivers.prepare import prepare
from scoreinv.scans.intensity import IntensityScale
from tests.formats.test_images import write_slice


def make_slice(subject, index=0, size=8, seed=0):
    image = np.random.default_rng([seed, index]).random((size, size)).astype(np.float32)
    return Slice(image, subject, index, "CT", (0.5, 0.75), IntensityScale(2048.0, -1024.0))


@pytest.fixture
def config(tmp_path):
    """Twelve subjects of two volumes each, in both orders of file name."""
    (tmp_path / "volumes").mkdir()
    rng = np.random.default_rng(0)
    for subject in range(12):
        for visit in "ab":
            np.save(tmp_path / "volumes" / f"{visit}_sub-{subject}.npy", rng.random((3, 20, 24)).astype(np.float32))
    config = default.get_config()
    config.data.folders = (str(tmp_path / "volumes"),)
    config.data.subject_pattern = r"sub-\d+"
    config.data.update({"intensity": "none", "size": 12, "packed_size": 16, "views": 2})
    config.data.update({"validation_fraction": 0.2, "test_fraction": 0.2, "test_subjects": ("sub-3",)})
    return config


def subjects_by_split(data):
    return {
        split: {item.subject for item in build.square_slices(data, split, 12)}
        for split in ("train", "validation", "test")
    }


def test_no_subject_is_in_two_splits(config, tmp_path):
    from_folders = subjects_by_split(config.data)
    everyone = [subject for subjects in from_folders.values() for subject in subjects]
    assert sorted(everyone) == sorted(f"sub-{i}" for i in range(12))
    assert "sub-3" in from_folders["test"]
    for form in ("npz", "array_record"):
        config.data.format = form
        config.data.packed = str(prepare(config, tmp_path / "out"))
        assert subjects_by_split(config.data) == from_folders
        config.data.packed = ""


def test_split_is_a_function_of_the_name_with_the_fractions_asked_for():
    splits = [split_of(f"subject {i}", 0.1, 0.2) for i in range(5000)]
    assert splits.count("validation") / 5000 == pytest.approx(0.1, abs=0.02)
    assert splits.count("test") / 5000 == pytest.approx(0.2, abs=0.02)


def test_packed_slices_come_back(tmp_path):
    items = [make_slice("a"), make_slice("a", 1)]
    write_packed(tmp_path / "a.npz", {"train": items, "test": [make_slice("b", 7)]})
    back = list(read_packed(tmp_path / "a.npz", "train"))
    for one, other in zip(items, back, strict=True):
        np.testing.assert_allclose(other.image, one.image, atol=1e-5)
        assert dataclasses.replace(other, image=one.image) == one
    assert [(s.subject, s.index) for s in read_packed(tmp_path / "a.npz", "test")] == [("b", 7)]
    assert not list(read_packed(tmp_path / "a.npz", "validation"))


def test_a_packed_file_with_a_subject_in_two_splits_is_refused(tmp_path):
    write_packed(tmp_path / "a.npz", {"train": [make_slice("a")], "test": [make_slice("a", 1)]})
    with pytest.raises(ValueError, match="subject 'a' in several splits"):
        list(read_packed(tmp_path / "a.npz", "train"))


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.98])
def test_a_truncated_packed_file_is_refused_in_one_line(tmp_path, kept):
    path = tmp_path / "a.npz"
    write_packed(path, {"train": [make_slice("a", i, 32) for i in range(4)]})
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"a\.npz.* damaged") as error:
        list(read_packed(path, "train"))
    assert "\n" not in str(error.value)


def test_other_files_are_refused_as_packed(tmp_path):
    np.savez(tmp_path / "a.npz", image=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="expected a packed file written by --mode=prepare"):
        list(read_packed(tmp_path / "a.npz", "train"))
    with pytest.raises(ValueError, match="does not exist; expected a packed file written by --mode=prepare"):
        list(read_packed(tmp_path / "b.npz", "train"))


def test_preparation_without_training_subjects_writes_nothing(config, tmp_path):
    config.data.validation_fraction = 1.0
    with pytest.raises(ValueError, match="falls into split 'train'"):
        prepare(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["array_record", "npz"])
def test_preparation_without_a_slice_says_why_and_writes_nothing(config, form, tmp_path):
    config.data.update({"format": form, "foreground_threshold": 1.0})
    with pytest.raises(ValueError, match=r"no slice is left of the \d subjects of split 'train': less than data"):
        prepare(config, tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_pattern_of_subjects_that_is_none_is_refused(config, tmp_path):
    config.data.subject_pattern = "(sub"
    with pytest.raises(ValueError, match=r"data\.subject_pattern='\(sub' is no regular expression: missing \)"):
        prepare(config, tmp_path / "out")


def test_an_empty_folder_is_refused(config, tmp_path):
    (tmp_path / "empty").mkdir()
    config.data.folders = (str(tmp_path / "empty"),)
    with pytest.raises(ValueError, match="no image files in"):
        build.training_views(config.data, 0)


def test_dicom_files_of_a_folder_are_grouped_by_series(config, tmp_path):
    folder = tmp_path / "scan"
    folder.mkdir()
    for name, series, z in (("a", "1.2", 0), ("b", "1.3", 0), ("c", "1.2", 1), ("d", "1.2", 2)):
        values = np.full((8, 8), 400 * z - 300)
        values[0] = -1000
        write_slice(folder / f"{name}.dcm", values, (0, 0, z), series=series)
    config.data.update({"folders": (str(folder),), "intensity": "ct_window", "subject_pattern": ""})
    assert [len(files) for files in group_files(config.data.folders)] == [3, 1]
    read = build.volume_reader(config.data)
    items = [item for volume in build.volumes(config.data) for item in read(volume)]
    assert [(item.index, item.subject) for item in items] == [(0, "P7"), (1, "P7"), (2, "P7"), (0, "P7")]
    (folder / "c.dcm").unlink()
    write_slice(folder / "e.dcm", np.zeros((8, 8)), (0, 0, 3), series="1.2")
    write_slice(folder / "f.dcm", np.zeros((8, 8)), (0, 0, 4), series="1.2")
    with pytest.raises(ValueError, match="evenly spaced"):
        [item for volume in build.volumes(config.data) for item in read(volume)]


def test_a_squared_slice_keeps_its_field_of_view():
    item = make_slice("a", size=32)
    small = squared(item, 16)
    assert small.image.shape == (16, 16) and small.spacing == (1.0, 1.5)
    np.testing.assert_allclose(squared(item, 32).image, item.image, atol=1e-5)


def test_a_slice_is_reduced_to_the_longer_side_and_never_enlarged():
    item = dataclasses.replace(make_slice("a", size=32), image=make_slice("a", size=32).image[:24])
    assert reduced(item, 32) is item and reduced(item, 64) is item
    small = reduced(item, 16)
    assert small.image.shape == (12, 16) and small.spacing == (1.0, 1.5)
    np.testing.assert_array_equal(small.image, view(item.image, 16)[2:14])


@pytest.mark.parametrize("form", ["npz", "array_record"])
def test_prepared_slices_are_unresampled_and_keep_their_shape(config, tmp_path, form):
    config.data.update({"format": form, "packed_size": 32})
    before = build.split_slices(config.data, "train")
    config.data.packed = str(prepare(config, tmp_path / "out"))
    after = build.split_slices(config.data, "train")
    assert len(after) == len(before) and {item.image.shape for item in after} == {(20, 24)}
    order = [sorted(items, key=lambda item: (item.subject, item.index, item.image.sum())) for items in (before, after)]
    for one, other in zip(*order, strict=True):
        np.testing.assert_allclose(other.image, one.image, atol=1e-5)
        assert (other.subject, other.index, other.spacing) == (one.subject, one.index, one.spacing)


def test_a_packed_file_of_an_older_version_holds_squares(tmp_path):
    write_packed(tmp_path / "a.npz", {"train": [make_slice("a")]})
    arrays = dict(np.load(tmp_path / "a.npz"))
    del arrays["shape"]
    np.savez(tmp_path / "old.npz", **arrays)
    (item,) = read_packed(tmp_path / "old.npz", "train")
    np.testing.assert_allclose(item.image, make_slice("a").image, atol=1e-5)


def test_views_stay_in_the_unit_range_and_follow_their_generator():
    image, views = make_slice("a", size=40).image, Views(12, (0.7, 1.1), 12.0)
    one, same, other = (random_view(np.random.default_rng(seed), image, views) for seed in (1, 1, 2))
    assert one.shape == (12, 12) and one.min() >= 0 and one.max() <= 1
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_turned_view_is_the_turned_image():
    image = make_slice("a", size=16).image
    turned = view(image, 16, angle=np.pi / 2)
    np.testing.assert_allclose(turned[1:-1, 1:-1], np.rot90(image, -1)[1:-1, 1:-1], atol=1e-4)
