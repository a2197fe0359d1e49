"""The written questions: students get the text, instructors also the solution and what to give points for."""

from typing import NamedTuple


class Question(NamedTuple):
    """One written question; it follows the chapter of the tasks whose numbers start with `chapter`."""

    chapter: int
    text: str
    solution: str
    points: int
    rubric: str


QUESTIONS = (
    Question(1,
             "A CReLU sends one input x to the outputs max(x, 0) and max(-x, 0). Why does the gradient of the second "
             "output enter with a minus sign, and why is exactly one of the two outputs active even at x = 0?",
             "The second output is the rectifier of -x, so the chain rule brings the derivative of -x, which is -1. At "
             "x = 0 neither max is strictly positive; the layer counts the second as active by convention (not x > 0), "
             "so that a mirrored weight matrix gives the same linear map on both sides of 0 and at 0.",
             5, "3 for the chain rule, 2 for the convention and what it is good for."),
    Question(2,
             "Add the same number to every row of one column of dy, behind a BatchNorm. What happens to dx, and why? "
             "What does this say about checking a backward rule with dy = 1?",
             "Nothing: y has a fixed mean over the batch (shift), so no change of x changes the sum of a column of y, "
             "and a constant dy pulls back to zero. With dy = 1 every rule that returns zeros, and many wrong ones, "
             "pass: use a random dy.",
             6, "2 for 'nothing', 2 for the invariance, 2 for the consequence."),
    Question(2,
             "In a skip connection y = x + F(x), a student writes the second branch's gradient over the first's "
             "instead of adding them. Which tests still pass?",
             "Those in which one of the two is zero or is not looked at: tests of forward, of the parameters' "
             "gradients inside the branch, of F alone. Any check of dx against a finite difference or of <dy, J t> = "
             "<J^T dy, t> fails.",
             5, "3 for what passes, 2 for a check that catches it."),
    Question(3,
             "He weights keep the second moment of a signal behind a rectifier. Why do they need the factor 2, and "
             "what is the right factor behind a CReLU whose outputs are both counted in fan_in?",
             "A symmetric signal loses half of its second moment in the rectifier, so weights of variance 2 / fan_in "
             "make up for it. A CReLU loses nothing: the squares of its two outputs add up to the square of its input. "
             "Summed over all 2 n outputs, the second moment is that of the n inputs. The variance that keeps it is 1 "
             "/ n, which is 2 / fan_in if fan_in counts both outputs: the same number, but now because fan_in counts "
             "each input twice.",
             5, "3 for the half, 2 for a count behind a CReLU that is consistent and said."),
    Question(4,
             "The autocorrelation of 256 steps of a random walk at lag 14 is about 0.65 with the mean subtracted and "
             "about 0.81 without. Which is right? Which would you plot, and what would you write beside it?",
             "Neither is right or wrong: they are different functions of the series. Subtracting the mean of a short "
             "series removes its slow part and pulls the curve down. Any is fine if the plot says which it is, and if "
             "curves that are compared use the same one.",
             6, "2 for 'two definitions', 2 for the reason, 2 for saying which."),
    Question(5,
             "Theorem 1 assumes that a unit is active for half of the inputs and co-active for a quarter of the pairs, "
             "independently of the weights. Name one kind of net that comes close to this, one that does not, and what "
             "then happens to the correlation of gradients with depth.",
             "Nets with batch normalisation come close: each unit is centred on the batch, and deep signals "
             "decorrelate. Plain He nets do not: signals of different inputs align with depth, units end up always on "
             "or always off, co-activity climbs to a half, and the correlation falls like a power of the depth instead "
             "of 2^-L.",
             8, "2 for each net, 4 for power against exponential."),
)

TOTAL = sum(question.points for question in QUESTIONS)
