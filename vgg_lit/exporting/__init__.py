"""Export of trained networks: programs that run without vgg_lit, comparison with PyTorch, model card."""
