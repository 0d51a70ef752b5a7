"""Scoring without PyTorch: the bundle, the backends that run its graphs, and the scorer on top."""
