"""Which examples a run sees at each step.

The order of a run depends on its seed and the number of the step alone, so that a resumed training and
runs that train side by side see what a run alone sees.
"""

import torch

# Batches of similar length are formed where the data are at least so many pools of examples. Among few they would be nearly the
# same in every epoch: of pairs that meet in a batch of 10, 71% meet again in the next one where the data are one pool of 50
# batches, 25% of two and 18% of three, as of 50 examples that are shuffled alone.
POOLS = 3


class BatchSampler:
    """Which examples a run sees at each step: shuffled every epoch; in batches of similar length if they are many."""

    def __init__(self, lengths: torch.Tensor, batch_size: int, seed: int, length_pool: int):
        """`lengths` [examples] are those of source and target together; `length_pool` is as in `Training`."""
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        self.pool = length_pool * batch_size  # examples
        self.per_epoch = -(-len(lengths) // batch_size)
        self.by_length = len(lengths) >= POOLS * self.pool
        self._epoch, self._plan = -1, []

    def _draw(self, epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        shuffled = torch.randperm(len(self.lengths), generator=generator)
        batches = []
        for pool in shuffled.split(self.pool if self.by_length else self.batch_size):
            by_length = pool[self.lengths[pool].argsort(stable=True)]
            batches.extend(part.tolist() for part in by_length.split(self.batch_size))
        return [batches[i] for i in torch.randperm(len(batches), generator=generator)]

    def at(self, step: int) -> list[int]:
        """Indices of the examples of a step, counted from 0 over all epochs."""
        epoch, index = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._plan = epoch, self._draw(epoch)
        return self._plan[index]
