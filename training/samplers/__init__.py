"""Samplers: which training rows make an epoch, and in which order."""

from training.samplers.base import Labels, Sampler, Shuffled
from training.samplers.composition import Composition, composition
from training.samplers.hard_pairs import HardNegative
from training.samplers.quantile import QuantileStratified

__all__ = [
    "Composition",
    "HardNegative",
    "Labels",
    "QuantileStratified",
    "Sampler",
    "Shuffled",
    "composition",
]
