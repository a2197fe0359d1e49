"""minishatter: The Shattered Gradients Problem (Balduzzi et al., ICML 2017) as an executable edition.

Vocabulary:
    layer       forward, tangent and backward, as pure functions of its params   layers.py
    net         layers in a Chain; a skip connection is Sum(Identity(), branch)  compose.py
    gradient    df/dx of a scalar net at each point of a grid of inputs          gradients.py
    shattered   neighbouring points have uncorrelated gradients                  stats.py
    held,       the two meanings of "the gradient" in a net with batch
    through     statistics: constants, or functions of the batch                 gradients.py

Read the files in the order of READING_ORDER; `python -m minishatter` prints it.
"""

from . import arguments, check, compose, correlation_maps, files, gradients, init, intervals, layers, nets, norms
from . import pointwise, probe, regions, stats, sweep, tangent_kernel, theory, wide
from .compose import Chain, Sum, active_units, freeze, trace
from .layers import Affine, BatchNorm, Center, CReLU, Dense, Identity, Layer, PReLU, ReLU
from .norms import LayerNorm, RMSNorm
from .pointwise import Pointwise

__version__ = "0.1.0"

__all__ = ["Affine", "BatchNorm", "CReLU", "Center", "Chain", "Dense", "Identity", "Layer", "LayerNorm", "PReLU",
           "Pointwise", "RMSNorm", "ReLU", "Sum", "active_units", "arguments", "check", "compose", "correlation_maps",
           "files", "freeze", "gradients", "init", "intervals", "layers", "nets", "norms", "pointwise", "probe",
           "regions", "stats", "sweep", "tangent_kernel", "theory", "trace", "wide"]

READING_ORDER = (
    "arguments", "layers", "norms", "pointwise", "compose", "init", "nets", "check", "kernels", "duals", "gradients",
    "intervals", "stats", "probe", "theory", "correlation_maps", "wide", "tangent_kernel", "regions", "look", "files",
    "sweep", "plot", "running", "report", "explore", "film", "images.vectors", "images.kernels",
    "images.channel_kernels", "images.conv", "images.fused", "images.filters", "images.convnets",
    "images.clusters", "images.download", "images.data", "images.checkpoint", "images.schedules", "images.train")
