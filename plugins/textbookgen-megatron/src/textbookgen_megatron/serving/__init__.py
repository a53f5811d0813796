"""A trained model at work: a lean forward pass in torch alone, generation with a cache, and the process that serves both."""
