"""What a training shows of itself: validation losses, TensorBoard scalars, pictures of samples, the network's file."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import logging
from jaxtyping import Array, Float, PRNGKeyArray
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from scoreinv.evaluation import figures
from scoreinv.evaluation.rows import ResultFile
from scoreinv.formats import prior_file
from scoreinv.formats.files import write_atomically
from scoreinv.training.optimization import Loss, Params, TrainState


@dataclass(frozen=True)
class Trained:
    """What is trained, and what is shown of it: all that trainings differ in.

    Attributes:
        init: key -> parameters.
        loss: (key, parameters, image) -> loss of one image.
        validate: parameters -> {column: validation loss}.
        columns: of the validation losses, in `losses.csv`.
        network: describes the network; a work directory belongs to one.
        file: name of the file that the averaged parameters are delivered in.
        metadata: what that file says of them, besides the step.
        sample: parameters -> images [N, H, W, C] to look at; None: nothing to look at.
    """

    init: Callable[[PRNGKeyArray], Params]
    loss: Loss
    validate: Callable[[Params], dict[str, float]]
    columns: tuple[str, ...]
    network: Mapping[str, Any]
    file: str
    metadata: Mapping[str, Any]
    sample: Callable[[Params], Float[Array, "N H W C"]] | None = None


class Curves:
    """TensorBoard scalars, written where they are added: a full disk is an error there, not a stop of a thread.

    Args:
        folder: where the event file is made.
        step: the step the run starts from; TensorBoard forgets later ones of a run that was killed.
    """

    def __init__(self, folder: Path, step: int):
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventsWriter(str(folder / "events"), f".{step}")
        self._write(step, session_log=SessionLog(status=SessionLog.START))

    def _write(self, step: int, **fields) -> None:
        self._writer.write_event(Event(wall_time=time.time(), step=step, **fields))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a point to each curve."""
        for name, value in values.items():
            self._write(step, summary=summary.scalar(name, value))
        self._writer.flush()


class Monitor:
    """Writes into one work directory, from one process.

    Args:
        trained: what is trained.
        workdir: the run's directory.
        step: the step the run starts from.

    Raises:
        ValueError: `losses.csv` has other columns.
    """

    def __init__(self, trained: Trained, workdir: Path, step: int):
        self._trained, self._workdir = trained, workdir
        self._losses = ResultFile(workdir / "losses.csv", ("step", "train", *trained.columns))
        self._curves = Curves(workdir / "tensorboard", step)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Adds points to the curves of the training."""
        self._curves.add(step, {f"train/{name}": value for name, value in values.items()})

    def is_behind(self, step: int) -> bool:
        """Whether the losses or the file of a saved step are missing, as after a kill between the two."""
        steps = {row["step"] for row in self._losses.rows()}
        with contextlib.suppress(ValueError):  # no file yet, or a damaged one
            _, metadata = prior_file.read_prior(self._workdir / self._trained.file)
            return metadata.get("step") != step or str(step) not in steps
        return True

    def report(self, state: TrainState) -> None:
        """Validation losses and the file of the averaged parameters of one state; what later steps left is replaced."""
        step, loss = int(state.step), float(state.loss)
        losses = self._trained.validate(state.ema)
        logging.info("step %d: validation losses %s", step, {name: f"{loss:.4g}" for name, loss in losses.items()})
        self._curves.add(step, {f"validation/{name.replace(' ', '/')}": value for name, value in losses.items()})
        self._losses.keep(lambda row: int(row["step"]) < step)
        self._losses.append([{"step": step, "train": "" if math.isnan(loss) else loss, **losses}])
        metadata = {**self._trained.metadata, "step": step}
        prior_file.save_prior(self._workdir / self._trained.file, state.ema, metadata)

    def picture(self, step: int, average: Params) -> None:
        """A row of what the averaged parameters make, as `samples/<step>.png`."""
        if self._trained.sample is None:
            return
        images = {f"sample {i + 1}": image for i, image in enumerate(self._trained.sample(average))}
        figure = figures.panel(images, title=f"step {step}")
        write_atomically(self._workdir / "samples" / f"{step}.png", figure.savefig)
