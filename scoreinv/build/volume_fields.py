"""Fields of image files, of whole volumes, and of the page that shows them."""

from scoreinv.build.field import MILLION, SIDE, Field, When, section, where
from scoreinv.build.scan_fields import MEASURED

WHOLE = When("where slices are named", lambda config, mode: bool(config.slices))
ACQUIRED = where("volume.planes", "acquired")
ALONE = WHOLE & ACQUIRED & When("where volume.coupling is 0", lambda config, mode: config.volume.coupling == 0)
COUPLED = WHOLE & ACQUIRED & When("where volume.coupling is not 0", lambda config, mode: config.volume.coupling > 0)

VOLUME_FIELDS = (
    *section(
        "",
        "reconstruct",
        Field("slices", "", 'several slices of a volume: "all", "first:end" or "first:end:step"; empty: slice_index '
              "alone"),
    ),
    *section(
        "volume",
        "reconstruct",
        Field("coupling", 0.0, "standard deviation of the difference of neighbouring slices, in [0, 1], that the "
              "reconstruction assumes; 0: slices by themselves", low=0, high=10, when=WHOLE),
        Field("planes", "acquired", "in which planes the prior sees the volume: those of its slices, or all three in "
              "turn, for voxels that are cubes; the volume is then one block in memory", choices=("acquired", "all"),
              when=WHOLE),
        Field("noise", "own", "what a sampler adds to each slice: noise of its own, or the same to all, which keeps "
              "neighbours alike", choices=("own", "shared"), when=ALONE),
        Field("depth", 6, "slices that are reconstructed together and kept", low=1, high=MILLION, when=COUPLED),
        Field("halo", 1, "neighbours on either side that are reconstructed with them", low=0, high=100, when=COUPLED),
    ),
    *section(
        "output",
        "reconstruct",
        Field("formats", ("nifti",), "image files that are written", choices=("dicom", "nifti")),
        Field("phase", False, "of complex images the phase is written too, in radians", when=MEASURED),
    ),
    *section(
        "report",
        "report",
        Field("side", 192, "longest side of a volume in the page, voxels; larger ones are thinned", low=8, high=SIDE),
    ),
)  # fmt: skip
