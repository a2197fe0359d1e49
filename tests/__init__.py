"""The tests.

STRICT is for a Python that a test starts: warnings are errors, but what other packages deprecate in one another is
theirs to mend. What we call ourselves is an error in the tests' own process (filterwarnings in setup.cfg).
"""

STRICT = ("-W", "error", "-W", "ignore::DeprecationWarning")
