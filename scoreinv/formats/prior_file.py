"""Prior files: parameters and their description in one safetensors file, nothing executable."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.traverse_util
import numpy as np
import safetensors
import safetensors.numpy

from scoreinv.formats.files import write_atomically
from scoreinv.formats.guard import check_file, check_total, reading
from scoreinv.formats.records import json_object

PRIOR = "a prior written by --mode=train, or the name of a bundled one"


def save_prior(path: Path, params: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Writes a prior: float16 parameters and a JSON description in one safetensors file, nothing executable.

    Args:
        path: file name ending in .safetensors.
        params: the network's parameters, a nested dict.
        metadata: what `build.prior_from` needs to rebuild the network and its SDE.
    """
    flat = flax.traverse_util.flatten_dict(params, sep="/")
    arrays = {name: np.asarray(value, np.float16) for name, value in flat.items()}
    text = {"scoreinv": json.dumps(metadata)}
    # Through Python's own writing, so that a full disk is an OSError.
    write_atomically(path, lambda name: name.write_bytes(safetensors.numpy.save(arrays, text)))


def read_prior(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads a prior file.

    Args:
        path: a file written by `save_prior`.

    Returns:
        (parameters in float32, metadata).

    Raises:
        ValueError: no such file, not a prior file, or unreasonably large.
    """
    path = check_file(path, PRIOR)
    with reading(path, PRIOR):
        check_total([((path.stat().st_size,), "u1")], path)
        with safetensors.safe_open(str(path), "numpy") as file:
            metadata = json_object((file.metadata() or {})["scoreinv"], path, PRIOR)
            flat = {name: np.asarray(file.get_tensor(name), np.float32) for name in list(file.keys())}
        return flax.traverse_util.unflatten_dict(flat, sep="/"), metadata
