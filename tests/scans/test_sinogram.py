"""Sinograms as people have them: the scan that is made, what is said about it, and what is refused in one line."""

import numpy as np
import pytest

from scoreinv.operators.geometry import BeamGeometry, projector
from scoreinv.scans import counts
from scoreinv.scans.ct_geometry import GeometrySettings
from scoreinv.scans.ct_readings import SinogramSettings
from scoreinv.scans.sinogram import sinogram_scan
from tests.scans.ellipses import fan, image, parallel

SIDE, DETECTORS, VIEWS = 64, 92, 60
ANGLES = np.pi * np.arange(VIEWS) / VIEWS
NOISE = 0.2 * np.random.default_rng(0).standard_normal((VIEWS, DETECTORS))
Y = parallel(SIDE, ANGLES, DETECTORS) + NOISE
TRUTH = image(SIDE)
GOOD = {"sinogram": Y, "angles": ANGLES, "shape": np.array([SIDE, SIDE])}
PHOTONS = np.random.default_rng(1).poisson(6e4 * np.exp(-0.02 * parallel(SIDE, ANGLES, DETECTORS)))
MONITOR = 6e4 * np.linspace(0.7, 1.3, VIEWS)
GAIN = 6e4 * np.random.default_rng(3).uniform(0.7, 1.3, DETECTORS)
LOST = np.random.default_rng(4).random(Y.shape) < 0.002
TURN = 2 * np.pi * np.arange(VIEWS) / VIEWS
GAMMA = np.arctan(1.4 * (np.arange(160) - 79.5) / 175)
FAN = {
    "sinogram": fan(SIDE, TURN, GAMMA, 100.0),
    "angles": TURN,
    "shape": np.array(SIDE),
    "source_origin": np.array(100.0),
    "source_detector": np.array(175.0),
    "detector_spacing": np.array(1.4),
}


def scan_of(arrays, geometry=None, **settings):
    return sinogram_scan("scan", arrays, SinogramSettings(geometry=GeometrySettings(**(geometry or {})), **settings))


def shown(scan):
    """The one-shot image in the unit of the data."""
    measurement = scan.measurement
    return scan.scale * np.asarray(measurement.operator.inverse(measurement.y)) + scan.offset


def psnr(a, truth=TRUTH):
    return 10 * np.log10(truth.max() ** 2 / np.mean((a - truth) ** 2))


REFERENCE = psnr(shown(scan_of(GOOD)))


