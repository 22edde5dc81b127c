"""Cell crops in, class probabilities out."""
