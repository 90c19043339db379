"""The examples of docs/ct-geometry.md, run as they stand: data of each package gives its image, not a turned one.

Packages that are not installed here are stood in for by ASTRA, whose rays are given one by one, where their own sources
have them (TIGRE `computeDeltas_Siddon`, tomopy `project.c`, CIL's converter to ASTRA vectors).
"""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from scoreinv.formats.arrays import read_arrays
from scoreinv.scans.ct_geometry import GeometrySettings
from scoreinv.scans.ct_readings import SinogramSettings
from scoreinv.scans.sinogram import sinogram_scan
from tests.scans.ellipses import image

SIDE, COLUMNS, VIEWS = 64, 110, 90
TRUTH = image(SIDE)[..., 0]
TURN, HALF = 2 * np.pi * np.arange(VIEWS) / VIEWS, np.pi * np.arange(VIEWS) / VIEWS
NEAR, FAR, PITCH = 150.0, 260.0, 1.8
PAGE = Path(__file__).parents[2] / "docs" / "ct-geometry.md"
SECTION = PAGE.read_text().split("## From other packages")[1]
EXAMPLES = dict(re.findall(r"^\*\*(.+?)\*\*.*?```python\n(.*?)```", SECTION, re.M | re.S))


def project(kind, geometry):
    """ASTRA's sinogram of the image."""
    astra = pytest.importorskip("astra")
    projector = astra.create_projector(kind, geometry, astra.create_vol_geom(SIDE, SIDE))
    number, sinogram = astra.create_sino(TRUTH, projector)
    astra.data2d.delete(number)
    return sinogram


def vectors(kind, angle, source, middle, along, turn=1.0):
    """A sinogram of rays given one by one, of vectors at angle 0 that turn with the angles, u and v as in the docs."""
    astra = pytest.importorskip("astra")
    rotated = []
    for a in turn * angle:
        rotation = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        rotated.append(np.concatenate([rotation @ np.array(v, float) for v in (source, middle, along)]))
    ray = "line_fanflat" if kind.startswith("fan") else "line"
    return project(ray, astra.create_proj_geom(kind, COLUMNS, np.array(rotated)))


def astra_parallel():
    astra = pytest.importorskip("astra")
    geometry = astra.create_proj_geom("parallel", 1.0, COLUMNS, HALF)
    return {"sinogram": project("line", geometry), "geometry": geometry}


def astra_fan():
    astra = pytest.importorskip("astra")
    geometry = astra.create_proj_geom("fanflat", PITCH, COLUMNS, TURN, NEAR, FAR - NEAR)
    return {"sinogram": project("line_fanflat", geometry), "geometry": geometry}


def scikit_image():
    from skimage.transform import radon

    theta = np.rad2deg(HALF)
    return {"sinogram": radon(TRUTH, theta, circle=False), "theta": theta}


def tigre():
    # Array rows count along y: y is -v, angles turn clockwise in the picture, the source starts on the right.
    shift = 3.0  # of the detector, mm
    middle = (-(FAR - NEAR), -shift)
    sinogram = vectors("fanflat_vec", TURN, (NEAR, 0), middle, (0, -PITCH), turn=-1)
    geo = SimpleNamespace(
        DSO=NEAR,
        DSD=FAR,
        nDetector=np.array([1, COLUMNS]),
        dDetector=np.array([1.0, PITCH]),
        offDetector=np.array([0.0, shift]),
        nVoxel=np.array([1, SIDE, SIDE]),
        dVoxel=np.ones(3),
    )
    return {"projections": sinogram[:, None], "row": 0, "angles": TURN, "geo": geo}


def tomopy():
    # Array axes are (x, y), x downwards; a ray is y cos(theta) - x sin(theta) = column - center.
    center = 51.5
    middle = (((COLUMNS - 1) / 2 - center), 0.0)
    sinogram = vectors("parallel_vec", HALF, (0, -1), middle, (1, 0))
    return {"projections": np.exp(-0.02 * sinogram)[:, None], "row": 0, "theta": HALF, "center": center}


def cil():
    geometry = SimpleNamespace(
        angles=np.rad2deg(TURN), dist_source_center=NEAR, dist_center_detector=FAR - NEAR, pixel_size_h=PITCH
    )
    sinogram = vectors("fanflat_vec", TURN, (0, NEAR), (0, -(FAR - NEAR)), (PITCH, 0))
    return {"data": SimpleNamespace(as_array=lambda: sinogram, geometry=geometry)}


# Heading of the example -> what the package's user holds.
PACKAGES = {
    "ASTRA, parallel": astra_parallel,
    "ASTRA, fanflat": astra_fan,
    "scikit-image": scikit_image,
    "TIGRE": tigre,
    "tomopy": tomopy,
    "CIL": cil,
}


def test_every_example_is_run():
    assert set(PACKAGES) == set(EXAMPLES)


@pytest.mark.parametrize("package", PACKAGES)
def test_an_example_gives_the_image_of_the_package(package, tmp_path, monkeypatch):
    held = PACKAGES[package]()
    monkeypatch.chdir(tmp_path)
    exec(EXAMPLES[package], {"np": np, **held})
    settings = SinogramSettings(noise_std=0.0, geometry=GeometrySettings(pixel=1.0, shape=(SIDE, SIDE)))
    scan = sinogram_scan(package, read_arrays(tmp_path / "scan.npz"), settings)
    # Nothing was corrected: the example says where the axis is and how columns count.
    assert not any(word in " ".join(scan.notes) for word in ("column", "off by"))
    shown = np.asarray(scan.measurement.operator.inverse(scan.measurement.y))[..., 0]

    def agreement(truth):
        return np.corrcoef(shown.ravel(), truth.ravel())[0, 1]

    assert agreement(TRUTH) > 0.97
    assert all(agreement(other) < 0.96 for other in (TRUTH[::-1], TRUTH[:, ::-1], TRUTH.T, np.rot90(TRUTH, 2)))
