"""Spectra and attenuation: the table against the packages it came from, and against NIST's figures."""

import sys

import numpy as np
import pytest

from scoreinv.simulation import xray


def test_the_table_is_what_its_command_computes():
    pytest.importorskip("spekpy", reason="SKIPPED: install the extra [metal] to check the table")
    pytest.importorskip("xraydb", reason="SKIPPED: install the extra [metal] to check the table")
    computed, table = xray.generate(), xray._table()
    assert list(computed) == list(table)
    for name, column in table.items():
        np.testing.assert_allclose(column, computed[name], rtol=2e-3, atol=1e-9, err_msg=name)


# Mass attenuation with coherent scattering at 60 keV, cm^2/g (Hubbell and Seltzer 1995).
NIST_60_KEV = {"water": 0.2059, "bone": 0.3148, "titanium": 0.7661, "iron": 1.205, "copper": 1.593, "gold": 4.528}


@pytest.mark.parametrize("name", NIST_60_KEV)
def test_attenuation_against_nist(name):
    density = xray.MATERIALS[name][0]
    np.testing.assert_allclose(xray.attenuation(name, np.array([60.0]))[0] / density, NIST_60_KEV[name], rtol=0.02)


def test_gold_absorbs_more_above_its_k_edge():
    below, above = xray.attenuation("gold", np.array([79.5, 81.5]))
    assert above > 3 * below


def test_spectra_end_at_the_tube_voltage_and_harden_with_it():
    means = []
    for kvp in xray.KVP:
        energy, photons = xray.energies(kvp), xray.tube_spectrum(kvp)
        assert energy[-1] < kvp and photons.shape == energy.shape
        np.testing.assert_allclose(photons.sum(), 1.0, rtol=1e-6)
        means.append(energy @ photons)
    assert means == sorted(means) and 55 < means[2] < 65


def test_another_voltage_and_an_element_come_from_the_packages():
    pytest.importorskip("spekpy", reason="SKIPPED: install the extra [metal]")
    pytest.importorskip("xraydb", reason="SKIPPED: install the extra [metal]")
    energy = xray.energies(110)
    assert xray.energies(100) @ xray.tube_spectrum(100) < energy @ xray.tube_spectrum(110)
    np.testing.assert_allclose(xray.attenuation("Ti", energy), xray.attenuation("titanium", energy), rtol=0.02)


def test_without_the_packages_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "spekpy", None)
    monkeypatch.setitem(sys.modules, "xraydb", None)
    assert xray.tube_spectrum(120).size == 110
    for call in (lambda: xray.tube_spectrum(110), lambda: xray.attenuation("W", xray.energies(120))):
        with pytest.raises(ValueError, match=r"pip install 'scoreinv\[metal\]'") as error:
            call()
        assert "\n" not in str(error.value)


def test_unknown_materials_and_voltages_are_refused():
    pytest.importorskip("xraydb", reason="SKIPPED: install the extra [metal]")
    with pytest.raises(ValueError, match="unknown material 'unobtainium'; choose one of bone"):
        xray.attenuation("unobtainium", xray.energies(120))
    with pytest.raises(ValueError, match="tube voltage of 500 kV"):
        xray.tube_spectrum(500)
