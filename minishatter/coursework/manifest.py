"""The tasks, in teaching order. Each is one function or method of the package; its body is what students write.

The package itself carries no mark of this: `source.py` finds the body by name, and HIDDEN names the
texts above a hole that would give it away. A case of a task calls nothing that another task asks
for (trials), so that a grade depends on another answer only if the student's function calls it.
"""

from typing import NamedTuple


class Task(NamedTuple):
    """One function to be written."""

    number: str           # chapter.place, such as "2.1"
    file: str             # inside the package
    object: str           # the function, or Class.method
    points: int
    minutes: int          # for a student who has read the chapter's tutorial
    requires: tuple       # tasks to be done before; an answer may call the student's own answers to them
    tutorial: str         # the two digits of the tutorial to read before ...
    shows: str            # ... and a word in it that says that it prepares for this
    idea: str
    twins: tuple = ()     # "module.function" of what does the same: not to be called, so blank while grading
    docstring: str = ""   # of a method whose equation is in the docstring of its class

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

    @property
    def builds_on(self):
        """The numbers of the tasks whose answers this one may call: those required, and what they require."""
        found = dict.fromkeys(self.requires)
        for number in self.requires:
            found |= dict.fromkeys(next(task for task in TASKS if task.number == number).builds_on)
        return tuple(sorted(found))

    def must_not_call(self, function, number=""):
        """What a function raises that is not to be called here: another task's, or one that does the same."""
        may = f"your answers to {', '.join(self.builds_on)}" if self.builds_on else "no other task's answer"
        why = f"task {number}; it may call {may}" if number else "it does the same another way"
        return f"{self.name} must not call {function}: {why}"


TASKS = (
    Task("1.1", "layers.py", "Dense.backward", 8, 25, (), "01", "Dense",
         "Pull a gradient back through y = x W + b: three products, and the shapes leave no choice.",
         docstring="dy (N, fan_out) -> dx (N, fan_in), and the gradients of W and b by name, in their shapes."),
    Task("1.2", "layers.py", "ReLU.tangent", 4, 10, (), "01", "Tangent",
         "Push a direction forward through a rectifier: what was switched off stays off.",
         docstring="t (N, units) -> J t (N, units)."),
    Task("1.3", "layers.py", "ReLU.backward", 4, 10, ("1.2",), "01", "Backward",
         "A diagonal Jacobian is its own transpose; and the caller's dy is not yours to change.",
         docstring="dy (N, units) -> dx (N, units), and no gradients of parameters: {}."),
    Task("1.4", "layers.py", "CReLU.backward", 8, 25, ("1.3",), "00", "CReLU",
         "One input feeds two outputs, so two gradients come back: they add, one with a minus sign.",
         docstring="dy (N, 2 units), in the order of y -> dx (N, units), and no gradients of parameters: {}."),
    Task("2.1", "layers.py", "BatchNorm.backward", 14, 60, ("1.1",), "00", "BatchNorm",
         "The mean and the variance depend on every row, so the gradient goes through them too.",
         twins=("norms.LayerNorm.backward", "norms.RMSNorm.backward"),
         docstring="dy (N, units) -> dx (N, units), and the gradients of scale and shift, (units,) each, by name."),
    Task("2.2", "compose.py", "Sum.backward", 8, 30, ("1.1",), "00", "Sum",
         "A skip connection reads x twice; at a fan-out gradients add, in plain sight.",
         docstring="dy, as y -> dx, as x, and the gradients of the branches' parameters, named as in `params`."),
    Task("3.1", "init.py", "he", 4, 10, (), "02", "He weights",
         "The variance that makes up for the half of the second moment that a rectifier drops."),
    Task("3.2", "init.py", "looks_linear", 8, 25, ("1.4", "3.1"), "08", "looks_linear",
         "Mirrored weights behind a CReLU: a deep net that is linear until it is trained."),
    Task("4.1", "stats.py", "brown_noise", 4, 10, (), "02", "brown_noise",
         "The gradient of a 1-layer net looks like a random walk; make one to compare with."),
    Task("4.2", "stats.py", "autocorrelation", 8, 35, ("4.1",), "03", "stats.autocorrelation",
         "How fast a gradient forgets itself along the line: figure 2 of the paper."),
    Task("4.3", "stats.py", "coactivity", 6, 20, (), "04", "coactivity",
         "Counting pairs of inputs without a loop over pairs: the quarter behind the theorems."),
    Task("5.1", "theory.py", "gated_gradients", 12, 60, ("3.1",), "05", "gated_gradients",
         "Theorem 1 by Monte Carlo: draw nets that satisfy its assumption exactly."),
    Task("5.2", "gradients.py", "readable_gradient", 8, 40, ("1.2",), "01", "input_gradient",
         "f'(x) on a whole grid in one forward pass, with the batch statistics held.",
         twins=("gradients.input_gradient", "gradients.neuron_gradients", "duals.*")),
    Task("5.3", "stats.py", "effective_rank", 4, 15, (), "07", "effective_rank",
         "How many directions a set of gradients really has."),
)

TOTAL = sum(task.points for task in TASKS)

# Texts above the holes that are the answer: (file, text, what students read in its place).
HIDDEN = (
    ("layers.py", "J t = t W;  dx = dy W^T;  dW = x^T dy;  db = sum of dy over the batch.", "J t = t W."),
    ("layers.py", '"""y = max(x, 0).   J t = t where x > 0, else 0;  dx = dy where x > 0, else 0."""',
     '"""y = max(x, 0), the rectifier."""'),
    ("layers.py", " x feeds both halves, so both send\n    a gradient back: J t = (t, -t) where active, else 0;  "
     "dx = d_positive - d_negative,\n    the halves of dy where active.\n",
     "\n    J t = (t, -t) where active, else 0.\n"),
    ("layers.py", "    dx = (dxhat - mean dxhat - xhat * mean(xhat * dxhat)) / std,  with dxhat = scale * dy;\n"
     "    d scale = sum of dy * xhat;  d shift = sum of dy. Derived below.\n", "    the tangent is derived below.\n"),
    ("layers.py", " For backward we need the transpose. P is the identity minus two averages,\n"
     "    # and <u, P t> = <P u, t> term by term: <u, mean t> = <mean u, t>, "
     "and <u, xhat mean(xhat t)> = N mean(xhat u)\n"
     "    # mean(xhat t) = <xhat mean(xhat u), t>. So P is its own transpose, and dx = P dxhat / std.\n", "\n"),
    ("norms.py", " For backward, t -> xhat mean(xhat t) is its own\n    # transpose, since <u, xhat mean(xhat t)> = "
     "units mean(xhat u) mean(xhat t), and both are row by row.\n", "\n"),
    ("compose.py", " = sum over k of <J_k^T (w_k dy), t>.\n\n    J^T dy is what stands on the left of t: "
     "dx = sum over k of J_k^T (w_k dy). Where a path forks, gradients add.\n",
     ".\n\n    J^T dy is what stands on the left of t, when t is alone on the right.\n"),
)
