"""Video files to feature sequences, without PyTorch: decode, CNN through a backend, log-mel statistics of the sound.

A feature vector is made for each sampled frame: the CNN's pooled features, then the mean and the standard deviation of
the log-mel spectrum of the sound around it. PyTorch is needed once, to write the CNN's graph (`default_extractor`).
"""

from jsf.extraction.extractor import DEFAULT, Extractor, default_extractor
from jsf.extraction.files import extract_files

__all__ = ["DEFAULT", "Extractor", "default_extractor", "extract_files"]
