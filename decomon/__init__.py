"""Certified robustness for Keras models.

Given a set of inputs, decomon computes proven bounds on a network's outputs and decides whether its
label can change anywhere in the set.
"""

from decomon import domains, errors, methods, models, ops
from decomon.accuracy import CertifiedAccuracy, certified_accuracy
from decomon.attacks import Attacked, attack, attack_box, attack_noise
from decomon.certify import Certificate, Verdict, certify
from decomon.dataset import ChunkFailure, DatasetCertificate, certify_dataset
from decomon.domains import (
    AffineDomain,
    BallDomain,
    BoxDomain,
    Domain,
    GridDomain,
    VertexDomain,
    brightness,
    contrast,
)
from decomon.errors import DomainError, NonFiniteBoundError, UnsupportedModelError
from decomon.models import DecomonModel, clone, convert
from decomon.onnx_reader import OnnxError, read_onnx
from decomon.outputs import OutputBounds
from decomon.radius import CertifiedRadius, certified_radius
from decomon.refinement import refine_box, refine_boxes
from decomon.robustness import (
    LogitsWarning,
    Range,
    check_adv,
    get_adv,
    get_lower,
    get_range,
    get_upper,
)
from decomon.robustness_box import (
    check_adv_box,
    get_adv_box,
    get_lower_box,
    get_lower_box_tuning,
    get_range_box,
    get_upper_box,
    get_upper_box_tuning,
)
from decomon.robustness_noise import (
    check_adv_noise,
    get_adv_noise,
    get_lower_noise,
    get_range_noise,
    get_upper_noise,
)
from decomon.verification import Verification, verify, verify_box, verify_noise
from decomon.vnnlib import VnnlibError, VnnlibResult, read_vnnlib, verify_vnnlib

__all__ = [
    "AffineDomain",
    "Attacked",
    "BallDomain",
    "BoxDomain",
    "Certificate",
    "CertifiedAccuracy",
    "CertifiedRadius",
    "ChunkFailure",
    "DatasetCertificate",
    "DecomonModel",
    "Domain",
    "DomainError",
    "GridDomain",
    "LogitsWarning",
    "NonFiniteBoundError",
    "OnnxError",
    "OutputBounds",
    "Range",
    "UnsupportedModelError",
    "Verdict",
    "Verification",
    "VertexDomain",
    "VnnlibError",
    "VnnlibResult",
    "attack",
    "attack_box",
    "attack_noise",
    "brightness",
    "certified_accuracy",
    "certified_radius",
    "certify",
    "certify_dataset",
    "check_adv",
    "check_adv_box",
    "check_adv_noise",
    "clone",
    "contrast",
    "convert",
    "domains",
    "errors",
    "get_adv",
    "get_adv_box",
    "get_adv_noise",
    "get_lower",
    "get_lower_box",
    "get_lower_box_tuning",
    "get_lower_noise",
    "get_range",
    "get_range_box",
    "get_range_noise",
    "get_upper",
    "get_upper_box",
    "get_upper_box_tuning",
    "get_upper_noise",
    "methods",
    "models",
    "ops",
    "read_onnx",
    "read_vnnlib",
    "refine_box",
    "refine_boxes",
    "verify",
    "verify_box",
    "verify_noise",
    "verify_vnnlib",
]
