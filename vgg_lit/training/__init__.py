"""The train command: new and resumed runs, learning-rate and batch-size search, training and test."""
