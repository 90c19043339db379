"""The report: one page that holds everything, and nothing of elsewhere."""

import base64
import json
import re
import zlib

import nibabel
import numpy as np
import pytest

from configs import default
from scoreinv.drivers.report import report


@pytest.fixture
def run(tmp_path):
    values = np.linspace(-100, 400, 6 * 5 * 4).reshape(6, 5, 4).astype(np.float32)
    for name, scale in (("image", 1.0), ("std", 0.1)):
        nibabel.save(nibabel.Nifti1Image(scale * values, np.diag([1, 2, 3, 1.0])), tmp_path / f"scan-4x-{name}.nii.gz")
    (tmp_path / "volume.csv").write_text("volume,slice,psnr\nscan-4x,0,30.1\nscan-4x,1,</script><b>9\n")
    return tmp_path


def held(page):
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)[1])


def test_a_page_holds_maps_and_tables(run):
    page = report(default.get_config(), run).read_text()
    assert not re.search(r'(src|href)="(?!data:)|url\(|https?://', page)
    data = held(page)
    image, std = data["volumes"][0]["maps"]
    assert (image["name"], std["name"], std["kind"]) == ("image", "std", "map")
    stored = np.frombuffer(zlib.decompress(base64.b64decode(image["values"])), "<u2")
    values = image["low"] + (image["high"] - image["low"]) * stored / 65535
    assert data["volumes"][0]["shape"] == [4, 5, 6] and data["volumes"][0]["spacing"] == pytest.approx([3, 2, 1])
    # slices from inferior to superior, rows from anterior, columns from the right
    stored_in_file = np.asarray(nibabel.load(run / "scan-4x-image.nii.gz").dataobj)
    expected = stored_in_file.transpose(2, 1, 0)[:, ::-1, ::-1]
    np.testing.assert_allclose(values.reshape(4, 5, 6), expected, atol=0.01)
    assert data["tables"][0]["rows"][1][2] == "</script><b>9"


def test_large_volumes_are_thinned(run):
    config = default.get_config()
    config.report.side = 3
    data = held(report(config, run).read_text())
    assert data["volumes"][0]["shape"] == [2, 3, 3] and data["volumes"][0]["spacing"] == pytest.approx([6, 4, 2])


def test_nothing_to_report_is_said(tmp_path):
    with pytest.raises(ValueError, match="holds nothing to report; give a --workdir with volumes"):
        report(default.get_config(), tmp_path / "missing")


@pytest.mark.parametrize(
    ("name", "content"),
    [("metrics.json", "[{"), ("metrics.json", '{"a": 1}'), ("evaluate.csv", "a,b\n1,2,3\n"), ("s-image.nii.gz", "no")],
)
def test_a_damaged_result_is_named_in_one_line(run, name, content):
    (run / name).write_text(content)
    with pytest.raises(ValueError, match=name) as error:
        report(default.get_config(), run)
    assert "\n" not in str(error.value) and not (run / "report.html").exists()