# name: (arrays, settings, settings of the geometry, what is said, unit of the image)
RIGHT = {
    "as documented": (GOOD, {}, {}, "noise of", 1.0),
    "degrees": (GOOD | {"angles": 3 * np.arange(VIEWS)}, {}, {}, "taken for degrees", 1.0),
    "angles_deg": ({"sino": Y, "angles_deg": 3.0 * np.arange(VIEWS), "shape": SIDE * np.ones(1)}, {}, {}, "", 1.0),
    "[detectors, views]": (GOOD | {"sinogram": Y.T}, {}, {}, "transposed", 1.0),
    "backwards": (GOOD | {"sinogram": Y[::-1], "angles": ANGLES[::-1]}, {}, {}, "", 1.0),
    "per mm": (GOOD | {"sinogram": 0.019 * Y}, {}, {}, "", 0.019),
    "of microns": (GOOD | {"sinogram": 3e-7 * Y}, {}, {}, "", 3e-7),
    "large numbers": (GOOD | {"sinogram": 350 * Y}, {}, {}, "", 350.0),
    "counts": (GOOD | {"sinogram": PHOTONS}, {"quantity": "counts"}, {}, "open beam", 0.02),
    "counts by name": (
        {"counts": PHOTONS, "angles": ANGLES, "shape": np.array(SIDE), "open_beam": np.array(6e4)},
        {},
        {},
        "",
        0.02,
    ),
    "an open beam for each view": (
        {"counts": PHOTONS * (MONITOR / 6e4)[:, None], "angles": ANGLES, "shape": np.array(SIDE), "open_beam": MONITOR},
        {},
        {},
        "",
        0.02,
    ),
    "an open beam for each column": (
        {"counts": PHOTONS * (GAIN / 6e4), "angles": ANGLES, "shape": np.array(SIDE), "open_beam": GAIN},
        {},
        {},
        "",
        0.02,
    ),
    "one number of flat and dark": (
        {
            "counts": PHOTONS + 90.0,
            "angles": ANGLES,
            "shape": np.array(SIDE),
            "flats": np.array(60090),
            "darks": np.array([[90]]),
        },
        {},
        {},
        "",
        0.02,
    ),
    "single lost readings": (
        {
            "counts": np.where(LOST, np.nan, PHOTONS),
            "angles": ANGLES,
            "shape": np.array(SIDE),
            "open_beam": np.array([6e4]),
        },
        {},
        {},
        f"{LOST.sum()} single readings",
        0.02,
    ),
    "half precision": (GOOD | {"sinogram": Y.astype(np.float16)}, {}, {}, "", 1.0),
    "transmission": (GOOD | {"sinogram": np.exp(-0.02 * Y)}, {"quantity": "transmission"}, {}, "", 0.02),
    "transmission in per cent": (
        GOOD | {"sinogram": 100 * np.exp(-0.02 * Y)},
        {"quantity": "transmission"},
        {},
        "divided by that",
        0.02,
    ),
    "mask of the views": (GOOD | {"mask": np.ones(VIEWS, bool)}, {}, {}, "", 1.0),
    "no shape": ({"sinogram": Y, "angles": ANGLES}, {}, {}, "64 x 64", 1.0),
    "one detector row of several": (
        GOOD | {"sinogram": np.stack([0 * Y, Y, 0 * Y], 1)},
        {"row": 1},
        {},
        "row 1 of",
        1.0,
    ),
    "mirrored columns": (GOOD | {"sinogram": Y[:, ::-1]}, {}, {"reversed": True}, "", 1.0),
    "axis off centre": (
        GOOD | {"sinogram": parallel(SIDE, ANGLES, DETECTORS, axis=48.7) + NOISE},
        {},
        {},
        "column 48.7",
        1.0,
    ),
    "axis given": (GOOD | {"sinogram": parallel(SIDE, ANGLES, DETECTORS, 44.0) + NOISE}, {}, {"axis": 44.0}, "", 1.0),
    "a fan": (FAN, {}, {}, "pixels of the image", 1.0),
    "a fan, columns to the left": (FAN | {"sinogram": FAN["sinogram"][:, ::-1]}, {}, {"reversed": True}, "", 1.0),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_reconstructed(name):
    arrays, settings, geometry, said, unit = RIGHT[name]
    scan = scan_of(arrays, geometry, **settings)
    assert psnr(shown(scan) / unit) > REFERENCE - 1.0
    assert said in " ".join(scan.notes)
    assert all("\n" not in note for note in scan.notes)


# name: (arrays, settings, settings of the geometry, message)
WRONG = {
    "counts as line integrals": (GOOD | {"sinogram": PHOTONS}, {}, {}, "scan.quantity=counts"),
    "degrees said to be radians": (GOOD | {"angles": 3.0 * np.arange(VIEWS)}, {}, {"angle_unit": "radians"}, "centres"),
    "a fan without distances": ({k: FAN[k] for k in ("sinogram", "angles")}, {}, {}, "source_to_axis"),
    "source inside of the object": (FAN | {"source_origin": np.array(25.0)}, {}, {"pixel": 1.0}, "inside of the image"),
    "detector before the axis": (FAN | {"source_detector": np.array(80.0)}, {}, {}, "beyond the axis"),
    "a kilometre": (FAN | {"detector_spacing": np.array(2e4), "source_origin": np.array(1e6),
                           "source_detector": np.array(2e6)}, {}, {}, "in mm"),
    "noise above the data": (GOOD, {"noise_std": 500.0}, {}, "noise_std=500"),
    "axis beside the detector": (GOOD, {}, {"axis": 300.0}, "no view sees the axis"),
    "a mixture of angles": (GOOD | {"angles": np.where(np.arange(VIEWS) < 9, 9, 1) * ANGLES}, {}, {}, "check the angl"),
    "radians and degrees in a fan": (FAN | {"angles": np.where(np.arange(VIEWS) < 25, 1, 180 / np.pi) * TURN}, {}, {},
                                     "same step in radians and in degrees"),
    "flats of another width": ({"counts": PHOTONS, "angles": ANGLES, "flats": np.ones((3, 7))}, {}, {}, "flats of sh"),
    "an open beam of zero": ({"counts": PHOTONS, "angles": ANGLES, "open_beam": 0 * MONITOR}, {}, {}, "not positive"),
    "NaN": (GOOD | {"sinogram": np.where(Y > 30, np.nan, Y)}, {}, {}, "NaN or Inf"),
    "no angles": ({"sinogram": Y}, {}, {}, "without `angles`"),
    "fewer angles": (GOOD | {"angles": ANGLES[:7]}, {}, {}, r"\[views, detectors\]"),
    "shape of three": (GOOD | {"shape": np.array([64, 64, 1])}, {}, {}, "side of the image"),
    "shape of letters": (GOOD | {"shape": np.array("x")}, {}, {}, "side of the image"),
    "shape of one pixel": (GOOD | {"shape": np.array(1)}, {}, {}, "at least 4"),
    "more pixels than the rays tell": (GOOD, {}, {"shape": (4096,)}, "100 pixels for each ray"),
    "pixels of a nanometre": (GOOD, {}, {"pixel": 1e-9}, "within 16 times the columns"),
    "negative counts": (GOOD | {"sinogram": -Y - 1}, {"quantity": "counts"}, {}, "100 % of the counts are negative"),
    "a unit out of range": (GOOD | {"sinogram": 1e60 * Y}, {}, {}, "reaches"),
    "HU without mm": (GOOD, {"water": 0.0193}, {}, "detector_pitch"),
    "two axes": (GOOD | {"axis": np.array([1.0, 2.0])}, {}, {}, "one finite number"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_refused_in_one_line(name):
    arrays, settings, geometry, message = WRONG[name]
    with pytest.raises(ValueError, match=message) as error:
        scan_of(arrays, geometry, **settings)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_checks_can_be_turned_into_warnings():
    arrays = {"sinogram": FAN["sinogram"], "angles": TURN}
    assert "source_to_axis" in " ".join(scan_of(arrays, {"checks": False}).notes)


def test_what_is_not_understood_is_named_and_a_noise_level_that_does_not_fit_is_said():
    scan = scan_of(GOOD | {"magnification": np.array(1.3)}, noise_std=2.0)
    assert "magnification" in scan.notes[0]
    assert "noise_std=2" in " ".join(scan.notes)
    assert "axis=60, while" in " ".join(scan_of(GOOD, {"axis": 60.0}).notes)


def test_the_unit_of_the_data_changes_nothing_but_the_unit():
    one, other = scan_of(GOOD), scan_of(GOOD | {"sinogram": 3e-7 * Y})
    np.testing.assert_allclose(one.measurement.y, other.measurement.y, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(other.scale, 3e-7 * one.scale, rtol=1e-4)
    np.testing.assert_allclose(other.measurement.noise_std, one.measurement.noise_std, rtol=1e-3)


def test_hounsfield_units_of_a_scan_in_mm():
    # Twice as fine columns of half a pixel, in mm; water of 0.0193 per mm.
    pixel, water = 0.8, 0.0193
    y = water * pixel * parallel(SIDE, ANGLES, 2 * DETECTORS, pitch=0.5)
    arrays = {"sinogram": y, "angles": ANGLES, "detector_pitch": np.array(pixel / 2)}
    scan = scan_of(arrays, {"pixel": pixel, "shape": (SIDE,)}, water=water)
    assert (scan.unit, scan.spacing, scan.scale, scan.offset) == ("HU", (pixel, pixel), 2048.0, -1024.0)
    np.testing.assert_allclose(shown(scan)[28:32, 40:44].mean(), 0.0, atol=12)  # of 1000: soft tissue of the ellipses
    np.testing.assert_allclose(shown(scan)[:4].mean(), -1000, atol=12)
    per_mm = scan_of(arrays, {"pixel": pixel, "shape": (SIDE,)})
    assert per_mm.unit == "1/mm"
    np.testing.assert_allclose(shown(per_mm)[28:32, 40:44].mean(), water, rtol=0.02)


@pytest.mark.parametrize(("factor", "warned"), [(1.0, False), (10.0, True), (0.001, True)])
def test_water_in_another_unit_is_said(factor, warned):
    arrays = GOOD | {"sinogram": 0.0193 * Y, "detector_pitch": np.array(1.0)}
    notes = " ".join(scan_of(arrays, water=0.0193 * factor).notes)
    assert ("in another unit" in notes) == warned


def test_an_offset_detector_is_not_taken_for_a_truncated_object():
    gamma = np.arctan(1.4 * (np.arange(130) - 12.0) / 175)
    turn = 2 * np.pi * np.arange(2 * VIEWS) / (2 * VIEWS)
    y = fan(SIDE, turn, gamma, 100.0) + 0.2 * np.random.default_rng(0).standard_normal((2 * VIEWS, 130))
    scan = scan_of(FAN | {"sinogram": y, "angles": turn, "axis": np.array(12.0)}, {"pixel": 1.0})
    assert "larger than" not in " ".join(scan.notes)
    assert psnr(shown(scan)) > REFERENCE - 3


def test_dead_and_stuck_columns_are_left_out():
    broken = Y.copy()
    broken[:, 40], broken[:, 61] = 0.0, 300.0
    scan = scan_of(GOOD | {"sinogram": broken})
    assert "columns 40, 61 are dead or stuck" in " ".join(scan.notes)
    assert psnr(shown(scan)) > 31.9  # 34.1 without the damage


# name: (columns, what they hold instead)
BLOCKS = {
    "dead block": (range(40, 44), 0.0),
    "hot block at the side": (range(20, 23), 250.0),
    "noise": (range(50, 53), 150 * np.random.default_rng(2).standard_normal((VIEWS, 3)) + 80),
    "two blocks": ([30, 31, 58, 59, 60], 0.0),
    "beside one another": ([33, 36], 300.0),
    "hot end": (range(4), 180.0),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_of_dead_and_hot_columns_are_bridged_and_named(name):
    columns, held = BLOCKS[name]
    broken = Y.copy()
    broken[:, columns] = held
    scan = scan_of(GOOD | {"sinogram": broken})
    said = next(note for note in scan.notes if "dead or stuck" in note)
    assert said.split("columns ")[1].split(" are")[0] == ", ".join(map(str, columns))
    roots = np.asarray(scan.measurement.operator.transform.root)
    np.testing.assert_allclose(roots[:, columns], counts.FILLED)
    np.testing.assert_array_equal(np.delete(roots, columns, 1), 1.0)
    assert psnr(shown(scan)) > REFERENCE - 3.5


def test_dead_columns_at_the_end_of_a_truncated_scan_do_not_hide_that_it_is_truncated():
    cut = Y[:, 28:-28].copy()
    cut[:, :2] = 0.0
    notes = " ".join(scan_of({"sinogram": cut, "angles": ANGLES}).notes)
    assert "columns 0, 1 are dead or stuck" in notes and "larger than what the detectors see" in notes


@pytest.mark.parametrize("radius", [4, 12, 31, 44])
def test_no_column_of_a_turned_object_is_taken_for_dead(radius):
    s = np.arange(DETECTORS) - 45.5
    disc = np.sqrt(np.maximum(radius**2 - s**2, 0))
    tube = disc - np.sqrt(np.maximum((0.8 * radius) ** 2 - s**2, 0))
    for chords in (disc, tube):
        for noise in (0.0, 0.02):
            noisy = chords + noise * radius * np.random.default_rng(0).standard_normal((VIEWS, DETECTORS))
            assert not counts.bad_columns(noisy, np.ones(DETECTORS)).any()


def test_flats_darks_and_weights_of_few_photons():
    rng = np.random.default_rng(0)
    gain, photons = rng.uniform(0.5, 1.5, DETECTORS), 2000
    expected = photons * np.exp(-0.08 * parallel(SIDE, ANGLES, DETECTORS))
    arrays = {
        "counts": gain * rng.poisson(expected) + 100,
        "flats": gain * rng.poisson(photons, (20, DETECTORS)) + 100,
        "darks": np.full((5, DETECTORS), 100.0),
        "angles": ANGLES,
        "shape": np.array(SIDE),
    }
    scan = scan_of(arrays)
    roots = np.asarray(scan.measurement.operator.transform.root)
    # Rays that more photons passed weigh more: the root weight is in proportion to the inverse of their noise.
    centre, beside = roots[:, 44:48].mean(), roots[:, :8].mean()
    assert 1.5 < beside / centre <= 25
    assert psnr(shown(scan) / 0.08) > 15
    whitened = np.asarray(scan.measurement.y) - np.asarray(scan.measurement.operator(TRUTH * 0.08 / scan.scale))
    np.testing.assert_allclose(np.std(whitened[:, 30:60]), float(scan.measurement.noise_std), rtol=0.4)


def test_a_centred_disc_is_the_same_in_every_view_and_no_column_of_it_is_dead():
    chords = np.sqrt(np.maximum(30.0**2 - (np.arange(DETECTORS) - 45.5) ** 2, 0))
    scan = scan_of({"sinogram": np.ones((VIEWS, 1)) * chords, "angles": ANGLES})
    assert "dead" not in " ".join(scan.notes)


def test_truncated_projections_are_continued_for_the_filters_and_said():
    cut = Y[:, 28:-28]
    scan = scan_of({"sinogram": cut, "angles": ANGLES})
    assert "larger than what the detectors see" in " ".join(scan.notes)
    roots = np.asarray(scan.measurement.operator.transform.root)
    assert roots.shape == (VIEWS, 36 + 2 * 9)
    np.testing.assert_array_equal(roots[:, 9:-9], 1)
    assert roots[:, :9].max() < 0.1
    side = scan.measurement.operator.transform.shape[0]
    radius = np.hypot(*np.meshgrid(*[np.arange(side) - (side - 1) / 2] * 2))
    truth = TRUTH[(SIDE - side) // 2 : (SIDE + side) // 2, (SIDE - side) // 2 : (SIDE + side) // 2, 0]
    # 0.56 without: the filter makes a bright rim of the step at the detector's end.
    rim = (shown(scan)[..., 0] - truth)[(radius >= 12) & (radius < 18)]
    assert np.sqrt(np.mean(rim**2)) < 0.3


def test_stripes_of_uneven_detectors_are_removed():
    pytest.importorskip("algotom")
    rng = np.random.default_rng(0)
    angles = np.pi * np.arange(180) / 180
    exact = parallel(128, angles, 182)
    stripes = np.where(rng.random(182) < 0.1, rng.normal(0, 2, 182), 0)
    removed = counts.without_rings(exact + stripes)
    assert np.mean((removed - exact) ** 2) < 0.6 * np.mean(stripes**2)


@pytest.mark.parametrize("distance", [0.0, 100.0])
def test_an_image_of_averages_over_pixels_explains_an_object_with_edges_better_than_one_of_squares(distance):
    turn = (2 if distance else 1) * np.pi * np.arange(180) / 180
    beam = BeamGeometry(turn, (SIDE, SIDE), 160 if distance else DETECTORS, 1.0, 1.4 if distance else 1.0, None,
                        distance, 1.75 * distance)  # fmt: skip
    y = fan(SIDE, turn, beam.fan_angles, distance) if distance else parallel(SIDE, turn, DETECTORS)
    squares, averages = (projector(beam, averages=averages) for averages in (False, True))
    missed = [float(np.std(y - np.asarray(t.forward(TRUTH.astype(np.float32))))) for t in (squares, averages)]
    assert missed[1] < 0.9 * missed[0]
    images = [np.asarray(t.inverse(y.astype(np.float32))) for t in (squares, averages)]
    assert psnr(images[1]) > psnr(images[0]) + 1


def test_the_scale_is_nearly_as_bright_as_the_object_over_few_degrees_too():
    """The back-projection over 90 degrees alone has 0.58 of it."""
    angles = np.deg2rad(np.arange(0, 180, 2.0))
    disc = 2 * 0.02 * np.sqrt(np.maximum(15.0**2 - (np.arange(68) - 33.5) ** 2, 0))
    scales = {}
    for views in (len(angles), 45):
        scales[views] = scan_of(
            {"sinogram": np.tile(disc, (views, 1)), "angles": angles[:views], "shape": np.array(48)}
        ).scale
    assert scales[len(angles)] == pytest.approx(0.02, rel=0.15)
    assert scales[45] > 0.75 * scales[len(angles)]
