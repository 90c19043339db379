"""A picture of two CT slices with a real metal port: no truth exists, so there is a picture and no score.

python -m experiments.table3_metal_artifacts.port metal_port_dicom/1-013.dcm metal_port_dicom/1-019.dcm
"""

import argparse
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from configs import mar_demo
from scoreinv import build
from scoreinv.datasets.resizing import resize
from scoreinv.drivers import reconstruct
from scoreinv.evaluation.figures import panel
from scoreinv.formats.files import write_atomically
from scoreinv.formats.images import read_image
from scoreinv.operators import mar
from scoreinv.operators.base import LinearOperator, Measurement
from scoreinv.simulation.polychromatic import HounsfieldWindow


def measurement_of(path: str, size: int, operator: LinearOperator, noise_std: float):
    """The slice's own projection without the rays through metal, the slice as it is, and its metal.

    The file holds the scanner's image, streaks included, and not its rays. Its forward projection is the nearest thing
    to them: rays outside the metal trace are as wrong as the streaks they cross, which no method can know.
    """
    window = HounsfieldWindow()
    image = window.from_hu(jnp.asarray(resize(read_image(path).values[0][..., None], (size, size))))
    metal = mar.segment_metal(image, window.from_hu(2200.0))
    mask = operator.mask * mar.metal_free_mask(operator.transform, metal)
    masked = operator.replace(mask=mask)
    return Measurement(masked(image), masked, jnp.float32(noise_std)), jnp.clip(image, 0, 1), metal[..., None]


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slices", nargs="+", help="DICOM files of CT slices with metal")
    parser.add_argument("--size", type=int, default=128, help="side of the picture; a multiple of 16")
    parser.add_argument("--noise_std", type=float, default=0.1, help="of each ray, in the unit of the sinogram")
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--workdir", default="runs/metal_port")
    arguments = parser.parse_args(argv)
    config = mar_demo.get_config()
    config.operator.update({"views": (180,), "full_views": 180})
    config.sampler.samples = arguments.samples
    try:
        methods = reconstruct.methods_of(config, build.load_prior(config.prior))
        shape = (arguments.size, arguments.size, 1)
        ((_, operator),) = build.operators(config.operator, shape, jax.random.key(0))
        for path in arguments.slices:
            measurement, image, metal = measurement_of(path, arguments.size, operator, arguments.noise_std)
            with tqdm(total=len(config.baselines) + config.sampler.samples, desc=Path(path).stem, unit="image") as bar:
                results = {name: method(measurement, bar) for name, method in methods.items()}
            images = {"as stored": image} | {name: np.asarray(result.mean) for name, result in results.items()}
            figure = panel(
                images, None, results["scoreinv"].std, metal=metal, title=f"{Path(path).stem}: no truth exists"
            )
            write_atomically(Path(arguments.workdir) / f"{Path(path).stem}.png", figure.savefig)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
