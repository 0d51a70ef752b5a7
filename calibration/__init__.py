"""Reduced precision written into the graphs: FP16 conversion and what it costs. onnx and onnxruntime, never torch."""
