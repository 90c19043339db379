"""What is written to disk: training checkpoints (orbax), prior files (safetensors), result files (atomic)."""

import csv
import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import safetensors
import safetensors.numpy
from absl import logging

from scoreinv.models.ncsnpp import NCSNpp
from scoreinv.models.score_sde_import import import_score_sde as import_score_sde

MAX_PRIOR_BYTES = 2**33


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes a file under a temporary name in the same folder and renames it: never half-written, never in the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    try:
        write(Path(name))
        os.chmod(name, 0o644)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def append_csv(path: Path, row: Mapping[str, Any]) -> None:
    """Appends one row to a CSV file, with the header when the file is new."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


class Manager:
    """Training checkpoints of one work directory, written asynchronously by orbax.

    Args:
        workdir: the run's directory; checkpoints live in its `checkpoints` folder.
        keep: how many of the newest to keep.
    """

    def __init__(self, workdir: Path, keep: int):
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager((workdir / "checkpoints").resolve(), options=options)

    def __enter__(self) -> "Manager":
        return self

    def __exit__(self, *_) -> None:
        self._manager.wait_until_finished()
        self._manager.close()

    def latest(self) -> int | None:
        """The newest step on disk."""
        return self._manager.latest_step()

    def save(self, state) -> None:
        """Starts writing a state; its `step` names the checkpoint."""
        if int(state.step) not in self._manager.all_steps():
            self._manager.save(int(state.step), args=ocp.args.StandardSave(state))

    def restore_latest(self, state):
        """The newest readable checkpoint, or `state` itself in an empty work directory.

        A truncated or corrupted checkpoint is passed over, with a warning, for the one before it.
        """
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                restored = self._manager.restore(step, args=ocp.args.StandardRestore(state))
            except Exception as error:  # orbax raises many types for a damaged file
                logging.warning("checkpoint %d is unreadable (%s); trying the one before it", step, str(error)[:200])
                continue
            logging.info("continuing from step %d", step)
            return restored
        return state


def claim_workdir(workdir: Path, network: Mapping[str, Any]) -> None:
    """Notes in `workdir` which network is trained there.

    Raises:
        ValueError: it was used for another one.
    """
    path, text = workdir / "network.json", json.dumps(network, indent=1, sort_keys=True) + "\n"
    if not path.exists():
        write_atomically(path, lambda name: name.write_text(text))
        return
    # A field younger than the work directory had its default then; how a network is computed is free to change.
    defaults = json.loads(json.dumps({f.name: f.default for f in dataclasses.fields(NCSNpp)}, default=str))
    before, now = defaults | json.loads(path.read_text()), defaults | json.loads(text)
    for name in sorted((before.keys() | now.keys()) - {"dtype", "remat"}):
        if before.get(name) == now.get(name):
            continue
        raise ValueError(
            f"{str(workdir)!r} holds a training of another network (model.{name} was {before.get(name)}, is "
            f"{now.get(name)}); use the config it was made with, or another --workdir"
        )


def save_prior(path: Path, params, metadata: Mapping[str, Any]) -> None:
    """Writes a prior: float16 parameters and a JSON description in one safetensors file, nothing executable.

    Args:
        path: file name ending in .safetensors.
        params: the network's parameters, a nested dict.
        metadata: what `build.prior_from` needs to rebuild the network and its SDE.
    """
    flat = flax.traverse_util.flatten_dict(params, sep="/")
    arrays = {name: np.asarray(value, np.float16) for name, value in flat.items()}
    text = {"scoreinv": json.dumps(metadata)}
    write_atomically(path, lambda name: safetensors.numpy.save_file(arrays, str(name), text))


def read_prior(path: Path) -> tuple[dict, dict[str, Any]]:
    """Reads a prior file.

    Args:
        path: a file written by `save_prior`.

    Returns:
        (parameters in float32, metadata).

    Raises:
        ValueError: no such file, not a prior file, or unreasonably large.
    """
    if not path.is_file():
        raise ValueError(
            f"prior file {str(path)!r} does not exist; train one with --mode=train or name a bundled prior"
        )
    if path.stat().st_size > MAX_PRIOR_BYTES:
        raise ValueError(f"prior file {str(path)!r} has {path.stat().st_size} bytes, more than {MAX_PRIOR_BYTES}")
    try:
        with safetensors.safe_open(str(path), "numpy") as file:
            metadata = json.loads((file.metadata() or {})["scoreinv"])
            flat = {name: np.asarray(file.get_tensor(name), np.float32) for name in list(file.keys())}
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is not a scoreinv prior file ({error}); see save_prior") from error
    return flax.traverse_util.unflatten_dict(flat, sep="/"), metadata


def load_params(path: str, like) -> dict:
    """The parameters of a prior file, to start another training from; ValueError when the network differs."""
    params, _ = read_prior(Path(path))
    shapes = [jax.tree.map(jnp.shape, flax.traverse_util.flatten_dict(tree, sep="/")) for tree in (like, params)]
    if shapes[0] != shapes[1]:
        name = min(set(shapes[0].items()) ^ set(shapes[1].items()))[0]
        raise ValueError(f"{path!r} holds another network (parameter {name} differs); use the config it was made with")
    return jax.tree.map(jnp.asarray, params)
