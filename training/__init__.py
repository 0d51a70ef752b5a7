"""Losses, batches and the training loop. PyTorch and Lightning."""
