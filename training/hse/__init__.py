"""Trains HSE and FSE."""
