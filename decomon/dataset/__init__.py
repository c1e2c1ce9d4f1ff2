"""Certification of whole data sets, on any executor."""

from decomon.dataset.certificate import ChunkFailure, DatasetCertificate
from decomon.dataset.run import CertificationInterrupted, IncompleteWarning, certify_dataset

__all__ = [
    "CertificationInterrupted",
    "ChunkFailure",
    "DatasetCertificate",
    "IncompleteWarning",
    "certify_dataset",
]
