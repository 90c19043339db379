"""The page on data, followed literally: its Python writes a file of each kind, and what its commands name is read."""

import re
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from scoreinv.build.checks import check_values
from scoreinv.build.fields import default_config
from scoreinv.build.scans import read_scan
from scoreinv.build.tasks import load_image

PAGE = (Path(__file__).parents[2] / "docs" / "your-data.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [line for line in PAGE.splitlines() if line.startswith("scoreinv --config=") and "own_metal" not in line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with what the page writes; of kinds whose extra is not installed nothing."""
    folder, names = tmp_path_factory.mktemp("page"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in BLOCKS:
            try:
                exec(compile(block, "your-data.md", "exec"), names)
            except ModuleNotFoundError as error:
                assert error.name == "ismrmrd"
    return folder


def configuration(command: str) -> ConfigDict:
    """The defaults with the fields that a command overrides."""
    config = default_config()
    said = dict(re.findall(r'--config\.([\w.]+)=("[^"]*"|\S+)', command))
    fields = {}
    for name, text in said.items():
        old, text = config, text.strip('"')
        for part in name.split("."):
            old = old[part]
        fields[name] = text if isinstance(old, str) else type(old)(eval(text))
    check_values(fields)
    config.update_from_flattened_dict(fields)
    if "ct_demo" in command:
        config.data.intensity = "ct_window"
    return config


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda text: re.findall(r"[\w-]+\.[a-z0-9.]+(?=['\s]|$)", text)[0])
def test_what_a_command_names_is_read(command, folder, monkeypatch):
    monkeypatch.chdir(folder)
    config = configuration(command)
    name = config.measurement or config.images[0]
    if name == "ismrmrd.h5":
        pytest.importorskip("ismrmrd", reason="the extra `raw` is not installed")
    assert Path(name).exists()
    if not config.measurement:
        assert load_image(name, config).image.std() > 0.1
        return
    scan = read_scan(Path(name), config)
    image = np.asarray(scan.measurement.operator.inverse(scan.measurement.y))
    assert np.isfinite(image).all() and scan.scale > 0
    assert scan.unit == ("HU" if "water" in np.load(name) else scan.unit) if name.endswith(".npz") else True
    # Discs and heads lie where they were drawn: bright in the middle, dark in the corner.
    magnitude = np.linalg.norm(image, axis=-1)
    height, width = magnitude.shape
    assert magnitude[height // 2, width // 2] > 4 * magnitude[:4, :4].mean()
