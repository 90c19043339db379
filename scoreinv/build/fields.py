"""The table of all fields of a configuration: default, allowed values, meaning, and the modes that read them.

A configuration file takes the defaults from here (`configs/default.py`) and overrides some. `checks.py` holds every
configuration against this table before any work; `scoreinv --help-fields` prints it.
"""

from ml_collections import ConfigDict

from scoreinv.build.ct_fields import CT_FIELDS, LENGTH
from scoreinv.build.field import (
    LEARNING,
    MILLION,
    SAMPLING,
    SIDE,
    SIMULATED,
    SINGLE,
    UNDERSAMPLED,
    Field,
    When,
    only,
    section,
    where,
)
from scoreinv.build.kspace_fields import KSPACE_FIELDS
from scoreinv.build.scan_fields import SCAN_FIELDS
from scoreinv.build.training_fields import TRAINING_FIELDS
from scoreinv.build.volume_fields import VOLUME_FIELDS

RAYS = 16_384  # views or detectors
DRAWING = "reconstruct evaluate sweep"

# Where a field may be an axis of a sweep, the condition of another does not look at it there.
MRI, CT, METAL = (SIMULATED & where("operator.modality", *names) for names in (("mri",), ("ct", "mar"), ("mar",)))
LINES = (
    UNDERSAMPLED
    & where("operator.modality", "mri")
    & When("without a mask file", lambda c, mode: mode == "sweep" or "." not in c.operator.mask)
)
WEDGE = CT & When(
    "where operator.mask is 'limited_angle'", lambda c, mode: mode == "sweep" or c.operator.mask == "limited_angle"
)
FAN = CT & When("of a fan beam", lambda c, mode: mode == "sweep" or c.operator.beam != "parallel")
IN_MM = When(f"{METAL.words}, or of a fan beam", lambda c, mode: METAL.holds(c, mode) or FAN.holds(c, mode))
SAMPLED = where("sampler.preset", "")
UNCOUNTED = When("where sampler.calls is 0", lambda c, mode: mode == "sweep" or not c.sampler.calls)
POSTERIOR = When("where interval.draws is above 0", lambda c, mode: c.interval.draws > 0)
BACKWARD = When(
    "by the methods dps, mcg and pigdm",
    lambda c, mode: mode in ("evaluate", "sweep") or c.sampler.method in ("dps", "mcg", "pigdm"),
)

