"""Every field of `scan` that speaks of sinograms changes the scan that is made of one."""

import jax
import numpy as np
import pytest

from scoreinv.build.ct_fields import CT_FIELDS
from scoreinv.build.fields import default_config
from scoreinv.build.scans import make_scan
from tests.scans.ellipses import fan, parallel

SIDE, COLUMNS, VIEWS = 16, 24, 12
ANGLES = np.pi * np.arange(VIEWS) / VIEWS
Y = 0.02 * parallel(SIDE, ANGLES, COLUMNS)
LINES = {"sinogram": Y, "angles": ANGLES, "shape": np.array(SIDE)}
SHARE = {"sinogram": np.exp(-Y), "angles": ANGLES, "shape": np.array(SIDE)}
TURN = 2 * np.pi * np.arange(VIEWS) / VIEWS
GAMMA = np.arctan(1.4 * (np.arange(COLUMNS) - (COLUMNS - 1) / 2) / 60)
FAN = {"sinogram": fan(SIDE, TURN, GAMMA, 40.0), "angles": TURN, "shape": np.array(SIDE)}
DISTANCES = {"scan.source_to_axis": 40.0, "scan.source_to_detector": 60.0, "scan.detector_pitch": 1.4}

# Field -> (arrays, what else is set, another value).
CHANGES = {
    "scan.quantity": (SHARE, {"scan.quantity": "transmission"}, "counts"),
    "scan.open_beam": (SHARE, {"scan.quantity": "counts"}, 2.0),
    "scan.angle_unit": (LINES | {"angles": np.linspace(0, 6, VIEWS)}, {"scan.checks": False}, "degrees"),
    "scan.angles": (LINES, {"scan.checks": False}, (0.0, 90.0)),
    "scan.start_angle": (LINES, {}, 30.0),
    "scan.source_to_axis": (FAN, DISTANCES, 45.0),
    "scan.source_to_detector": (FAN, DISTANCES, 65.0),
    "scan.detector_pitch": (FAN, DISTANCES, 1.5),
    "scan.curved": (FAN, DISTANCES, True),
    "scan.reversed": (FAN, DISTANCES, True),
    "scan.axis": (LINES, {}, 12.5),
    "scan.pixel": (LINES, {}, 1.2),
    "scan.shape": (LINES, {}, (20, 18)),
    "scan.water": (LINES, {"scan.detector_pitch": 1.0}, 0.0193),
    "scan.rings": (LINES, {}, True),
    "scan.metal": (LINES, {}, 0.024),
    "scan.checks": (LINES | {"angles": 7.0 * ANGLES**2}, {"scan.angle_unit": "radians"}, False),
}


def outcome(arrays, settings):
    """The scan as bytes and text, or why there is none."""
    config = default_config()
    config.update_from_flattened_dict(settings)
    try:
        scan = make_scan("scan", arrays, config)
    except ValueError as error:
        return str(error)
    leaves = tuple(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(scan.measurement))
    return leaves, scan.scale, scan.offset, scan.unit, scan.spacing


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_a_field_changes_the_scan(name):
    arrays, settings, value = CHANGES[name]
    if name == "scan.rings":
        pytest.importorskip("algotom")
    assert outcome(arrays, settings) == outcome(arrays, dict(settings))
    assert outcome(arrays, settings) != outcome(arrays, settings | {name: value})


def test_every_field_of_sinograms_stands_in_the_table():
    assert set(CHANGES) == {field.name for field in CT_FIELDS}
