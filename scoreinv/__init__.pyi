from .api import read_scan, reconstruct
from .baselines.cgls import cgls
from .baselines.direct import direct
from .baselines.tv import tv
from .baselines.wavelet import wavelet
from .build.priors import load_prior
from .citations import citation
from .datasets.examples import brain_mri, head_ct
from .evaluation.metrics import psnr, rmse, ssim
from .operators.base import LinearOperator, Measurement, simulate
from .operators.ct import radon_transform, sparse_view_mask, uniform_angles
from .operators.mri import FourierTransform, SenseTransform
from .operators.mri_masks import equispaced_mask, random_mask, variable_density_mask
from .prior import Prior
from .reconstruction import Reconstruction, save
from .samplers.ddnm import ddnm
from .samplers.dds import dds
from .samplers.diffpir import diffpir
from .samplers.dpir import dpir
from .samplers.song2022 import song2022
from .samplers.times import geometric_times
from .scans.scan import Scan

__version__: str

__all__ = [
    "FourierTransform",
    "LinearOperator",
    "Measurement",
    "Prior",
    "Reconstruction",
    "Scan",
    "SenseTransform",
    "__version__",
    "brain_mri",
    "cgls",
    "citation",
    "ddnm",
    "dds",
    "diffpir",
    "direct",
    "dpir",
    "equispaced_mask",
    "geometric_times",
    "head_ct",
    "load_prior",
    "psnr",
    "radon_transform",
    "random_mask",
    "read_scan",
    "reconstruct",
    "rmse",
    "save",
    "simulate",
    "song2022",
    "sparse_view_mask",
    "ssim",
    "tv",
    "uniform_angles",
    "variable_density_mask",
    "wavelet",
]
