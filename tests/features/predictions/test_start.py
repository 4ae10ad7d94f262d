"""The API process starts without the libraries that only data and models need."""

import subprocess
import sys

HEAVY = ("numpy", "pyarrow", "mlflow")  # `ml_core` itself loads nothing before it is used
CODE = f"""
import sys
from astralytiq import wiring
wiring.load_tables()
wiring.routers()
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_the_doors_open_without_numpy_arrow_and_mlflow() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
