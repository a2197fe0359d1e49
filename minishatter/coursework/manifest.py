"""The tasks, in teaching order. Each is one function or method of the package; its body is what students write.

The package itself carries no mark of this: `source.py` finds the body by name. A
case of a task calls nothing that another task asks for (trials), so that a
grade never depends on another answer.
"""

from typing import NamedTuple


class Task(NamedTuple):
    """One function to be written."""

    number: str           # chapter.place, such as "2.1"
    file: str             # inside the package
    object: str           # the function, or Class.method
    points: int
    minutes: int          # for a student who has read the chapter's tutorial
    requires: tuple       # tasks to be understood before; grading does not need them
    tutorial: str         # the two digits of the tutorial to read before
    idea: str
    twins: tuple = ()     # functions of the same file that do the same: not to be called, so blank while grading

    @property
    def marker(self):
        """The pytest marker of its public cases."""
        return "task" + self.number.replace(".", "_")

    @property
    def name(self):
        """How messages and results call it."""
        return f"Task {self.number}: {self.object}"

    @property
    def message(self):
        """What the blanked function raises."""
        return f"{self.name}. Check yourself with: pytest -m {self.marker}"


TASKS = (
    Task("1.1", "layers.py", "Dense.backward", 8, 25, (), "01",
         "Pull a gradient back through y = x W + b: three products, and the shapes leave no choice."),
    Task("1.2", "layers.py", "ReLU.tangent", 4, 10, (), "01",
         "Push a direction forward through a rectifier: what was switched off stays off."),
    Task("1.3", "layers.py", "ReLU.backward", 4, 10, ("1.2",), "01",
         "A diagonal Jacobian is its own transpose; and the caller's dy is not yours to change."),
    Task("1.4", "layers.py", "CReLU.backward", 8, 25, ("1.3",), "01",
         "One input feeds two outputs, so two gradients come back: they add, one with a minus sign."),
    Task("2.1", "layers.py", "BatchNorm.backward", 14, 60, ("1.1",), "04",
         "The mean and the variance depend on every row, so the gradient goes through them too."),
    Task("2.2", "compose.py", "Sum.backward", 8, 30, ("1.1",), "06",
         "A skip connection reads x twice; at a fan-out gradients add, in plain sight."),
    Task("3.1", "init.py", "he", 4, 10, (), "02",
         "The variance that makes up for the half of the second moment that a rectifier drops."),
    Task("3.2", "init.py", "looks_linear", 8, 25, ("1.4", "3.1"), "02",
         "Mirrored weights behind a CReLU: a deep net that is linear until it is trained."),
    Task("4.1", "stats.py", "brown_noise", 4, 10, (), "02",
         "The gradient of a 1-layer net looks like a random walk; make one to compare with."),
    Task("4.2", "stats.py", "autocorrelation", 8, 35, ("4.1",), "03",
         "How fast a gradient forgets itself along the line: figure 2 of the paper."),
    Task("4.3", "stats.py", "coactivity", 6, 20, (), "04",
         "Counting pairs of inputs without a loop over pairs: the quarter behind the theorems."),
    Task("5.1", "theory.py", "gated_gradients", 12, 60, ("3.1",), "05",
         "Theorem 1 by Monte Carlo: draw nets that satisfy its assumption exactly."),
    Task("5.2", "gradients.py", "readable_gradient", 8, 40, ("1.2",), "02",
         "f'(x) on a whole grid in one forward pass, with the batch statistics held.", twins=("input_gradient",)),
    Task("5.3", "stats.py", "effective_rank", 4, 15, (), "05",
         "How many directions a set of gradients really has."),
)

TOTAL = sum(task.points for task in TASKS)
