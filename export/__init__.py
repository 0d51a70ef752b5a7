"""Checkpoint -> ONNX bundle (PyTorch); bundle -> engine (no PyTorch: it runs on a Jetson)."""
