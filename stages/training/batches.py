"""Which examples a run trains on at each step.

The order depends only on the run's seed and on the number of the step. A resumed training, and several runs that train
in one batch, therefore see the same examples as one uninterrupted run.
"""

import torch

# Batches of similar length are formed only if the data have at least this many pools. With fewer, they would be nearly
# the same in every epoch. Measured with batches of 10 and pools of 50 batches: of the pairs of examples that share a
# batch, 71% share one again in the next epoch with one pool, 25% with two and 18% with three. The last number is also
# that of 50 examples which are only shuffled.
POOLS = 3


class BatchSampler:
    """Draws the batches of a run: examples are shuffled every epoch; many are batched by similar length."""

    def __init__(self, lengths: torch.Tensor, batch_size: int, seed: int, length_pool: int):
        """`lengths` [examples]: tokens of source and target together. `length_pool` is as in `Training`, in batches."""
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        self.pool = length_pool * batch_size  # examples
        self.per_epoch = -(-len(lengths) // batch_size)
        self.by_length = len(lengths) >= POOLS * self.pool
        self._epoch, self._plan = -1, []

    def _draw(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch: indices of examples."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        shuffled = torch.randperm(len(self.lengths), generator=generator)
        batches = []
        for pool in shuffled.split(self.pool if self.by_length else self.batch_size):
            by_length = pool[self.lengths[pool].argsort(stable=True)]
            batches.extend(part.tolist() for part in by_length.split(self.batch_size))
        return [batches[i] for i in torch.randperm(len(batches), generator=generator)]

    def at(self, step: int) -> list[int]:
        """The indices of the examples of a step. Steps are counted from 0 over all epochs."""
        epoch, index = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._plan = epoch, self._draw(epoch)
        return self._plan[index]
