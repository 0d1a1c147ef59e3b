"""The training loop: steps, loss, optimisers, batches, checkpoints."""
