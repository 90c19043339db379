"""The paper's datasets from small trees in their owners' layouts to prepared datasets."""

import json
import sys

import nibabel
import numpy as np
import pytest

from configs import default
from scoreinv import build
from scoreinv.datasets import array_records as dataset
from scoreinv.drivers.prepare import prepare
from tests.formats.test_images import write_slice


@pytest.fixture
def config(tmp_path):
    config = default.get_config()
    (tmp_path / "in").mkdir()
    config.data.update({"folders": (str(tmp_path / "in"),), "packed_size": 16, "size": 8, "views": 1})
    config.data.update({"validation_fraction": 0.0, "test_fraction": 0.0})
    return config


def write_series(folder, count, high=100, **attributes):
    folder.mkdir(parents=True)
    for z in range(count):
        values = np.arange(256).reshape(16, 16) * high // 255 + z
        write_slice(folder / f"1-{z:03d}.dcm", values, (0, 0, z), series=str(len(str(folder))), **attributes)


def slices(config):
    read = build.volume_reader(config.data)
    return [item for volume in build.volumes(config.data) for item in read(volume)]


def write_brats(root, subject, rng):
    """Contrasts whose brain, on slices 5 to 99 of 110, has one spike that the clip at six deviations must cut."""
    folder = root / subject
    folder.mkdir(parents=True)
    for contrast in ("flair", "t1", "t1ce", "t2"):
        values = np.zeros((20, 20, 110), np.float32)
        values[4:16, 4:16, 5:100] = rng.uniform(100, 200, (12, 12, 95))
        values[8, 8, 50] = 1e5
        path = folder / f"{subject}_{contrast}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0])), path)


def test_brats_takes_the_papers_slices_and_scale(config, tmp_path):
    rng = np.random.default_rng(0)
    write_brats(tmp_path / "in" / "BraTS2021_Training_Data", "BraTS2021_00000", rng)
    config.data.update({"source": "brats", "intensity": "mean_std"})
    items = slices(config)
    assert {item.subject for item in items} == {"BraTS2021_00000"}
    assert sorted({item.modality for item in items}) == ["MR flair", "MR t1", "MR t1ce", "MR t2"]
    assert [item.index for item in items if item.modality == "MR t2"] == list(range(45, 75))
    stored = nibabel.load(tmp_path / "in/BraTS2021_Training_Data/BraTS2021_00000/BraTS2021_00000_t2.nii.gz")
    values = np.asarray(stored.dataobj, np.float64)
    top = values.mean() + 6 * values.std()
    item = next(item for item in items if item.modality == "MR t2" and item.index == 60)
    np.testing.assert_allclose(item.image, np.clip(values[:, :, 60].T / top, 0, 1), atol=1e-5)
    assert item.scale.scale == pytest.approx(top, rel=1e-4)


def test_lidc_takes_the_middle_slices_of_ct_series_only(config, tmp_path):
    study = tmp_path / "in" / "LIDC-IDRI" / "LIDC-IDRI-0001" / "01-01-2000-NA"
    write_series(study / "3000566.000000-NA", 164)
    write_series(study / "3000923.000000-x-ray", 1, Modality="DX")
    config.data.update({"source": "lidc", "intensity": "min_max"})
    items = slices(config)
    assert [item.index for item in items] == list(range(2, 162))
    assert {item.subject for item in items} == {"LIDC-IDRI-0001"} and items[0].spacing == (0.5, 0.75)
    assert (items[0].scale.scale, items[0].scale.offset) == (263.0, 0.0)  # one scale for all 164 slices


def test_ldct_takes_full_dose_images_alone(config, tmp_path):
    root = tmp_path / "in" / "LDCT-and-Projection-data"
    write_series(root / "C002" / "12-23-2021-NA-NA-1" / "1.000000-Full Dose Images-5", 3)
    write_series(root / "C002" / "12-23-2021-NA-NA-1" / "1.000000-Low Dose Images-5", 3)
    write_series(root / "L004" / "study" / "series", 2, SeriesDescription="Full dose images")
    config.data.update({"source": "ldct", "intensity": "min_max"})
    assert [(item.subject, item.index) for item in slices(config)] == [("C002", i) for i in range(3)] + [
        ("L004", i) for i in range(2)
    ]


