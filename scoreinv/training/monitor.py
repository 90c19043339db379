"""What a training shows of itself: validation losses, TensorBoard scalars, pictures of samples, the prior file."""

import time
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
from absl import logging
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from scoreinv import build
from scoreinv.evaluation import figures
from scoreinv.formats import priors
from scoreinv.formats.files import write_atomically
from scoreinv.samplers.base import integrate
from scoreinv.samplers.solvers import heun, noise_to_signal
from scoreinv.samplers.times import karras_times
from scoreinv.training import checkpoints


def make_validation(config, loss_at, images):
    """A function ema -> {sigma: loss} on fixed images and fixed noise."""
    sigmas = jnp.asarray(config.train.validation_sigmas)
    keys = jax.random.split(jax.random.key(0), images.shape[0])

    @jax.jit
    def at(params, sigma):
        return jnp.mean(
            jax.lax.map(lambda args: loss_at(args[0], params, args[1], sigma), (keys, images), batch_size=8)
        )

    return lambda params: {f"{float(s):g}": float(at(params, s)) for s in sigmas}


def make_sampling(config):
    """A compiled function params -> unconditional samples [N, H, W, C], always from the same noise.

    Heun's method on the grid of Karras et al. 2022 (algorithm 1), from the noise at t = 1 down to that at t = 0.001.
    """

    @jax.jit
    def sample(params):
        prior = build.prior_from(params, build.prior_metadata(config))
        bottom, top = (noise_to_signal(prior.sde, jnp.float32(t)) for t in (1e-3, 1.0))
        times = karras_times(prior.sde, config.train.sample_steps, bottom, top)

        def one(key):
            return integrate(heun(prior), key, prior.sde.prior_sample(key, prior.shape), times)

        return jax.vmap(one)(jax.random.split(jax.random.key(0), config.train.samples))

    return sample


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
        config: the whole configuration.
        workdir: the run's directory.
        loss_at: (key, params, image, sigma) -> loss.
        held_out: validation images [N, H, W, C].
        step: the step the run starts from.
    """

    def __init__(self, config, workdir: Path, loss_at, held_out, step: int):
        self._config, self._workdir = config, workdir
        self._validate = make_validation(config, loss_at, held_out)
        self._sample = make_sampling(config)
        self._curves = Curves(workdir / "tensorboard", step)

    def scalars(self, step: int, **values: float) -> None:
        """Adds points to the curves of the training."""
        self._curves.add(step, {f"train/{name}": value for name, value in values.items()})

    def report(self, step: int, ema, loss: float | None) -> None:
        """Validation losses and the prior file of one step."""
        by_noise = self._validate(ema)
        logging.info("step %d: validation loss by sigma %s", step, by_noise)
        self._curves.add(step, {f"validation/sigma_{sigma}": value for sigma, value in by_noise.items()})
        checkpoints.append_csv(self._workdir / "losses.csv", {"step": step, "train": loss, **by_noise})
        priors.save_prior(self._workdir / "prior.safetensors", ema, build.prior_metadata(self._config))

    def picture(self, step: int, ema) -> None:
        """A row of unconditional samples, as `samples/<step>.png`."""
        images = {f"sample {i + 1}": image for i, image in enumerate(self._sample(ema))}
        figure = figures.panel(images, title=f"step {step}")
        write_atomically(self._workdir / "samples" / f"{step}.png", figure.savefig)
