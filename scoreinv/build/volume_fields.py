"""Fields of whole volumes, and of the page that shows them."""

from scoreinv.build.field import MILLION, SIDE, Field, When, section

WHOLE = When("where slices are named", lambda config, mode: bool(config.slices))
COUPLED = WHOLE & When("where volume.coupling is not 0", lambda config, mode: config.volume.coupling > 0)

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
        Field("depth", 6, "slices that are reconstructed together and kept", low=1, high=MILLION, when=COUPLED),
        Field("halo", 1, "neighbours on either side that are reconstructed with them", low=0, high=100, when=COUPLED),
        Field("formats", ("nifti",), "what the volume is written as", choices=("dicom", "nifti"), when=WHOLE),
    ),
    *section(
        "report",
        "report",
        Field("side", 192, "longest side of a volume in the page, voxels; larger ones are thinned", low=8, high=SIDE),
    ),
)  # fmt: skip
