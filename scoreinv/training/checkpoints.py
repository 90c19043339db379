"""Training checkpoints by orbax, and the files beside them."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from absl import logging
from jax.experimental import multihost_utils

from scoreinv.formats.files import write_atomically
from scoreinv.formats.guard import one_line
from scoreinv.formats.prior_file import read_prior
from scoreinv.formats.records import read_json
from scoreinv.models.ncsnpp import NCSNpp
from scoreinv.models.score_sde_import import import_score_sde as import_score_sde

LONGEST = 400  # characters about settings that differ


class Manager:
    """Training checkpoints of one work directory, written asynchronously by orbax: all of the state and the data's.

    Args:
        workdir: the run's directory; checkpoints live in its `checkpoints` folder.
        keep: how many of the newest to keep.
    """

    def __init__(self, workdir: Path, keep: int):
        self._folder = (workdir / "checkpoints").resolve()
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def __enter__(self) -> "Manager":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        try:
            self.wait()
        except OSError:
            if kind is None:  # else the first error is the one to hear about
                raise
        finally:
            with contextlib.suppress(Exception):  # reported by `wait`
                self._manager.close()

    def wait(self) -> None:
        """Returns when everything is on disk; raises OSError if it cannot be."""
        self._checked(self._manager.wait_until_finished)

    def _checked(self, write: Callable[[], Any]) -> Any:
        """What `write` returns; OSError if a checkpoint, this one or the one before it, could not be written."""
        try:
            return write()
        except Exception as error:  # orbax and tensorstore raise many types
            message = " ".join(str(error).split())[-200:]
            raise OSError(f"cannot write a checkpoint in {str(self._folder)!r} ({message})") from error

    def last_good(self) -> str:
        """Which checkpoint is on disk, in words."""
        with contextlib.suppress(Exception):  # of an unfinished one
            self._manager.wait_until_finished()
        steps = [int(path.name) for path in self._folder.glob("*") if path.name.isdigit()]
        return f"the checkpoint of step {max(steps)} is intact" if steps else "there is no earlier checkpoint"

    def save(self, step: int, state, iterator=None) -> bool:
        """Starts writing a state and the position of a data iterator; whether it was not there already."""
        if step in self._manager.all_steps():
            return False
        items: dict[str, Any] = {"state": ocp.args.StandardSave(state)}
        if iterator is not None:
            import grain  # loads slowly, and only streamed training has an iterator

            items["data"] = grain.checkpoint.CheckpointSave(iterator)
        return self._checked(lambda: self._manager.save(step, args=ocp.args.Composite(**items)))

    def restore_latest(self, state, iterator=None):
        """The newest readable checkpoint, or `state` itself in an empty work directory.

        A truncated or corrupted checkpoint is passed over, with a warning, for the one before it, and moved to the
        folder `damaged`.

        Args:
            state: a state of the same structure.
            iterator: the data iterator, which is set to where it stood.

        Returns:
            The state.

        Raises:
            ValueError: there are checkpoints, but none can be read.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for number, step in enumerate(steps):
            try:
                restored = self._restore(step, state, iterator)
            except Exception as error:  # orbax raises many types for a damaged file
                message = " ".join(str(error).split())[:200]
                logging.warning("checkpoint %d is unreadable (%s); trying the one before it", step, message)
                continue
            self._set_aside(steps[:number])
            logging.info("continuing from step %d", step)
            return restored
        if steps:
            raise ValueError(
                f"no checkpoint in {str(self._folder)!r} can be read with this configuration; use the one it was made "
                "with, or another --workdir"
            )
        return state

    def _restore(self, step: int, state, iterator):
        args = ocp.args.Composite(state=ocp.args.StandardRestore(state))
        restored = self._manager.restore(step, args=args)["state"]
        if iterator is not None:
            import grain

            args = ocp.args.Composite(data=grain.checkpoint.CheckpointRestore(iterator))
            self._manager.restore(step, args=args)
        return restored

    def _set_aside(self, steps: list[int]) -> None:
        """Moves damaged checkpoints out of the way of new ones."""
        for step in steps if jax.process_index() == 0 else ():
            target = self._folder.parent / "damaged" / f"{step}-{time.time_ns()}"
            target.parent.mkdir(exist_ok=True)
            (self._folder / str(step)).rename(target)
        if steps:
            multihost_utils.sync_global_devices("damaged checkpoints moved")
            self._manager.reload()


def claim_workdir(workdir: Path, network: Mapping[str, Any]) -> None:
    """Notes in `workdir` which network is trained there.

    Raises:
        ValueError: it was used for another one.
    """
    # The type of the convolutions and what is kept for the backward pass change no parameter.
    network = {name: value for name, value in network.items() if name not in ("dtype", "remat")}
    path, text = workdir / "network.json", json.dumps(network, indent=1, sort_keys=True) + "\n"
    if not path.exists():
        write_atomically(path, lambda name: name.write_text(text))
        return
    # A field younger than the work directory had its default then; how a network is computed is free to change.
    defaults = json.loads(json.dumps({f.name: f.default for f in dataclasses.fields(NCSNpp)}, default=str))
    before, now = defaults | read_json(path, "the network of a training"), defaults | json.loads(text)
    for name in sorted((before.keys() | now.keys()) - {"dtype", "remat"}):
        if before.get(name) == now.get(name):
            continue
        raise ValueError(
            f"{str(workdir)!r} holds a training of another network (model.{name} was {before.get(name)}, is "
            f"{now.get(name)}); use the config it was made with, or another --workdir"
        )


def note_settings(workdir: Path, settings: Mapping[str, Any]) -> None:
    """Notes in `workdir` what is trained with, and says what differs from before: a training may go on otherwise."""
    path, now = workdir / "training.json", json.loads(json.dumps(settings))
    before = read_json(path, "the settings of a training") if path.exists() else {}
    common = [name for name in before if name in now]
    changed = [f"{name} was {before[name]!r}, is {now[name]!r}" for name in common if before[name] != now[name]]
    if changed:
        logging.warning("continuing with other settings: %s", one_line("; ".join(changed), LONGEST))
    if before != now and jax.process_index() == 0:
        write_atomically(path, lambda name: name.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n"))


def load_params(path: str, like) -> dict[str, Any]:
    """The parameters of a prior file, to start another training from; ValueError when the network differs."""
    params, _ = read_prior(Path(path))
    shapes = [jax.tree.map(jnp.shape, flax.traverse_util.flatten_dict(tree, sep="/")) for tree in (like, params)]
    if shapes[0] != shapes[1]:
        name = min(set(shapes[0].items()) ^ set(shapes[1].items()))[0]
        raise ValueError(f"{path!r} holds another network (parameter {name} differs); use the config it was made with")
    return jax.device_put(params)
