"""Fields of measured sinograms: what their owner knows and the file does not say."""

from scoreinv.build.field import SIDE, Field, section
from scoreinv.build.scan_fields import MEASURED

LENGTH = 1e6  # mm

CT_FIELDS = section(
    "scan",
    "reconstruct",
    Field("quantity", "", "what a sinogram holds; empty: what its name and its values say",
          choices=("", "counts", "line_integrals", "transmission"), when=MEASURED),
    Field("open_beam", 0.0, "reading of a detector without an object, in photons where that is known; 0: from flat "
          "fields, or what the outermost detectors read", low=0, high=1e15, when=MEASURED),
    Field("angle_unit", "", "empty: what the angles' range says", choices=("", "degrees", "radians"), when=MEASURED),
    Field("angles", (), "first and last of evenly spaced views, degrees, where the file has no angles", low=-3600,
          high=3600, of=float, when=MEASURED),
    Field("start_angle", 0.0, "degrees added to all angles", low=-360, high=360, when=MEASURED),
    Field("source_to_axis", 0.0, "of a fan beam, mm; 0: the file's, else parallel rays", low=0, high=LENGTH,
          when=MEASURED),
    Field("source_to_detector", 0.0, "of a fan beam, mm; 0: the file's", low=0, high=LENGTH, when=MEASURED),
    Field("detector_pitch", 0.0, "width of a detector column, mm; 0: the file's, else columns are the unit of length",
          low=0, high=LENGTH, when=MEASURED),
    Field("curved", False, "the detector of a fan beam is an arc about the source", when=MEASURED),
    Field("reversed", False, "columns are counted towards the left of a view", when=MEASURED),
    Field("axis", -1.0, "column, from 0, that the axis of rotation projects onto; -1: the file's, else estimated",
          low=-1, high=1e6, when=MEASURED),
    Field("pixel", 0.0, "side of an image pixel, mm; 0: the file's, else that of a column at the axis", low=0,
          high=LENGTH, when=MEASURED),
    Field("shape", (), "sides of the image in pixels; empty: the file's, else what the detectors see", low=1, high=SIDE,
          of=int, when=MEASURED),
    Field("water", 0.0, "attenuation of water per mm, 0.0193 at 70 keV, for an image in HU; 0: the file's, else the "
          "image stays in the unit of the data", low=0, high=1000, when=MEASURED),
    Field("rings", False, "stripes of a sinogram are removed, which needs algotom", when=MEASURED),
    Field("metal", 0.0, "what is brighter than this in the image of all rays is metal, whose rays are left out; in HU "
          "where water is given, else in the image's unit; 0: there is none", low=0, high=100_000, when=MEASURED),
    Field("checks", True, "data that contradict their geometry are refused, not only warned of", when=MEASURED),
)  # fmt: skip
