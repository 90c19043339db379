"""The boundary to files: what is too large is refused before it is allocated, every failure is one line."""

import io
import json
import sqlite3
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from scoreinv.formats import guard, records
from scoreinv.formats.arrays import read_arrays
from scoreinv.formats.files import add_arrays
from scoreinv.formats.hdf5 import open_hdf5, read_dataset
from scoreinv.formats.numpy_arrays import open_npz, read_npy

h5py = pytest.importorskip("h5py")
scipy_io = pytest.importorskip("scipy.io")
tifffile = pytest.importorskip("tifffile")


def test_a_message_is_one_short_line_with_beginning_and_end():
    line = str(guard.FileError("start\n\x1b[31m" + 500 * "x" + "\t fix"))
    assert len(line) <= guard.LINE and line.isprintable()
    assert line.startswith("start") and line.endswith("fix")


def test_any_exception_becomes_a_line_about_the_file(tmp_path):
    path = tmp_path / ("deep/" * 40) / "scan.npz"
    for error in (
        RecursionError("deep\nstack"),
        KeyError("x"),
        MemoryError(),
        zlib.error("Error -3"),
        OSError(13, "no"),
    ):
        with pytest.raises(ValueError, match=r"scan\.npz'.*expected a scan") as found, guard.reading(path, "a scan"):
            raise error
        assert len(str(found.value)) <= guard.LINE and "\n" not in str(found.value)


def test_an_interrupt_is_not_taken_for_a_damaged_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), guard.reading(tmp_path, "a scan"):
        raise KeyboardInterrupt


def npy_header(shape, dtype="<f8"):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_2_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def npz_of_zeros(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
        member.write(npy_header((2**30,)) + bytes(2**20))


def npz_of_bz2(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.npy", npy_header((2**20,)) + bytes(2**23))


def npz_with_a_huge_header(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x02\x00\x00\x00\x00\x7f" + bytes(2**25))


def npy_too_large(path):
    path.write_bytes(npy_header((2**40, 2**40)))


def npy_of_objects(path):
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)


def hdf5_never_written(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (2**15, 2**15), "f8", chunks=(64, 64), compression="gzip")


def hdf5_chunk_that_expands(path):
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("a", (512, 512), "u1", chunks=(512, 512), compression="gzip")
        packer = zlib.compressobj(9)
        packed = b"".join(packer.compress(bytes(2**22)) for _ in range(80)) + packer.flush()
        dataset.id.write_direct_chunk((0, 0), packed)


def hdf5_of_another_file(path):
    path.with_suffix(".raw").write_bytes(bytes(64))
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (8,), "f8", external=[(str(path.with_suffix(".raw")), 0, 64)])


def hdf5_link_to_another_file(path):
    with h5py.File(path, "w") as file:
        file["a"] = h5py.ExternalLink("/etc/hostname", "/a")


def hdf5_virtual(path):
    layout = h5py.VirtualLayout((8,), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "a", (8,))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("a", layout)


def matlab_that_expands(path):
    scipy_io.savemat(path, {"a": np.zeros((2**14, 2**12 + 1))}, do_compression=True)


def tiff_that_expands(path):
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), compression="zlib")
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        place, tags = page.dataoffsets[0], page.tags
        counts, offsets = tags["StripByteCounts"].valueoffset, tags["StripOffsets"].valueoffset
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**22)) for _ in range(80)) + packer.flush()
    data = bytearray(path.read_bytes())
    data[offsets : offsets + 4] = len(data).to_bytes(4, "little")
    data[counts : counts + 4] = len(packed).to_bytes(4, "little")
    path.write_bytes(data + packed)
    assert place


def bart_too_large(path):
    path.write_bytes(bytes(64))
    path.with_suffix(".hdr").write_text("# Dimensions\n65536 65536 8 1\n")


BOMBS = [
    (npz_of_zeros, ".npz", r"8 GiB in all; allowed for a file of its size: 0\.25 GiB"),
    (npz_of_bz2, ".npz", "packed by another program"),
    (npz_with_a_huge_header, ".npz", "expands to"),
    (npy_too_large, ".npy", "declares shape"),
    (npy_of_objects, ".npy", "holds Python objects; allowed: arrays of numbers"),
    (hdf5_never_written, ".h5", "8 GiB in all"),
    (hdf5_chunk_that_expands, ".h5", "expands to more than"),
    (hdf5_of_another_file, ".h5", "'a' of .* lies in another file"),
    (hdf5_link_to_another_file, ".h5", "'a' of .* lies in another file"),
    (hdf5_virtual, ".h5", "'a' of .* lies in another file"),
    (matlab_that_expands, ".mat", "expands to more than"),
    (tiff_that_expands, ".tif", "expands to more than"),
    (bart_too_large, ".cfl", "256 GiB in all"),
]


