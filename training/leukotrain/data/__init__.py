"""Data for training: sources, manifests, splits."""
