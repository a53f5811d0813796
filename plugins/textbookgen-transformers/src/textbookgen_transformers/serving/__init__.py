"""A trained model at work: completing and scoring many texts at once, and the process that does."""
