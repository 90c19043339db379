"""Every sampler names its source."""

import re

import pytest

from scoreinv import build
from scoreinv.citations import WORKS, citation, what_to_cite


def test_every_sampler_has_an_entry():
    assert set(WORKS) == set(build.SAMPLERS)


@pytest.mark.parametrize("method", WORKS)
def test_an_entry_is_bibtex(method):
    entry = citation(method)
    assert re.match(r"@\w+\{\w+,\n", entry) and entry.count("{") == entry.count("}")
    assert all(f"  {field} = " in entry for field in ("title", "author", "year"))


def test_an_unknown_method_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown method 'dsp'; choose one of .*dps"):
        citation("dsp")


def test_what_a_run_prints_names_each_work_once_and_how_to_get_its_entry():
    assert what_to_cite(["song2022", "dpir", "dpir"]) == (
        "to cite: zhang2022plug (dpir), song2022solving (song2022); scoreinv.citation('dpir') prints the entry"
    )
