"""Video files to feature sequences, without PyTorch: decode, CNN through a backend, log-mel statistics of the sound.

A feature vector is made for each sampled frame: the CNN's pooled features, then the mean and the standard deviation of
the log-mel spectrum of the sound around it. PyTorch is needed once, to write the CNN's graph (`default_extractor`).
"""

from jsf.extraction.extractor import Extractor
from jsf.extraction.files import Report, extract_files
from jsf.extraction.make import DEFAULT, default_extractor

__all__ = ["DEFAULT", "Extractor", "Report", "default_extractor", "extract_files"]
