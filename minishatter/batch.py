"""The two kinds of batch: which axis is what.

    units    (N, units)                    one input per row
    images   (channels, rows, cols, N)     the batch last, see conv.py; a channel is what a unit is there
"""


def unit_axis(x):
    """The axis of the units, or of the channels."""
    return 1 if x.ndim == 2 else 0


def batch_axes(x):
    """The axes to average over for each unit: the batch, and for images all pixels."""
    return 0 if x.ndim == 2 else (1, 2, 3)


def per_unit(values, x):
    """One number per unit, (units,), in the shape that goes with x."""
    return values if x.ndim == 2 else values[:, None, None, None]


def unit_mean(x):
    """The mean of each unit over the batch, in the shape that goes with x."""
    return x.mean(axis=batch_axes(x), keepdims=True)


def check_width(layer, x, units, images=True):
    """Raise ValueError unless x is a batch of so many units, or, if images will do, channels."""
    images = images and x.ndim == 4
    if x.ndim != 2 and not images or x.shape[0 if images else 1] != units:
        shape = f"({units}, rows, cols, N)" if images else f"(N, {units})"
        raise ValueError(f"{layer} expects x of shape {shape}, got {x.shape}; do the layers chain? "
                         "(a CReLU doubles the number of units)")
