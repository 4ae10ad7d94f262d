"""The compiled kernels of ingestion: which build of them is loaded, if any.

C without NumPy or Python's own headers, called through ctypes, which lets go of the interpreter's
lock meanwhile. What they answer is what the Python beside them answers, which does their work where
none can be loaded. ``ETL_KERNELS`` asks for one build by its name, or for "reference".
"""

from pathlib import Path

from ml_core.builds import Kernels

KERNELS = Kernels(
    Path(__file__).parent, "ETL_KERNELS", "The ingestion engine", "the Python they stand for"
)
