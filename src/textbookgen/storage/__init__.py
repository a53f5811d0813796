"""What is kept on disk: the work folder of steps and runs, and the ledger of replies."""
