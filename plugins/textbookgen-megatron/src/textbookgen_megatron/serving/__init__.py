"""Generation and scoring with a trained model: loading, batched decoding, and the process that serves both."""
