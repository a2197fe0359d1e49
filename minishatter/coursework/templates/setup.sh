#!/usr/bin/env bash
# Builds the image, once. The package is not installed: a child process finds NumPy, and no reference.
set -euo pipefail
apt-get update
apt-get install -y python3 python3-venv
python3 -m venv /autograder/venv
/autograder/venv/bin/pip install "numpy>=1.24" "numba>=0.59"
chmod -R go-rwx /autograder/source
