"""Every sampler names its source."""

import re

import pytest

from scoreinv import build
from scoreinv.citations import WORKS, citation


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
