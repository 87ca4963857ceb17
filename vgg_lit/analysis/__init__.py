"""Numbers and pictures from a model or a run; knows nothing of training."""
