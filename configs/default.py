"""Every field of every run, with its default. Other files in this folder override a few of them."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The default configuration: reconstruction of one image with the bundled brain prior."""
    config = ConfigDict()
    config.seed = 0

    # What to reconstruct. An image is a bundled example's name (brain-mri, head-ct, spine-ct) or a file.
    config.images = ("brain-mri",)
    config.slice_index = -1  # slice of a volume file; -1: the middle one
    config.measurement = ""  # an .npz file of scanner data instead of images: see README
    config.prior = (
        "brain-mri"  # a bundled prior, a prior file, a training's work directory, or a published checkpoint's folder
    )
    config.parts = ConfigDict()  # several configs in one run, by name (see demo.py); empty: this one alone

    config.operator = operator = ConfigDict()
    operator.modality = "mri"  # mri | ct | mar
    operator.mask = (
        "equispaced"  # mri: equispaced | random | variable_density | own .npy; ct: sparse_view | limited_angle
    )
    operator.acceleration = (4.0,)  # mri: matrix columns per measured column, one task each
    operator.center_fraction = 0.04  # mri: fraction of columns measured around the centre of k-space
    operator.views = (23,)  # ct, mar: number of projection angles, one task each
    operator.full_views = 0  # ct, mar: views of the sinogram that `views` are masked from; 0: only those
    operator.degrees = 90.0  # ct, limited_angle: angular range the views cover
    operator.detectors = 0  # ct, mar: detector bins; 0: enough to see the whole image
    operator.oversample = 1  # simulated data: the measured object is this many times finer than the image
    operator.noise_std = 0.0  # noise on each real number measured, in the unit of the measurement
    operator.metal = "screws"  # mar: disc | fillings | hip | rods | screws | a 0/1 image (.npy, .npz)
    operator.metal_material = "titanium"  # mar: titanium | steel | iron | copper | gold | an element's symbol
    operator.metal_size = 40.0  # mar: from end to end, mm
    operator.metal_centre = (0.0, 0.0)  # mar: to the right and upwards from the image's centre, mm
    operator.metal_threshold = 2500.0  # mar: HU above which the uncorrected image shows metal
    operator.field_of_view = 350.0  # mar: longer side of the image, mm
    operator.kvp = 120.0  # mar: tube voltage, kV
    operator.photons = 2e7  # mar: of the open beam, per ray

    config.sampler = sampler = ConfigDict()
    # One published method of scoreinv/samplers/: dpir | dds | ddnm | dds_dual | diffpir | dps | mcg | pigdm |
    # red_diff | daps | split_gibbs | song2022 | ald_proximal | score_sde | langevin, or unconditional
    sampler.method = "dpir"
    sampler.preset = ""  # published method, settings and grid, e.g. "lidc_sparse_ct", "brats_mri/langevin": presets.py
    # Of song2022, score_sde and unconditional; empty: reverse_diffusion. Others: ancestral | ddim | dpm_solver_2m |
    # euler_maruyama | heun | probability_flow
    sampler.predictor = ""
    sampler.spin = 4  # the network sees each state shifted at random within blocks of this many pixels; 1: as it is
    sampler.remat = False  # of dps, mcg, pigdm: recompute the network's activations on the way back; saves memory
    sampler.settings = ""  # the method's own, e.g. "churn=0.3, lam=0.5"
    sampler.steps = 39  # steps of the time grid
    sampler.calls = 0  # network calls allowed per draw, which then choose the steps; 0: `steps` steps
    sampler.grid = "geometric"  # geometric | karras | linear
    sampler.sigma_max = 0.4  # noise level the sampler starts at
    sampler.sigma_min = 0.01  # noise level it ends at
    sampler.start = "pseudo_inverse"  # first image: pseudo_inverse | zero | nmar
    sampler.samples = 8  # draws; their mean is the reconstruction
    sampler.quantiles = (0.05, 0.95)  # of the draws, for each pixel; into reconstructions.npz
    sampler.batch_size = 4  # draws per call of the compiled program

    # Further methods of an evaluation or sweep: name -> fields of `sampler` that differ, as {"song2022": {"steps": 9}}.
    # A name that is a method needs no field `method`; the sampler above itself is called scoreinv.
    config.methods = ConfigDict()
    config.baselines = ("direct", "tv")  # cgls | direct | fbp_hann | li | nmar | sirt | tv | wavelet
    config.baseline_settings = settings = ConfigDict()
    settings.tv = ConfigDict({"lam": 0.003, "iterations": 300})
    settings.wavelet = ConfigDict({"lam": 0.003})

    # Supervised networks to compare with: name -> file or work directory of --mode=unroll.
    config.supervised = ConfigDict()

    config.evaluate = evaluate = ConfigDict()
    evaluate.split = "test"  # test | validation
    evaluate.methods = ()  # baselines, `methods`, `supervised`, samplers, scoreinv; empty: all but the samplers
    evaluate.slices = 0  # number of slices, spread over the subjects; 0: all
    evaluate.region = "all"  # pixels that PSNR, SSIM and RMSE are taken over: all | circle (the field of view of CT)

    # Split, slices and region of a sweep are those of `evaluate`.
    config.sweep = sweep = ConfigDict()
    # "name=value,value; name=value,value", a name being a field of `operator` or `sampler`, a setting of the method,
    # `<baseline>.<setting>`, or `method` (values: an entry of `methods`, a baseline, any sampler, or scoreinv for the
    # sampler above); e.g. "lam=0.2,0.6,1.0; acceleration=4,8"
    sweep.over = ""
    sweep.combine = "grid"  # grid: every combination | list: the first values, then the second ones, ...

    config.tune = tune = ConfigDict()
    tune.ranges = ""  # "name=low:high" or "name=low:high:log", as in "lam=0:1; snr=0.2:0.8"; empty: the authors' ranges
    tune.objective = "ssim"  # ssim | psnr, the mean over validation slices
    tune.trials = 100  # of the study, over all processes and restarts
    tune.slices = 8  # number of validation slices, spread over the subjects

    config.data = data = ConfigDict()
    data.source = "folder"  # how volumes lie in the folders: folder (any files) | brats | lidc | ldct | phantom (none)
    data.folders = ()  # training volumes: folders of NIfTI, DICOM, HDF5 or npy files
    data.phantoms = 32  # phantom: number of subjects
    data.packed = ""  # prepared slices written by --mode=prepare, instead of the folders
    data.packed_size = 256  # side of prepared slices: above `size`, so that zoomed views stay sharp
    data.format = "array_record"  # of --mode=prepare: array_record (a dataset, stays on disk) | npz (read whole)
    data.key = ""  # the array to take from HDF5 and npz files; empty: the only one there
    data.subject_pattern = ""  # regular expression whose match in a file name is the subject; empty: ask the file
    data.intensity = "percentile"  # percentile | ct_window | min_max | mean_std | none (already in [0, 1])
    data.window = (-1024.0, 1024.0)  # ct_window: HU mapped to 0 and 1
    data.percentiles = (0.0, 99.5)  # percentile: of all values to 0, of the foreground to 1
    data.size = 128  # side of the prepared slices
    data.crop = 64  # side of the crops the network trains on
    # True: augmented views of all slices are made once and kept on the devices, where every step crops them. Fastest;
    # for what fits into memory. False: slices stay where they are and grain augments each anew, on the processor.
    data.on_device = True
    data.views = 4  # on_device: augmented views made of each training slice
    data.threads = 8  # not on_device: threads that read and augment
    data.zoom = (0.7, 1.1)  # field of view of a view, as a fraction of the slice
    data.rotation = 12.0  # largest rotation of a view, degrees
    data.blur = 0.0  # largest standard deviation of a Gaussian blur of a view, pixels
    data.recoloured = 0.0  # fraction of the views whose intensities pass through a random piecewise linear curve
    data.gamma = 0.0  # a view is raised to a power between exp(-gamma) and exp(gamma)
    data.flip = True  # crops are mirrored left-right and up-down half of the time each
    data.foreground_threshold = 0.1
    data.min_foreground = 0.05  # slices with a smaller fraction above the threshold are left out
    data.validation_fraction = 0.1  # of subjects
    data.test_fraction = 0.1  # of subjects
    data.validation_subjects = ()  # subjects assigned by name, whatever the fractions say
    data.test_subjects = ()

    config.model = model = ConfigDict()
    model.parameterization = "edm"  # edm | score (the published one)
    model.sigma_data = 0.34  # edm: root mean square of the data
    model.nf = 128  # channels of the first level
    model.ch_mult = (1, 1, 1)  # channels of every level as multiples of nf
    model.num_res_blocks = 1
    model.attn_resolutions = ()  # sides of the levels that have attention
    model.patch_size = 4  # the network runs on p x p pixels stacked as channels; the published one on single pixels (1)
    model.resblock_type = "biggan"  # biggan | ddpm
    model.fir = True  # resample with fir_kernel, or by repeating and averaging pixels
    model.fir_kernel = (1, 3, 3, 1)
    model.resamp_with_conv = True  # ddpm
    model.progressive = "output_skip"  # none | output_skip | residual
    model.progressive_input = "input_skip"  # none | input_skip | residual
    model.progressive_combine = "sum"  # sum | cat
    model.skip_rescale = True
    model.init_scale = 0.0  # initial scale of the last convolution of every branch; 0 stands for 1e-10
    model.nonlinearity = "swish"  # swish | relu | elu | lrelu
    model.conditional = True  # the network sees the noise level
    model.embedding_type = "fourier"  # fourier | positional
    model.fourier_scale = 1.0
    model.dropout = 0.0
    model.num_channels = 1
    model.image_size = 128  # the side that attn_resolutions refers to
    model.dtype = "float32"  # float32 | bfloat16: the type of convolutions; parameters and normalisation are float32
    model.remat = False  # recompute blocks in the backward pass: less memory, more time

    # The supervised network of --mode=unroll, trained for the operator above by the fields of `train`.
    config.unrolled = unrolled = ConfigDict()
    unrolled.cascades = 4  # steps towards the data, each with a U-Net of its own
    unrolled.features = 16  # channels of its first level, doubled at each further one
    unrolled.levels = 2

    config.sde = sde = ConfigDict()
    sde.name = "ve"  # ve | vp | subvp
    sde.sigma_min = 0.002
    sde.sigma_max = 20.0
    sde.beta_min = 0.1
    sde.beta_max = 20.0

    config.train = train = ConfigDict()
    train.steps = 6000
    train.batch_size = 16
    train.steps_per_call = 1  # more on accelerators; on CPU XLA runs convolution gradients slowly inside a loop
    train.optimizer = "adam"  # adam | muon (faster for the bundled networks, at three times the learning rate)
    train.learning_rate = 1e-3
    train.warmup = 100
    train.decay = "cosine"  # cosine | none
    train.adam_beta1 = 0.9
    train.adam_beta2 = 0.99
    train.adam_eps = 1e-8
    train.clip = 1.0
    train.ema = 0.999
    train.log_sigma_mean = -2.0  # edm: mean of log sigma
    train.log_sigma_std = 1.4  # edm: standard deviation of log sigma
    train.t_min = 1e-5  # score: smallest training time
    train.init_from = ""  # a prior file to start from
    train.checkpoint_every = 250
    train.keep_checkpoints = 2
    train.log_every = 50  # steps between points in TensorBoard
    train.sample_every = 1000  # steps between pictures of unconditional samples; 0: none
    train.samples = 6  # images in such a picture
    train.sample_steps = 18  # steps of Heun's method that draw them
    train.validation_images = 32
    train.validation_sigmas = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    return config
