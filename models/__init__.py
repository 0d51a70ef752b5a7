"""The networks, and nothing else. PyTorch."""
