"""The parts of `leukotrain.retrain`."""