@pytest.mark.parametrize(("write", "suffix", "message"), BOMBS, ids=lambda v: getattr(v, "__name__", ""))
def test_small_files_that_declare_much_are_refused_before_it_is_allocated(tmp_path, write, suffix, message):
    path = tmp_path / f"bomb{suffix}"
    write(path)
    tracemalloc.start()
    try:
        with pytest.raises(guard.FileError, match=message) as error:
            read_arrays(path)
        assert tracemalloc.get_traced_memory()[1] < 3 * guard.FREE_BYTES
    finally:
        tracemalloc.stop()
    assert "bomb" in str(error.value) and len(str(error.value)) <= guard.LINE


KSPACE = (np.arange(24.0).reshape(4, 6) * (1 - 2j)).astype(np.complex64)


def as_npz(path):
    np.savez_compressed(path, kspace=KSPACE, mask=np.ones((1, 6)))


def as_hdf5(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", data=KSPACE, compression="gzip", shuffle=True, fletcher32=True)
        file["mask"], file["header"] = np.ones((1, 6)), b"<header/>"


def as_matlab_5(path):
    scipy_io.savemat(path, {"kspace": KSPACE, "mask": np.ones((1, 6)), "name": "text"}, do_compression=True)


def as_matlab_4(path):
    scipy_io.savemat(path, {"kspace": KSPACE, "mask": np.ones((1, 6))}, format="4")


def as_matlab_73(path):
    pair = np.dtype([("real", "f4"), ("imag", "f4")])
    with h5py.File(path, "w", userblock_size=512) as file:
        file["kspace"] = np.ascontiguousarray(KSPACE.T).view(pair)
        file["mask"] = np.ones((6, 1))
    data = bytearray(path.read_bytes())
    data[:10] = b"MATLAB 7.3"
    path.write_bytes(data)


def as_bart(path):
    np.asfortranarray(KSPACE).T.tofile(path)
    path.with_suffix(".hdr").write_text("# Dimensions\n4 6 1 1 1\n# Command\nphantom\n")


@pytest.mark.parametrize(
    ("write", "suffix"),
    [(as_npz, ".npz"), (as_hdf5, ".h5"), (as_matlab_4, ".mat"), (as_matlab_5, ".mat"), (as_matlab_73, ".mat"),
     (as_bart, ".cfl"), (lambda path: np.save(path, KSPACE), ".npy")],
    ids=lambda v: getattr(v, "__name__", ""),
)  # fmt: skip
def test_every_kind_of_file_gives_its_arrays_by_name(tmp_path, write, suffix):
    path = tmp_path / f"scan{suffix}"
    write(path)
    found = read_arrays(path)
    np.testing.assert_array_equal(found["kspace"], KSPACE)
    if suffix not in (".cfl", ".npy"):
        np.testing.assert_array_equal(found["mask"], np.ones((1, 6)))
        assert set(found) == {"kspace", "mask"}


@pytest.mark.parametrize("compressed", [True, False])
def test_matlab_version_5_as_scipy_reads_it(tmp_path, compressed):
    rng = np.random.default_rng(0)
    arrays = {f"a{kind}": rng.integers(0, 100, (3, 4, 2)).astype(kind) for kind in
              ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?")}  # fmt: skip
    arrays |= {"z": rng.normal(size=(3, 5)) + 1j, "z4": np.ones((1, 2), np.complex64), "one": np.array(7.5)}
    fields = {"image": rng.normal(size=(4, 4)), "name": "text", "deep": {"x": 1.0}}
    others = {"scan": fields, "text": "abc", "cell": np.array([1, "a"], object), "empty": np.zeros((0, 3))}
    scipy_io.savemat(tmp_path / "a.mat", arrays | others, do_compression=compressed)
    found, expected = read_arrays(tmp_path / "a.mat"), scipy_io.loadmat(tmp_path / "a.mat")
    assert set(found) == {*arrays, "scan/image", "scan/deep/x", "empty"}
    for name in arrays:
        np.testing.assert_array_equal(found[name], expected[name])
        assert found[name].dtype == expected[name].dtype
    np.testing.assert_array_equal(found["scan/image"], fields["image"])


def test_bart_puts_coils_before_the_axes_of_the_image(tmp_path):
    array = np.arange(2 * 3 * 5).reshape(1, 2, 3, 5).astype(np.complex64)  # [x, y, z, coils]
    array.reshape(-1, order="F").tofile(tmp_path / "scan.cfl")
    (tmp_path / "scan.hdr").write_text("# Dimensions\n1 2 3 5 1 1\n")
    for name in ("scan.cfl", "scan.hdr"):
        np.testing.assert_array_equal(read_arrays(tmp_path / name)["kspace"], array[0].transpose(2, 0, 1))
    (tmp_path / "scan.hdr").unlink()
    with pytest.raises(ValueError, match=r"scan\.hdr' does not exist"):
        read_arrays(tmp_path / "scan.cfl")


def test_a_part_of_a_large_dataset_is_read(tmp_path):
    hdf5_never_written(tmp_path / "a.h5")
    with open_hdf5(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(read_dataset(file["a"], tmp_path / "a.h5", (3, slice(0, 5))), np.zeros(5))


def test_arrays_that_are_missing_are_named_with_those_that_are_there(tmp_path):
    as_npz(tmp_path / "a.npz")
    with (
        pytest.raises(ValueError, match="has no array 'angles', it holds kspace, mask"),
        open_npz(tmp_path / "a.npz") as f,
    ):
        f["angles"]
    with pytest.raises(ValueError, match=r"no file of measured arrays; allowed: \.npz"):
        (tmp_path / "a.txt").write_text("1 2")
        read_arrays(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="is a folder"):
        read_npy(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00\xff", '{"a": ' * 100_000, "{" + 10 * "\n"])
def test_json_is_an_object_or_one_line(tmp_path, content):
    path = tmp_path / "settings.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"settings\.json") as error:
        records.read_json(path, "settings")
    assert len(str(error.value)) <= guard.LINE and "\n" not in str(error.value)
    path.write_text(json.dumps({"a": 1}))
    assert records.read_json(path, "settings") == {"a": 1}


@pytest.mark.parametrize("content", ["a,b\n1\n", "a,b\n1,2,3\n", 'a,b\n"1,2\n', "c,b\n1,2\n", "\x00a", ""])
def test_csv_has_its_columns_or_one_line(tmp_path, content):
    path = tmp_path / "losses.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"losses\.csv"):
        records.read_csv(path, "losses", ("a", "b"))
    path.write_text("a,b\n1,2\n")
    assert records.read_csv(path, "losses", ("a", "b")) == [{"a": "1", "b": "2"}]


def test_sqlite_is_whole_or_one_line(tmp_path):
    path = tmp_path / "study.db"
    with sqlite3.connect(path) as database:
        database.execute("create table t (x)")
        database.executemany("insert into t values (?)", [(str(i) * 50,) for i in range(500)])
    database.close()
    records.check_sqlite(path, "a study")
    whole = path.read_bytes()
    for damaged in (b"text", whole[:5000], whole[:4096] + bytes(4096) + whole[8192:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"study\.db"):
            records.check_sqlite(path, "a study")


def test_results_are_added_to_whole_files_only(tmp_path):
    path = tmp_path / "results.npz"
    add_arrays(path, {"a/tv": np.zeros(3), "a/mask": np.ones(2)})
    add_arrays(path, {"b/tv": np.ones(3), "a/tv": np.full(3, 2.0)})
    with np.load(path) as found:
        assert {name: found[name].sum() for name in found.files} == {"a/tv": 6.0, "a/mask": 2.0, "b/tv": 3.0}
    whole = path.read_bytes()
    for damaged in (whole[:200], whole[:-400] + bytes(40) + whole[-360:], whole[:60] + bytes(400) + whole[460:]):
        path.write_bytes(damaged)
        with pytest.raises(guard.FileError, match=r"results\.npz.*expected an \.npz file of results"):
            add_arrays(path, {"c": np.ones(1)})
        assert path.read_bytes() == damaged and len(list(tmp_path.iterdir())) == 1


def test_a_list_of_rows_is_that_or_one_line(tmp_path):
    path = tmp_path / "metrics.json"
    for content in ("{}", "[1]", "[", "[{}, 2]", "null"):
        path.write_text(content)
        with pytest.raises(guard.FileError, match=r"metrics\.json"):
            records.read_rows(path, "rows")
    path.write_text('[{"a": 1}]')
    assert records.read_rows(path, "rows") == [{"a": 1}]
