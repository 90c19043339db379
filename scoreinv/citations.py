"""What to cite for a method, as BibTeX."""

from collections.abc import Iterable

SONG2022 = """@inproceedings{song2022solving,
  title = {Solving Inverse Problems in Medical Imaging with Score-Based Generative Models},
  author = {Song, Yang and Shen, Liyue and Xing, Lei and Ermon, Stefano},
  booktitle = {International Conference on Learning Representations},
  year = {2022},
  eprint = {2111.08005}, archiveprefix = {arXiv},
}"""
SCORE_SDE = """@inproceedings{song2021score,
  title = {Score-Based Generative Modeling through Stochastic Differential Equations},
  author = {Song, Yang and Sohl-Dickstein, Jascha and Kingma, Diederik P. and Kumar, Abhishek and Ermon, Stefano and
    Poole, Ben},
  booktitle = {International Conference on Learning Representations},
  year = {2021},
  eprint = {2011.13456}, archiveprefix = {arXiv},
}"""
WORKS = {
    "ald_proximal": SONG2022,
    "daps": """@inproceedings{zhang2025improving,
  title = {Improving Diffusion Inverse Problem Solving with Decoupled Noise Annealing},
  author = {Zhang, Bingliang and Chu, Wenda and Berner, Julius and Meng, Chenlin and Anandkumar, Anima and Song, Yang},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2025},
  eprint = {2407.01521}, archiveprefix = {arXiv},
}""",
    "ddnm": """@inproceedings{wang2023zero,
  title = {Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model},
  author = {Wang, Yinhuai and Yu, Jiwen and Zhang, Jian},
  booktitle = {International Conference on Learning Representations},
  year = {2023},
  eprint = {2212.00490}, archiveprefix = {arXiv},
}""",
    "dds": """@inproceedings{chung2024decomposed,
  title = {Decomposed Diffusion Sampler for Accelerating Large-Scale Inverse Problems},
  author = {Chung, Hyungjin and Lee, Suhyeon and Ye, Jong Chul},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
  eprint = {2303.05754}, archiveprefix = {arXiv},
}""",
    "dds_dual": """@misc{du2026plug,
  title = {Plug-and-Play Diffusion Meets ADMM},
  author = {Du and others},
  year = {2026},
  eprint = {2602.23214}, archiveprefix = {arXiv},
}""",
    "diffpir": """@inproceedings{zhu2023denoising,
  title = {Denoising Diffusion Models for Plug-and-Play Image Restoration},
  author = {Zhu, Yuanzhi and Zhang, Kai and Liang, Jingyun and Cao, Jiezhang and Wen, Bihan and Timofte, Radu and
    Van Gool, Luc},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops},
  year = {2023},
  eprint = {2305.08995}, archiveprefix = {arXiv},
}""",
    "dpir": """@article{zhang2022plug,
  title = {Plug-and-Play Image Restoration with Deep Denoiser Prior},
  author = {Zhang, Kai and Li, Yawei and Zuo, Wangmeng and Zhang, Lei and Van Gool, Luc and Timofte, Radu},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  year = {2022},
  eprint = {2008.13751}, archiveprefix = {arXiv},
}""",
    "dps": """@inproceedings{chung2023diffusion,
  title = {Diffusion Posterior Sampling for General Noisy Inverse Problems},
  author = {Chung, Hyungjin and Kim, Jeongsol and Mccann, Michael T. and Klasky, Marc L. and Ye, Jong Chul},
  booktitle = {International Conference on Learning Representations},
  year = {2023},
  eprint = {2209.14687}, archiveprefix = {arXiv},
}""",
    "langevin": """@inproceedings{jalal2021robust,
  title = {Robust Compressed Sensing {MRI} with Deep Generative Priors},
  author = {Jalal, Ajil and Arvinte, Marius and Daras, Giannis and Price, Eric and Dimakis, Alexandros G. and
    Tamir, Jonathan I.},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2021},
  eprint = {2108.01368}, archiveprefix = {arXiv},
}""",
    "mcg": """@inproceedings{chung2022improving,
  title = {Improving Diffusion Models for Inverse Problems using Manifold Constraints},
  author = {Chung, Hyungjin and Sim, Byeongsu and Ryu, Dohoon and Ye, Jong Chul},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2022},
  eprint = {2206.00941}, archiveprefix = {arXiv},
}""",
    "pigdm": """@inproceedings{song2023pseudoinverse,
  title = {Pseudoinverse-Guided Diffusion Models for Inverse Problems},
  author = {Song, Jiaming and Vahdat, Arash and Mardani, Morteza and Kautz, Jan},
  booktitle = {International Conference on Learning Representations},
  year = {2023},
}""",
    "posterior_langevin": """@article{leimkuhler2013rational,
  title = {Rational Construction of Stochastic Numerical Methods for Molecular Sampling},
  author = {Leimkuhler, Benedict and Matthews, Charles},
  journal = {Applied Mathematics Research eXpress},
  year = {2013},
  eprint = {1203.5428}, archiveprefix = {arXiv},
}""",
    "red_diff": """@inproceedings{mardani2024variational,
  title = {A Variational Perspective on Solving Inverse Problems with Diffusion Models},
  author = {Mardani, Morteza and Song, Jiaming and Kautz, Jan and Vahdat, Arash},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
  eprint = {2305.04391}, archiveprefix = {arXiv},
}""",
    "score_sde": SCORE_SDE,
    "song2022": SONG2022,
    "split_gibbs": """@inproceedings{wu2024principled,
  title = {Principled Probabilistic Imaging using Diffusion Models as Plug-and-Play Priors},
  author = {Wu, Zihui and Sun, Yu and Chen, Yifan and Zhang, Bingliang and Yue, Yisong and Bouman, Katherine L.},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2024},
  eprint = {2405.18782}, archiveprefix = {arXiv},
}""",
    "unconditional": SCORE_SDE,
}


def citation(method: str) -> str:
    """The BibTeX entry of the work that a method comes from.

    Args:
        method: name of a sampler.

    Returns:
        The entry.

    Raises:
        ValueError: no such method.

    >>> print(scoreinv.citation("dps").splitlines()[0])
    @inproceedings{chung2023diffusion,
    """
    if method not in WORKS:
        raise ValueError(f"unknown method {method!r}; choose one of {', '.join(sorted(WORKS))}")
    return WORKS[method]


def what_to_cite(methods: Iterable[str]) -> str:
    """One line about the works that some methods come from, by the keys of their entries.

    Args:
        methods: names of samplers.

    Returns:
        The line.
    """
    keys = {method: citation(method).split("{", 1)[1].split(",", 1)[0] for method in sorted(set(methods))}
    named = ", ".join(f"{key} ({method})" for method, key in keys.items())
    return f"to cite: {named}; scoreinv.citation({next(iter(keys))!r}) prints the entry"
