"""Schedules: the learning rate of each step of a training run.

A schedule has one method, `rate`, and no state: the rate is a function of the number of the step and of the losses
of the epochs before it. So a run that is continued from a checkpoint takes the steps of the run undisturbed.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from .. import arguments


class Schedule(ABC):
    """The base of all schedules."""

    @abstractmethod
    def rate(self, highest: float, step: int, losses: list[float]) -> float:
        """The rate of a step (from 0), at most `highest`; losses: the training losses of the finished epochs."""


@dataclass(frozen=True)
class Plateau(Schedule):
    """The paper's schedule: divide the rate by `factor` when the training loss has stopped falling.

    The rate of decrease is (loss `window` epochs ago - loss now) / window; when it has been below `threshold`
    `patience` times in a row, the learning rate drops and the count starts anew. The paper says ten epochs and
    five times; threshold and factor are ours.
    """

    window: int = 10
    threshold: float = 1e-3
    patience: int = 5
    factor: float = 10.0

    def __post_init__(self):
        arguments.integer("window", self.window)
        arguments.number("threshold", self.threshold)
        arguments.integer("patience", self.patience)
        arguments.number("factor", self.factor, low=1.0)

    def rate(self, highest: float, step: int, losses: list[float]) -> float:
        """highest / factor^drops, the same at every step of an epoch."""
        return highest / self.factor**self.drops(losses)

    def drops(self, losses: list[float]) -> int:
        """How often the rate has dropped after the epochs with these training losses."""
        count, drops = 0, 0
        for now in range(self.window, len(losses)):
            slow = (losses[now - self.window] - losses[now]) / self.window < self.threshold
            count = count + 1 if slow else 0
            if count == self.patience:
                count, drops = 0, drops + 1
        return drops


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from the highest rate down to 0 at step `steps`, after a linear warm-up.

    rate = highest (t + 1) / warmup                                      at steps t < warmup,
    rate = highest (1 + cos(pi (t - warmup) / (steps - warmup))) / 2     afterwards.

    The warm-up is for Adam: its first steps move every weight by the whole rate, whatever the gradient.
    A training run has ceil(images / batch) steps an epoch; the schedule must last for all of them.
    """

    steps: int
    warmup: int = 100

    def __post_init__(self):
        arguments.integer("steps", self.steps)
        if arguments.integer("warmup", self.warmup, least=0) >= self.steps:
            raise ValueError(f"warmup must be less than the {self.steps} steps, got {self.warmup}")

    def rate(self, highest: float, step: int, losses: list[float]) -> float:
        """The rate of the formulas above. Raises ValueError behind the end."""
        if not 0 <= step < self.steps:
            raise ValueError(f"step must lie in the schedule's 0..{self.steps - 1}, got {step}")
        if step < self.warmup:
            return highest * (step + 1) / self.warmup
        return highest * (1 + math.cos(math.pi * (step - self.warmup) / (self.steps - self.warmup))) / 2
