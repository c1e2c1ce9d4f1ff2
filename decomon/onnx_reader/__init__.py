"""Networks in ONNX files, as Keras models."""

from decomon.onnx_reader.reading import OnnxError, OnnxNetwork, read_onnx

__all__ = ["OnnxError", "OnnxNetwork", "read_onnx"]
