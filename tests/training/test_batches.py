"""Which examples stand in which batch."""

from itertools import chain, combinations

import pytest
import torch

from stages.training.batches import BatchSampler


def lengths_of(size):
    return torch.randint(5, 100, (size,), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [205, 2005])
def test_order_covers_each_epoch_once(size):
    order, steps = BatchSampler(lengths_of(size), 10, 3, 50), -(-size // 10)
    first, second = ([order.at(e * steps + i) for i in range(steps)] for e in (0, 1))
    assert all(sorted(chain.from_iterable(epoch)) == list(range(size)) for epoch in (first, second)) and first != second
    assert [BatchSampler(lengths_of(size), 10, 3, 50).at(steps + 4)] == second[4:5]


def test_batches_are_of_similar_length_where_the_data_are_many():
    lengths = lengths_of(2005)
    order = BatchSampler(lengths, 10, 3, 50)
    spread = [(lengths[order.at(i)].max() - lengths[order.at(i)].min()).item() for i in range(201)]
    assert sum(spread) / len(spread) < 10


@pytest.mark.parametrize("size", [50, 100, 200, 500, 1490])
def test_in_low_data_examples_that_met_meet_again_by_chance_alone(size):
    """Batches of similar length among so few would be the same in every epoch."""
    one, other = (BatchSampler(lengths_of(size), 10, seed, 50) for seed in (101, 102))
    epochs = [
        {pair for i in range(size // 10) for pair in combinations(sorted(order.at(epoch * (size // 10) + i)), 2)}
        for order in (one, other) for epoch in range(4)
    ]  # fmt: skip
    again = [len(a & b) / len(a) for a, b in combinations(epochs, 2)]
    chance = 9 / (size - 1)
    assert chance * 0.7 < sum(again) / len(again) < chance * 1.3
