"""Damaged files of every kind: an answer or one line, whatever the damage; the same damage at every run."""

import json
import sqlite3
import warnings

import jax
import jax.numpy as jnp
import nibabel
import numpy as np
import pydicom
import pytest
import scipy.io
import tifffile
from PIL import Image
from pydicom.uid import RLELossless

from configs import default
from scoreinv import build
from scoreinv.build.scans import read_file, read_scan
from scoreinv.datasets.array_records import ArrayRecordSlices
from scoreinv.datasets.packing import read_packed, write_packed
from scoreinv.datasets.slices import Slice
from scoreinv.drivers.prepare import prepare
from scoreinv.formats import guard, prior_file, records
from scoreinv.formats.arrays import read_arrays
from scoreinv.formats.images import read_image
from scoreinv.scans.intensity import IntensityScale
from tests.formats.test_images import write_slice
from tests.formats.test_projections import write_view
from tests.formats.test_raw import complex_normal, readout, written

h5py = pytest.importorskip("h5py")
RNG = np.random.default_rng(0)
VALUES = RNG.integers(0, 900, (12, 10, 3)).astype(np.int16)
KSPACE = (RNG.normal(size=(12, 10)) + 1j).astype(np.complex64)
SLOW = 20  # how many times as many mutations the long run makes


def nifti(path):
    nibabel.save(nibabel.Nifti1Image(VALUES, np.diag([2.0, 2.0, 3.0, 1.0])), path)


def mgh(path):
    nibabel.save(nibabel.MGHImage(VALUES.astype(np.float32), np.eye(4)), path)


def dicom(path):
    write_slice(path, VALUES[..., 0] - 1000)


def dicom_rle(path):
    dicom(path)
    header = pydicom.dcmread(path)
    header.compress(RLELossless)
    header.save_as(path)


def dicom_jpeg(path):
    write_slice(path, np.kron(VALUES[..., 0], np.ones((6, 7), int)) - 1000)
    header = pydicom.dcmread(path)
    header.compress(pydicom.uid.JPEG2000Lossless)
    header.save_as(path)


def dicom_mosaic(path):
    write_slice(path, VALUES[..., 0], ImageType=["ORIGINAL", "PRIMARY", "MOSAIC"], AcquisitionMatrix=[6, 0, 0, 5])


