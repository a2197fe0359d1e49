"""The image wing: convolution, the paper's convnets, CIFAR-10, and training.

A batch of images has the shape (channels, rows, cols, N). `import minishatter` does not
import this package: it compiles kernels that only images need.
"""

from . import checkpoint, clusters, conv, convnets, data, download, filters, fused, schedules, train
from .conv import AveragePool, BatchNorm2d, Conv2d, CReLU2d, Flatten, PerPixel, ReLU2d
from .convnets import convnet, convresnet, flat_convnet
from .fused import BatchNormReLU2d, CReLUConv2d

__all__ = ["AveragePool", "BatchNorm2d", "BatchNormReLU2d", "CReLU2d", "CReLUConv2d", "Conv2d", "Flatten", "PerPixel",
           "ReLU2d", "checkpoint", "clusters", "conv", "convnet", "convnets", "convresnet", "data", "download",
           "filters", "flat_convnet", "fused", "schedules", "train"]
