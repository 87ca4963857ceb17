"""First weights: file formats, transfer between networks, fine-tuning."""
