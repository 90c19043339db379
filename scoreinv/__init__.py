"""Medical image reconstruction with score-based priors (Song, Shen, Xing and Ermon, ICLR 2022) in JAX.

From a file of k-space or of a sinogram to an image with an interval:

    import scoreinv

    scan = scoreinv.read_scan("scan.npz")
    result = scoreinv.reconstruct(scan, prior="brain-mri", method="dpir", samples=8, seed=0)
    print(result.image.shape, result.unit, (result.high - result.low).mean())
    scoreinv.save("scan.nii.gz", result)

The names of `__init__.pyi` load on first use, so that importing an operator does not load networks and file readers.
"""

from importlib import metadata

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

try:
    __version__ = metadata.version("scoreinv")
except metadata.PackageNotFoundError:  # a folder of sources that nobody installed
    __version__ = "0+unknown"