def test_a_dataset_records_what_every_slice_is(config, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(3):
        write_brats(tmp_path / "in", f"BraTS2021_{i:05d}", rng)
    config.data.update({"source": "brats", "intensity": "mean_std", "validation_subjects": ("BraTS2021_00001",)})
    path = prepare(config, tmp_path / "out")
    assert path.parent == tmp_path / "out" / "brats" and list(path.glob("brats-train.array_record*"))
    subjects = json.loads((path / "metadata.json").read_text())["subjects"]
    assert subjects == {"train": ["BraTS2021_00000", "BraTS2021_00002"], "validation": ["BraTS2021_00001"]}
    source = dataset.ArrayRecordSlices(path, "validation")
    expected = {(item.modality, item.index): item for item in slices(config) if item.subject == "BraTS2021_00001"}
    assert len(source) == len(expected) == 4 * 30
    item = source[7]
    original = expected[item.modality, item.index]
    assert item.subject == "BraTS2021_00001" and item.scale.scale == pytest.approx(original.scale.scale)
    assert item.image.shape == (16, 16) and item.spacing == (1.25, 1.25)
    assert "tensorflow" not in sys.modules
    config.data.packed = str(path)
    assert {item.image.shape for item in build.square_slices(config.data, "validation", 8)} == {(8, 8)}
    with pytest.raises(ValueError, match="holds no slice of split 'test'; prepare more"):
        build.square_slices(config.data, "test", 8)
    config.data.packed = ""
    with pytest.raises(ValueError, match="holds a dataset already"):
        prepare(config, tmp_path / "out")


def test_a_dataset_with_a_subject_in_two_splits_is_refused(config, tmp_path):
    config.data.update({"source": "phantom", "phantoms": 3, "intensity": "none"})
    path = prepare(config, tmp_path / "out")
    metadata = json.loads((path / "metadata.json").read_text())
    metadata["subjects"]["test"] = metadata["subjects"]["train"][:1]
    (path / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="'phantom-0' in several splits"):
        dataset.ArrayRecordSlices(path, "train")


def test_a_damaged_dataset_is_refused_in_one_line(config, tmp_path):
    config.data.update({"source": "phantom", "phantoms": 3, "intensity": "none"})
    path = prepare(config, tmp_path / "out")
    shard = next(path.glob("*train*"))
    shard.write_bytes(shard.read_bytes()[:100])
    config.data.packed = str(path)
    with pytest.raises(ValueError, match="prepare") as error:
        build.training_views(config.data, 0)
    assert "\n" not in str(error.value)
    (path / "dataset_info.json").write_text("{")
    with pytest.raises(ValueError, match="expected a dataset written by --mode=prepare"):
        build.training_views(config.data, 0)


def test_a_damaged_volume_leaves_no_dataset(config, tmp_path):
    np.save(tmp_path / "in" / "a.npy", np.random.default_rng(0).random((3, 16, 16)))
    nibabel.save(nibabel.Nifti1Image(np.ones((16, 16, 9), np.float32), np.eye(4)), tmp_path / "in" / "b.nii")
    (tmp_path / "in" / "b.nii").write_bytes((tmp_path / "in" / "b.nii").read_bytes()[:999])
    with pytest.raises(ValueError, match=r"b\.nii.*damaged or truncated") as error:
        prepare(config, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "out").rglob("*.json"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "brats"}, "no folder BraTS2021_XXXXX below"),
        ({"source": "lidc"}, "no folder LIDC-IDRI-XXXX below"),
        ({"source": "ldct"}, "no folder C001, L001"),
        ({"source": "mnist"}, "unknown data.source 'mnist'; choose one of brats, folder"),
        ({"source": "folder"}, "no image files in"),
        ({"folders": ()}, "names no folder"),
        ({"folders": ("missing",)}, "'missing' does not exist"),
        ({"format": "zip"}, "unknown data.format 'zip'; choose one of array_record, npz"),
    ],
)
def test_mistakes_get_one_line(config, change, message, tmp_path):
    config.data.update(change)
    with pytest.raises(ValueError, match=message) as error:
        prepare(config, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_an_interrupt_passes_through_the_preparation_and_leaves_no_dataset(config, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("scoreinv.datasets.phantom_subjects.random_ellipses", interrupted)
    config.data.update({"source": "phantom", "phantoms": 2, "packed_size": 16, "intensity": "none"})
    with pytest.raises(KeyboardInterrupt):
        prepare(config, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.json"))
