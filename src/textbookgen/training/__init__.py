"""The kit that trainer plugins share: options, packed data, checkpoints, chat templates, generation and model processes."""
