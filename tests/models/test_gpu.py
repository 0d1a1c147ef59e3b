"""What only a GPU can show."""

import pytest
import torch

from stages.methods.prefix import Prefix
from stages.models.batches import Batch, Example
from stages.training.loop import clip_each_run
from stages.training.step import backward

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

EXAMPLES = [Example([5, 300, 700], [4, 8, 15, 2]), Example([42, 7, 9, 11, 13], [23, 2]), Example([7], [3, 1, 2])]


def test_the_host_never_waits_in_a_step(any_lm):
    """torch raises where the host would wait for the device: from the second step on, which sets nothing up."""
    any_lm.model.to("cuda")
    method = Prefix(any_lm, 4, 8, [1, 2], dropout=0.1)
    any_lm.compute_in(torch.bfloat16)
    parameters = method.trainable_parameters()
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, fused=True)
    seen = torch.zeros(2, device=any_lm.device)
    try:
        for step in range(3):
            if step:
                torch.cuda.set_sync_debug_mode("error")
            batch = Batch.of(EXAMPLES, [0, 1, 0], any_lm.device)
            seen += backward(any_lm, method(step), [batch], 2, "sequence_sum")
            clip_each_run(parameters, 1.0, 2)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert seen.isfinite().all()
