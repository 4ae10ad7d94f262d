"""Models for other runtimes, in the ONNX format, written without any library."""

from ml_core.onnx.clustering import kmeans_to_onnx
from ml_core.onnx.forest import forest_to_onnx
from ml_core.onnx.scores import boosted_to_onnx, linear_to_onnx

__all__ = ["boosted_to_onnx", "forest_to_onnx", "kmeans_to_onnx", "linear_to_onnx"]