def hdf5(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", data=KSPACE, compression="gzip", chunks=(6, 5))
        file["mask"] = np.ones(10, bool)


def hdf5_image(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("image", data=VALUES.T, compression="gzip", shuffle=True)


def matlab(path, compressed=True):
    scipy.io.savemat(path, {"kspace": KSPACE, "s": {"mask": np.ones(10)}, "name": "x"}, do_compression=compressed)


def bart(path):
    KSPACE.T.tofile(path.with_suffix(".cfl"))
    path.write_text("# Dimensions\n12 10 1 1 1 1\n# Command\nphantom\n")


def ismrmrd_file(path):
    ismrmrd = pytest.importorskip("ismrmrd")
    path.unlink(missing_ok=True)
    written(path, ismrmrd, [readout(ismrmrd, complex_normal(line, 2, 24), line) for line in range(10)])


def fastmri(path):
    with h5py.File(path, "w") as file:
        file["kspace"], file["mask"] = np.stack([KSPACE[None]] * 2), np.ones(10, bool)
        file["reconstruction_rss"], file["ismrmrd_header"] = np.ones((2, 12, 10), np.float32), b"<ismrmrdHeader/>"


def projection(path):
    write_view(path, 3, np.abs(RNG.normal(size=61)))


def sinogram(path):
    angles = np.pi * np.arange(12) / 12
    disc = 2 * np.sqrt(np.maximum(64 - (np.arange(24) - 11.5) ** 2, 0))
    np.savez(path, sinogram=np.tile(disc.astype(np.float32), (12, 1)), angles=angles, shape=np.array([16, 16]))


def scan(path):
    config = default.get_config()
    config.slice_index = 0
    return read_scan(path, config)


def packed(path):
    scale = IntensityScale(1.0, 0.0)
    items = [Slice(np.full((8, 8), 0.5, np.float32), f"s{i}", i, "MR", (1.0, 1.0), scale) for i in range(3)]
    write_packed(path, {"train": items[:2], "test": items[2:]})


def prior(path):
    config = default.get_config()
    config.data.size = 32
    config.model.update({"nf": 4, "ch_mult": (1,), "patch_size": 2, "image_size": 32})
    shape = jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32)
    shapes = jax.eval_shape(build.model(config.model).init, jax.random.key(0), shape, jnp.ones(1))["params"]
    params = jax.tree.map(lambda p: np.zeros(p.shape, np.float32), shapes)
    prior_file.save_prior(path, params, build.prior_metadata(config))


def database(path):
    with sqlite3.connect(path) as file:
        file.execute("create table t (x)")
        file.executemany("insert into t values (?)", [("x" * 40,)] * 60)
    file.close()


def read_slices(path):
    return list(read_packed(path, "train"))


SETTINGS = json.dumps({"a": [1, 2, {"b": None}], "name": "x"})
ROWS = "step,loss\n" + "".join(f"{i},{0.1 * i}\n" for i in range(20))
EXTREMES = (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x01\x00")
# File name, what writes it, what reads it, mutations of the short run.
KINDS = [
    ("a.nii", nifti, read_image, 80),
    ("a.nii.gz", nifti, read_image, 60),
    ("a.img", nifti, read_image, 40),
    ("a.mgz", mgh, read_image, 30),
    ("a.mgh", mgh, read_image, 40),
    ("a.dcm", dicom, read_image, 120),
    ("rle.dcm", dicom_rle, read_image, 60),
    ("jpeg.dcm", dicom_jpeg, read_image, 60),
    ("mosaic.dcm", dicom_mosaic, read_image, 60),
    ("a.png", lambda path: Image.fromarray(VALUES[..., 0].astype(np.uint8)).save(path), read_image, 50),
    ("image.npy", lambda path: np.save(path, VALUES), read_image, 50),
    ("image.npz", lambda path: np.savez_compressed(path, a=VALUES), read_image, 50),
    ("image.h5", hdf5_image, read_image, 80),
    ("a.npz", lambda path: np.savez(path, kspace=KSPACE, mask=np.ones(10)), read_arrays, 60),
    ("a.npy", lambda path: np.save(path, KSPACE), read_arrays, 40),
    ("a.h5", hdf5, read_arrays, 80),
    ("a.mat", matlab, read_arrays, 50),
    ("plain.mat", lambda path: matlab(path, False), read_arrays, 80),
    ("a.hdr", bart, read_arrays, 40),
    ("ismrmrd.h5", ismrmrd_file, lambda path: read_file(path, default.get_config()), 15),
    ("fastmri.h5", fastmri, lambda path: read_file(path, default.get_config()), 40),
    ("projection.dcm", projection, read_arrays, 40),
    ("sinogram.tif", lambda path: tifffile.imwrite(path, np.ones((12, 9), np.float32)), read_arrays, 40),
    ("kspace.npz", lambda path: np.savez(path, kspace=KSPACE, mask=np.ones((1, 10))), scan, 20),
    ("sinogram.npz", sinogram, scan, 20),
    ("packed.npz", packed, read_slices, 60),
    ("a.safetensors", prior, lambda path: build.load_prior(str(path)), 12),
    ("header.safetensors", prior, prior_file.read_prior, 60),
    ("a.json", lambda path: path.write_text(SETTINGS), lambda path: records.read_json(path, "settings"), 40),
    ("a.csv", lambda path: path.write_text(ROWS), lambda path: records.read_csv(path, "rows", ("step", "loss")), 40),
    ("a.db", database, lambda path: records.check_sqlite(path, "a study"), 40),
]


def damaged(rng, whole: bytes) -> bytes:
    """The bytes with some of them changed, lost, doubled or made extreme; most of it where headers are."""
    data = bytearray(whole)
    first = min(len(data), 600 if rng.random() < 0.8 else len(data))
    for _ in range(rng.integers(1, 5)):
        place = int(rng.integers(0, first))
        match int(rng.integers(0, 6)):
            case 0 | 1:
                data[place : place + 1] = rng.bytes(1)
            case 2:
                data[place : place + 4] = rng.choice(
                    [b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"]
                )
            case 3:
                data[place : place + int(rng.integers(1, 64))] = b""
            case 4:
                data[place:place] = data[place : place + int(rng.integers(1, 64))]
            case _:
                data = data[: max(int(rng.integers(0, len(whole))), 1)]
        first = max(1, min(first, len(data)))
    return bytes(data)


def check(tmp_path, name, write, read, count, seed) -> int:
    """The number of damaged files that were refused; fails for anything but an answer or one line."""
    rng = np.random.default_rng([seed, *name.encode()])
    path, refused = tmp_path / name, 0
    write(path)
    whole = path.read_bytes()
    for number in range(count):
        path.write_bytes(damaged(rng, whole))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                read(path)
            except ValueError as error:
                assert isinstance(error, guard.FileError) or read is scan, (number, repr(error))
                line = str(error)
                refused += 1
                assert len(line) <= guard.LINE and line.isprintable() and "pickle" not in line, (number, line)
                assert path.stem in line or read is scan, (number, line)
            except BaseException as error:
                raise AssertionError(f"mutation {number} of {name}: {type(error).__name__}: {error}") from error
    return refused


def test_the_short_run_is_long_enough():
    assert sum(count for *_, count in KINDS) >= 1000


@pytest.mark.parametrize(("name", "write", "read", "count"), KINDS, ids=lambda v: v if isinstance(v, str) else "")
def test_damage_gives_an_answer_or_one_line(tmp_path, name, write, read, count):
    assert check(tmp_path, name, write, read, count, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "write", "read", "count"), KINDS, ids=lambda v: v if isinstance(v, str) else "")
def test_much_damage_gives_an_answer_or_one_line(tmp_path, name, write, read, count):
    assert check(tmp_path, name, write, read, SLOW * count, seed=1)


def test_a_damaged_dataset_gives_an_answer_or_one_line(tmp_path):
    config = default.get_config()
    config.data.update({"source": "phantom", "phantoms": 2, "intensity": "none", "packed_size": 16})
    folder = prepare(config, tmp_path)
    files, rng, refused = sorted(path for path in folder.iterdir() if path.is_file()), np.random.default_rng(0), 0
    for number in range(40):
        path = files[number % len(files)]
        whole = path.read_bytes()
        path.write_bytes(damaged(rng, whole))
        try:
            list(ArrayRecordSlices(folder, "train"))
        except guard.FileError as error:
            refused += 1
            assert len(str(error)) <= guard.LINE and str(error).isprintable()
        path.write_bytes(whole)
    assert refused and list(ArrayRecordSlices(folder, "train"))
