"""What needs torch, transformers and TRL: imported by the training process alone."""
