"""The image wing: convolution, the paper's convnets, CIFAR-10, and training.

A batch of images has the shape (channels, rows, cols, N). `import minishatter` does not
import this package: it compiles kernels that only images need.
"""

from . import checkpoint, conv, convnets, data, download, filters, schedules, train
from .conv import AveragePool, BatchNorm2d, Conv2d, Flatten, PerPixel
from .convnets import convnet, convresnet, flat_convnet

__all__ = ["AveragePool", "BatchNorm2d", "Conv2d", "Flatten", "PerPixel", "checkpoint", "conv", "convnet", "convnets",
           "convresnet", "data", "download", "filters", "flat_convnet", "schedules", "train"]
