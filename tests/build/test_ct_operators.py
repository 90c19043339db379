"""Views of simulated CT scans: the lines that a configuration asks for, against closed forms and a scanner."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv import build
from scoreinv.build.fields import default_config
from scoreinv.operators.geometry import BeamGeometry, projector
from tests.scans.ellipses import fan, image

SIDE = 32
SHAPE = (SIDE, SIDE, 1)
KEY = jax.random.key(0)


def section(**fields):
    config = default_config().operator
    config.update({"modality": "ct", "mask": "sparse_view", "views": (9,), "field_of_view": 64.0} | fields)
    return config


@pytest.mark.parametrize("beam", ["fan", "curved_fan"])
def test_a_simulated_fan_sees_the_lines_of_the_scanner_it_names(beam):
    ((name, operator),) = build.operators(section(beam=beam, source_to_axis=120.0, detectors=50), SHAPE, KEY)
    # In mm, with the detector anywhere beyond the axis.
    angles, curved = 2 * np.pi * np.arange(9) / 9, beam == "curved_fan"
    scanner = BeamGeometry(angles, (SIDE, SIDE), 50, 2.0, 2.0 * 200 / 120, None, 120.0, 200.0, curved)
    assert name == f"9-views-{beam.replace('_', '-')}"
    truth = jnp.asarray(image(SIDE))
    ours, theirs = (jax.jit(lambda t, x: t.forward(x))(t, truth) for t in (operator.transform, projector(scanner)))
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * float(theirs.max()))
    exact = fan(SIDE, angles, scanner.fan_angles, 60.0)
    assert np.linalg.norm(ours - exact) < 0.05 * np.linalg.norm(exact)


def test_views_of_a_fan_cover_a_turn_or_the_range_they_are_given():
    def angles(**fields):
        return np.rad2deg(build.operators(section(beam="fan", **fields), SHAPE, KEY)[0][1].transform.angles)

    np.testing.assert_allclose(angles(), 40 * np.arange(9), atol=1e-3)
    np.testing.assert_allclose(angles(mask="limited_angle", degrees=270.0), 30 * np.arange(9), atol=1e-3)


def test_views_masked_from_a_full_turn_measure_what_they_measure_alone():
    few, masked = (build.operators(section(beam="fan", full_views=full), SHAPE, KEY)[0][1] for full in (0, 36))
    truth = jnp.asarray(image(SIDE))
    y, whole = few(truth), masked(truth)
    assert whole.shape[0] == 36 and int(masked.mask.sum()) == 9
    np.testing.assert_allclose(whole[np.asarray(masked.mask)[:, 0] > 0], y, atol=1e-4 * float(y.max()))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"beam": "fan", "source_to_axis": 40.0}, "outside of it"),
        ({"beam": "cone"}, "curved_fan"),
        ({"mask": "limited_angle", "degrees": 270.0}, "up to 180"),
        ({"beam": "fan", "detectors": 1}, "two columns"),
        ({"beam": "fan", "source_to_axis": 45.2549}, "columns to see the whole image"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(fields, message):
    with pytest.raises(ValueError, match=message) as error:
        build.operators(section(**fields), SHAPE, KEY)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("beam", "width"), [("parallel", "20 "), ("fan", "19.85"), ("curved_fan", "19.95")])
def test_a_detector_smaller_than_the_image_is_said(beam, width, caplog):
    build.operators(section(beam=beam, source_to_axis=160.0), SHAPE, KEY)
    assert "circle" not in caplog.text
    build.operators(section(beam=beam, source_to_axis=160.0, detectors=20), SHAPE, KEY)
    assert f"see a circle {width}" in caplog.text


def test_metal_is_scanned_by_a_fan_too():
    config = default_config()
    config.data.intensity = "ct_window"
    config.operator.update(section(modality="mar", beam="fan", views=(40,), metal="disc", metal_size=8.0))
    ((_, operator),) = build.operators(config.operator, SHAPE, KEY)
    body = jnp.where(jnp.asarray(image(SIDE)) > 0.5, 0.5, 0.012)
    made = build.scanner(config, operator, SHAPE)(KEY, body)
    mask = np.asarray(made.measurement.operator.mask)
    assert mask.shape == made.measurement.y.shape
    # The trace of a disc at the axis is the same columns in every view.
    middle = mask.shape[1] // 2
    assert mask[:, middle].sum() == 0 and 0.5 < mask.mean() < 0.95
    residual = mask * (made.measurement.y - operator(body))
    assert np.sqrt(np.mean(np.square(residual))) < 0.05 * np.abs(made.measurement.y).max()
