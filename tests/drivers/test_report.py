"""The report: one page that holds everything, and nothing of elsewhere."""

import base64
import json
import re
import shutil
import subprocess
import zlib

import nibabel
import numpy as np
import pytest

from configs import default
from scoreinv.drivers.report import report


@pytest.fixture
def run(tmp_path):
    values = np.linspace(-100, 400, 6 * 5 * 4).reshape(6, 5, 4).astype(np.float32)
    scales = {"image": 1.0, "std": 0.1, "low": 0.8, "high": 1.3, "truth": 1.1, "contrast": 0.2}
    for name, scale in scales.items():
        image = nibabel.Nifti1Image(scale * values, np.diag([1, 2, 3, 1.0]))
        image.header["intent_name"] = "HU"
        nibabel.save(image, tmp_path / f"scan-4x-{name}.nii.gz")
    (tmp_path / "volume.csv").write_text("volume,slice,psnr\nscan-4x,0,30.1\nscan-4x,1,</script><b>9\n")
    return tmp_path


def held(page):
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)[1])


def unpacked(found):
    stored = np.frombuffer(zlib.decompress(base64.b64decode(found["values"])), "<u2")
    return found["low"] + (found["high"] - found["low"]) * stored / 65535


def test_a_page_holds_maps_and_tables(run):
    page = report(default.get_config(), run).read_text()
    assert not re.search(r'(src|href)="(?!data:)|url\(|https?://', page)
    data = held(page)
    maps = {m["name"]: m for m in data["volumes"][0]["maps"]}
    assert {name for name, m in maps.items() if m["kind"] == "map"} == {"std", "interval", "error", "contrast"}
    assert {m["unit"] for m in maps.values()} == {"HU"}
    values, error, interval = (unpacked(maps[name]) for name in ("image", "error", "interval"))
    np.testing.assert_allclose(error, 0.1 * np.abs(values), atol=0.02)
    np.testing.assert_allclose(interval, 0.25 * values, atol=0.02)
    assert data["volumes"][0]["shape"] == [4, 5, 6] and data["volumes"][0]["spacing"] == pytest.approx([3, 2, 1])
    # slices from inferior to superior, rows from anterior, columns from the right
    stored_in_file = np.asarray(nibabel.load(run / "scan-4x-image.nii.gz").dataobj)
    expected = stored_in_file.transpose(2, 1, 0)[:, ::-1, ::-1]
    np.testing.assert_allclose(values.reshape(4, 5, 6), expected, atol=0.01)
    assert data["tables"][0]["rows"][1][2] == "</script><b>9"


def test_means_come_before_the_rows_they_are_of(run):
    (run / "summary.md").write_text("| method | PSNR, dB |\n|---|---|\n| tv | 29.0 ± 2.9 |\n| scoreinv |  |\n")
    first, second = held(report(default.get_config(), run).read_text())["tables"]
    rows = [["tv", "29.0 ± 2.9"], ["scoreinv", ""]]
    assert first == {"name": "summary.md", "columns": ["method", "PSNR, dB"], "rows": rows}
    assert second["name"] == "volume.csv"


def test_slices_keep_the_numbers_that_the_rows_give_them(run):
    assert held(report(default.get_config(), run).read_text())["volumes"][0]["indices"] == [0, 1, 2, 3]
    rows = "".join(f"scan-4x,{i},30\n" for i in (20, 22, 24, 18))
    (run / "volume.csv").write_text("volume,slice,psnr\n" + rows)
    assert held(report(default.get_config(), run).read_text())["volumes"][0]["indices"] == [18, 20, 22, 24]


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


# What a reader does with the page, and what it shows then; the answers come out as text in the page.
READER = """<script>(async () => {
  while (!document.body.dataset.ready) await new Promise(r => setTimeout(r, 20));
  const all = (s, root = document) => [...root.querySelectorAll(s)];
  const pixels = () => all("canvas").map(c => c.getContext("2d").getImageData(0, 0, c.width, c.height).data.join());
  const set = (input, value) => { input.value = value; (input.oninput || input.onchange).call(input); };
  const [image, overlay] = all("select"), sliders = all("input"), found = {}, before = pixels();
  set(sliders[0], 0); found.slice = pixels()[0] !== before[0] && all("figcaption")[0].textContent.startsWith("slice 0");
  const still = pixels(); set(sliders[3], 10); found.level = pixels()[0] !== still[0];
  for (const option of [...overlay.options].slice(1)) {
    const plain = pixels(); set(overlay, option.value);
    found[option.value] = pixels()[0] !== plain[0]; set(overlay, "");
  }
  all("th button").find(b => b.textContent === "psnr").click();
  found.sorted = all("tbody tr").map(r => r.children[2].textContent);
  found.fits = document.documentElement.scrollWidth <= innerWidth; found.width = innerWidth;
  parent.document.body.textContent = "FOUND " + JSON.stringify(found) + " END";
})();</script>"""
# A window as narrow as a phone: a headless browser's own is at least 500 pixels wide.
WINDOW = """<body><iframe style="border:0;width:%dpx;height:900px"></iframe>
<script>document.querySelector("iframe").srcdoc = %s;</script></body>"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_works_in_a_browser(run, width):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("NO BROWSER HERE: the report's page is not looked at; install chromium")
    page = report(default.get_config(), run)
    text = json.dumps(page.read_text().replace("</body>", READER + "</body>")).replace("</", "<\\/")
    page.write_text(WINDOW % (width, text))
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000"]
    command = [browser, *flags, "--virtual-time-budget=20000", "--dump-dom", page.as_uri()]
    text = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = json.loads(re.search(r"FOUND (.*?) END", text)[1])
    assert found.pop("sorted") == ["30.1", "</script><b>9".replace("<", "&lt;").replace(">", "&gt;")]
    assert found.pop("width") == width
    assert found == dict.fromkeys(("slice", "level", "error", "interval", "std", "contrast", "fits"), True)