FIELDS = (
    *section(
        "",
        SAMPLING,
        Field("seed", 0, "seed of masks, noise, draws, initial parameters and augmentation", low=0, high=2**31 - 1,
              modes=only(SAMPLING, LEARNING)),
        Field("images", ("brain-mri",), "images to reconstruct: bundled ones (brain-mri, head-ct, spine-ct) or files",
              modes=only("reconstruct"), when=SIMULATED),
        Field("slice_index", -1, "slice of a volume file; -1: the middle one", low=-1, high=MILLION,
              modes=only("reconstruct"), when=SINGLE),
        Field("measurement", "", "a file of scanner data instead of images: see README", modes=only("reconstruct")),
        Field("prior", "brain-mri", "a bundled prior (brain-mri, body-ct), a prior file, a training's work directory, "
              "or a published checkpoint's folder"),
        Field("parts", {}, "several configurations in one run, by name (see demo.py); empty: this one alone",
              modes=only(DRAWING)),
    ),
    *section(
        "operator",
        f"{SAMPLING} unroll",
        Field("modality", "mri", "what is measured", choices="MODALITIES", when=SIMULATED),
        Field("mask", "equispaced", "mri: equispaced | radial | random | variable_density | own .npy; ct, mar: "
              "sparse_view | limited_angle", when=UNDERSAMPLED),
        Field("acceleration", (4.0,), "columns per measured column, one task each", low=1, high=1000, when=LINES),
        Field("center_fraction", 0.04, "fraction of columns measured around the centre of k-space", low=0, high=1,
              when=LINES),
        Field("views", (23,), "number of projection angles, one task each", low=1, high=RAYS, when=CT),
        Field("full_views", 0, "views of the sinogram that `views` are masked from; 0: only those", low=0, high=RAYS,
              when=CT),
        Field("degrees", 90.0, "angular range the views cover, of a fan beam up to 360", above=0, high=360, when=WEDGE),
        Field("detectors", 0, "detector bins as wide as a pixel at the axis; 0: enough to see the whole image", low=0,
              high=RAYS, when=CT),
        Field("beam", "parallel", "rays: parallel, or of one source onto a flat or a curved detector",
              choices="BEAMS", when=CT),
        Field("source_to_axis", 595.0, "from the source of a fan to the axis of rotation, mm", above=0, high=LENGTH,
              when=FAN),
        Field("field_of_view", 350.0, "longer side of the image, mm", above=0, high=2000, when=IN_MM),
        Field("oversample", 1, "the measured object is this many times finer than the image", low=1, high=16,
              modes=only(SAMPLING), when=SIMULATED & SINGLE),
        Field("size", 0, "longer side to which images are resampled; 0: their own matrix", low=0, high=SIDE,
              modes=only("reconstruct"), when=SIMULATED & SINGLE),
        Field("noise_std", 0.0, "noise on each real number of simulated data, in the unit of the measurement", low=0,
              high=1e6, when=SIMULATED),
    ),
    *section(
        "operator",
        SAMPLING,
        Field("metal", "screws", "disc | fillings | hip | rods | screws | a 0/1 image (.npy, .npz) | own: the images "
              "hold metal", when=METAL),
        Field("metal_material", "titanium", "titanium | steel | iron | copper | gold | an element",
              when=METAL),
        Field("metal_size", 40.0, "from end to end, mm", above=0, high=1000, when=METAL),
        Field("metal_centre", (0.0, 0.0), "to the right and upwards from the image's centre, mm", low=-1000, high=1000,
              length=2, when=METAL),
        Field("metal_threshold", 2500.0, "HU above which the uncorrected image shows metal", low=-1024, high=100_000,
              when=METAL),
        Field("kvp", 120.0, "tube voltage, kV", above=0, high=1000, when=METAL),
        Field("photons", 2e7, "of the open beam, per ray", above=0, high=1e15, when=METAL),
    ),
    *SCAN_FIELDS,
    *CT_FIELDS,
    *KSPACE_FIELDS,
    *section(
        "sampler",
        SAMPLING,
        Field("method", "dpir", "one published method of scoreinv/samplers/, or unconditional", choices="SAMPLERS",
              when=SAMPLED),
        Field("preset", "", 'published method and settings, e.g. "lidc_sparse_ct", "brats_mri/langevin"'),
        Field("predictor", "", "of song2022, score_sde and unconditional; empty: reverse_diffusion",
              choices="PREDICTORS"),
        Field("spin", 4, "the network sees each state shifted at random within blocks of this many pixels; 1: as it is",
              low=1, high=SIDE, when=SAMPLED),
        Field("complex_prior", "phase", "how a prior of real images sees complex ones: up to their smooth phase, or "
              "real and imaginary part alone", choices="COMPLEX_PRIORS", modes=only("reconstruct")),
        Field("remat", False, "recompute the network's activations on the way back; saves memory", when=BACKWARD),
        Field("settings", "", 'the method\'s own, e.g. "churn=0.3, lam=0.5"'),
        Field("steps", 0, "steps of the time grid; 0: from the measurement", low=0, high=20_000,
              when=SAMPLED & UNCOUNTED),
        Field("calls", 0, "network calls allowed per draw, which then choose the steps; 0: `steps` steps", low=0,
              high=MILLION),
        Field("grid", "geometric", "how the noise levels are spaced", choices="TIME_GRIDS", when=SAMPLED),
        Field("sigma_max", 0.0, "noise level the sampler starts at; 0: from the measurement", low=0, high=1e4,
              when=SAMPLED),
        Field("sigma_min", 0.0, "noise level it ends at; 0: from the measurement", low=0, high=1e4, when=SAMPLED),
        Field("start", "", "first image; empty: the one of small total variation", choices="STARTS", when=SAMPLED),
        Field("samples", 8, "draws; their mean is the reconstruction", low=1, high=10_000),
        Field("quantiles", (0.05, 0.95), "of the draws, for each pixel; into reconstructions.npz", low=0, high=1,
              modes=only("reconstruct")),
        Field("batch_size", 0, "draws per call of the compiled program; 0: up to eight that together have "
              "the pixels of one of 512 x 512", low=0, high=100_000),
    ),
    *section(
        "",
        "evaluate sweep",
        Field("methods", {}, 'further samplers: name -> fields of `sampler` that differ, as {"song2022": {"steps": 9}};'
              " a name that is a method needs no field `method`; the sampler above itself is called scoreinv",
              modes=only(DRAWING), when=SINGLE),
        Field("baselines", ("direct", "tv"), "classical methods to compare with", choices="BASELINES",
              modes=only("reconstruct evaluate"), when=SINGLE),
        Field("baseline_settings.tv.lam", 0.003, "weight of the total variation", low=0, high=1e6, modes=only(DRAWING)),
        Field("baseline_settings.tv.iterations", 300, "of FISTA", low=1, high=MILLION, modes=only(DRAWING)),
        Field("baseline_settings.wavelet.lam", 0.003, "weight of the wavelet coefficients", low=0, high=1e6,
              modes=only(DRAWING)),
        Field("supervised", {}, "networks to compare with: name -> file or work directory of --mode=unroll"),
    ),
    *section(
        "evaluate",
        "evaluate sweep",
        Field("split", "test", "subjects that are scored", choices=("test", "validation")),
        Field("methods", (), "baselines, `methods`, `supervised`, samplers, scoreinv; empty: all but the samplers",
              of=str, modes=only("evaluate")),
        Field("slices", 0, "number of slices, spread over the subjects; 0: all", low=0, high=MILLION),
        Field("tuned", "", "settings of baselines that are chosen on validation slices, for each operator, by PSNR, "
              'before test slices are seen, as in "tv.lam=0.001,0.003,0.01; wavelet.lam=0.001,0.003"',
              modes=only("evaluate")),
        Field("tuned_slices", 8, "number of those validation slices; 0: all", low=0, high=MILLION,
              modes=only("evaluate")),
        Field("reference", "tv", "the method that the others are compared with, slice by slice; empty: none"),
        Field("region", "all", "pixels that are scored: all, or circle (the field of view of CT)",
              choices=("all", "circle"), modes=only("evaluate sweep tune")),
    ),
    *section(
        "sweep",
        "sweep",
        Field("over", "", '"name=value,value; name=value,value", a name being a field of `operator` or `sampler`, a '
              "setting of the method, `<baseline>.<setting>`, or `method` (values: an entry of `methods`, a baseline, "
              'any sampler, or scoreinv for the sampler above); e.g. "lam=0.2,0.6,1.0; acceleration=4,8"'),
        Field("combine", "grid", "grid: every combination; list: the first values, then the second ones, ...",
              choices=("grid", "list")),
    ),
    *section(
        "tune",
        "tune",
        Field("ranges", "", '"name=low:high" or "name=low:high:log", as in "lam=0:1; snr=0.2:0.8"; empty: the '
              "authors'"),
        Field("objective", "ssim", "its mean over validation slices is maximised", choices=("psnr", "ssim")),
        Field("trials", 100, "of the study, over all processes and restarts", low=1, high=MILLION),
        Field("slices", 8, "number of validation slices, spread over the subjects; 0: all", low=0, high=MILLION),
    ),
    *VOLUME_FIELDS,
    *section(
        "interval",
        "reconstruct calibrate",
        Field("draws", 4, "draws of the posterior that intervals rest on, beside those of `sampler`; 0: no intervals",
              low=0, high=10_000),
        Field("steps", 39, "steps of the sampler of the posterior", low=1, high=20_000, when=POSTERIOR),
        Field("sigma_max", 1.0, "noise level it starts at; above `sampler.sigma_min`", above=0, high=1e4,
              when=POSTERIOR),
        Field("temper", 1.0, "above 1: the prior is flattened to its power 1/temper, and intervals widen", low=0.1,
              high=100, when=POSTERIOR),
        Field("correction", "bundled", "bundled: the prior's own, where it has one; none; or intervals.json of "
              "--mode=calibrate", modes=only("reconstruct"), when=POSTERIOR),
        Field("level", 0.9, "probability that an interval holds the truth: 0.5, 0.8, 0.9 or 0.95 with a correction",
              low=0.01, high=0.99, modes=only("reconstruct"), when=POSTERIOR),
        Field("contrast", 0.15, "a pixel rests on the prior where contrast above this about it is not measured",
              above=0, high=1, modes=only("reconstruct")),
        Field("scales", (), "standard deviations in pixels of random patterns: for each a map of the share that the "
              "measurement leaves open goes to the arrays; costs hundreds of operations", of=float, above=0, high=64,
              modes=only("reconstruct")),
        Field("area", 100, "warn where more connected pixels than this rest on the prior", low=0, high=MILLION,
              modes=only("reconstruct"), when=SINGLE),
    ),
    *section(
        "calibrate",
        "calibrate",
        Field("splits", ("validation",), "subjects that intervals are fitted on, unknown to the prior",
              choices=("test", "validation")),
        Field("slices", 0, "number of slices of each split, spread over its subjects; 0: all", low=0, high=MILLION),
    ),
    *TRAINING_FIELDS,
)  # fmt: skip
TABLE = {field.name: field for field in FIELDS}


def default_config() -> ConfigDict:
    """Every field with its default: reconstruction of one image with the bundled brain prior."""
    config = ConfigDict()
    for field in FIELDS:
        *sections, name = field.name.split(".")
        place = config
        for part in sections:
            if part not in place:
                place[part] = ConfigDict()
            place = place[part]
        place[name] = ConfigDict() if field.is_group else field.default
    return config
