"""Optimisers leave runs that train side by side alone; Adafactor is transformers', of a run's parameters as Lester et al. have it."""

import pytest
import torch
from transformers import Adafactor

from stages.core.run_config import Training
from stages.training.checkpoint import Checkpoint
from stages.training.optimizer import adafactor, lr_factor

TRAINING = Training(
    lr=0.3, epochs=None, steps=5, batch_size=2, warmup_steps=0,
    loss="token_mean", lm_dropout=False, optimizer="adafactor", schedule="constant", weight_decay=1e-2, clip_norm=None,
    decay_rate=-0.8, length_pool=50,
)  # fmt: skip


def gradients(step, shape):
    return (
        torch.randn(shape, generator=torch.Generator().manual_seed(step))
        * torch.tensor([1.0, 30.0, 0.01])[:, None, None]
    )


def start():
    return torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(99))


def same_steps(together, alone, each_step):
    """Ours over all runs at once ends where transformers' over each run ends; of vectors it factors nothing."""
    alone = [torch.nn.Parameter(parameter.detach().flatten()) for parameter in alone]
    ours = adafactor([together], TRAINING, True)
    theirs = Adafactor(alone, lr=0.3, weight_decay=1e-2, scale_parameter=False, relative_step=False)
    for gradient_of_runs in each_step:
        together.grad = gradient_of_runs
        for parameter, gradient in zip(alone, gradient_of_runs, strict=True):
            parameter.grad = gradient.flatten().clone()
        ours.step()
        theirs.step()
    ended = torch.stack([parameter.data for parameter in alone]).view_as(together)
    torch.testing.assert_close(together.data, ended, atol=1e-6, rtol=1e-6)


def test_adafactor_of_several_runs_is_transformers_of_each():
    """As Lester et al. use it: a constant rate, no scaling by the parameters' size."""
    together = torch.nn.Parameter(start())
    alone = [torch.nn.Parameter(one) for one in start()]
    same_steps(together, alone, [gradients(step, (3, 4, 6)) for step in range(5)])
    assert (together.data - start()).abs().min() > 0


def test_a_second_moment_of_each_number():
    """The update of a prompt as their code has it for what it does not factor, and a prompt is such: written out."""
    together, value, moment = torch.nn.Parameter(start()), start(), torch.zeros(3, 4, 6)
    optimizer = adafactor([together], TRAINING, True)
    for step in range(1, 6):
        gradient = gradients(step, (3, 4, 6))
        together.grad = gradient.clone()
        optimizer.step()
        kept = 1 - step**-0.8
        moment = kept * moment + (1 - kept) * (gradient.square() + 1e-30)
        update = gradient / moment.sqrt()
        update = update / update.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1.0)
        value = value - 0.3 * update - 0.3 * 1e-2 * value
        torch.testing.assert_close(together.data, value, atol=1e-5, rtol=1e-5)


def test_vectors_of_several_runs_do_not_mix():
    """[runs, n], such as the biases of heads: factored over the runs, they would."""
    together = torch.nn.Parameter(torch.ones(3, 6))
    alone = [torch.nn.Parameter(torch.ones(6)) for _ in range(3)]
    same_steps(together, alone, [gradients(step, (3, 4, 6))[:, 0] for step in range(4)])


def test_the_models_own_weights_are_trained_as_transformers_trains_them():
    shapes = ((4, 6), (6,), (2, 4, 6))
    ours, theirs = ([torch.nn.Parameter(torch.ones(shape)) for shape in shapes] for _ in range(2))
    optimizers = (
        adafactor(ours, TRAINING, False),
        Adafactor(theirs, lr=0.3, weight_decay=1e-2, scale_parameter=False, relative_step=False),
    )
    for parameters, optimizer in zip((ours, theirs), optimizers, strict=True):
        generator = torch.Generator().manual_seed(1)
        for _ in range(3):
            for parameter in parameters:
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_adafactor_goes_on_from_a_checkpoint(tmp_path):
    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.vectors = torch.nn.Parameter(start())

    def steps(module, optimizer, numbers):
        for step in numbers:
            module.vectors.grad = gradients(step, (3, 4, 6))
            optimizer.step()

    whole, first, second = Module(), Module(), Module()
    steps(whole, adafactor([whole.vectors], TRAINING, True), range(6))
    optimizer, checkpoint = adafactor([first.vectors], TRAINING, True), Checkpoint(tmp_path / "checkpoint.safetensors")
    steps(first, optimizer, range(3))
    checkpoint.save(first, [optimizer], 3)
    resumed = adafactor([second.vectors], TRAINING, True)
    assert checkpoint.restore(second, [resumed]) == 3
    steps(second, resumed, range(3, 6))
    assert torch.equal(second.vectors, whole.vectors)


@pytest.mark.parametrize(("schedule", "expected"), [
    ("linear", [0.0, 0.5, 1.0, 0.75, 0.5, 0.25]), ("constant", [0.0, 0.5, 1.0, 1.0, 1.0, 1.0]),
])  # fmt: skip
def test_schedules(schedule, expected):
    assert [lr_factor(schedule, step, 2, 6) for step in range(6)] == expected
