"""The image wing: convolution, the paper's convnets, CIFAR-10, and training.

A batch of images has the shape (channels, rows, cols, N). `import minishatter` does not
import this package: it compiles kernels that only images need.
"""

from . import checkpoint, clusters, conv, convnets, crelu_conv, data, download, filters, schedules, train
from .conv import AveragePool, BatchNorm2d, Conv2d, CReLU2d, Flatten, PerPixel, ReLU2d
from .convnets import convnet, convresnet, flat_convnet
from .crelu_conv import CReLUConv2d

__all__ = ["AveragePool", "BatchNorm2d", "CReLU2d", "CReLUConv2d", "Conv2d", "Flatten", "PerPixel", "ReLU2d",
           "checkpoint", "clusters", "conv", "convnet", "convnets", "convresnet", "crelu_conv", "data", "download",
           "filters", "flat_convnet", "schedules", "train"]
