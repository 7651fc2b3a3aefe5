"""The formulas of the effective LR, computed by hand for each optimizer; samples and ratios."""

import math

import pytest
import torch
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, RMSprop

from hf_lrsched.optim.effective_lr import (
    Sample,
    compute_effective_lr,
    compute_effective_lrs,
    compute_update_ratio,
    has_effective_lr,
)

nan = math.nan


def stepped(kind, *gradients, weights=(1.0, 1.0), **options):
    """An optimizer of one parameter that has made an update with each of the gradients."""
    weight = torch.nn.Parameter(torch.tensor(weights))
    optimizer = kind([weight], **options)
    for gradient in gradients:
        weight.grad = torch.tensor(gradient)
        optimizer.step()
    return optimizer, weight


def lrs(optimizer, weight):
    return compute_effective_lr(optimizer, optimizer.param_groups[0], weight).tolist()


def near(values):
    return pytest.approx(values, rel=1e-6, nan_ok=True)


# v = 0.001·g² after the first update, which the correction 1 - 0.999 undoes; after the second, with g = 2, 1 and 1, 0:
# v = 0.999·0.004 + 0.001 = 0.004996 and 0.999·0.001 = 0.000999, both over 1 - 0.999² = 0.001999.
SECOND = [0.1 / math.sqrt(0.004996 / 0.001999), 0.1 / math.sqrt(0.000999 / 0.001999)]


@pytest.mark.parametrize("kind", [Adam, AdamW])
@pytest.mark.parametrize("fused", [False, True])
def test_adam(kind, fused):
    options = {"lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-30, "fused": fused, "weight_decay": 0}
    assert lrs(*stepped(kind, [2.0, -4.0], **options)) == near([0.1 / 2, 0.1 / 4])
    assert lrs(*stepped(kind, [2.0, 1.0], [1.0, 0.0], **options)) == near(SECOND)
    # amsgrad: the highest v is that of the first update where it falls, v = 0.000999 < 0.001, corrected as the second's.
    found = lrs(*stepped(kind, [2.0, 1.0], [1.0, 0.0], amsgrad=True, **options))
    assert found == near([SECOND[0], 0.1 / math.sqrt(0.001 / 0.001999)])


def test_epsilon_is_added_to_the_root():
    assert lrs(*stepped(Adam, [2.0, 0.5], lr=0.1, eps=0.5)) == near([0.1 / 2.5, 0.1 / 1.0])
    assert lrs(*stepped(RMSprop, [2.0, 0.5], lr=0.1, alpha=0.75, eps=0.5)) == near([0.1 / 1.5, 0.1 / 0.75])
    assert lrs(*stepped(Adagrad, [2.0, 0.5], lr=0.1, eps=0.5)) == near([0.1 / 2.5, 0.1 / 1.0])


def test_weight_decay_is_within_the_gradient_of_adam_and_not_of_adamw():
    # Adam: g = 2 + 0.5·4 = 4.
    assert lrs(*stepped(Adam, [2.0], weights=[4.0], lr=0.1, weight_decay=0.5)) == near([0.1 / 4])
    assert lrs(*stepped(AdamW, [2.0], weights=[4.0], lr=0.1, weight_decay=0.5)) == near([0.1 / 2])


def test_rmsprop():
    # v = g²/4 after the first update, without a correction; then 3/4·1 + 1/4·4² = 4.75 and 3/4·4 = 3.
    options = {"lr": 0.1, "alpha": 0.75, "eps": 0.0}
    assert lrs(*stepped(RMSprop, [2.0, 4.0], **options)) == near([0.1, 0.05])
    assert lrs(*stepped(RMSprop, [2.0, 4.0], [4.0, 0.0], **options)) == near([0.1 / 4.75**0.5, 0.1 / 3**0.5])
    assert lrs(*stepped(RMSprop, [2.0, 4.0], momentum=0.9, **options)) == near([0.1, 0.05])
    # Centred: ḡ = g/4, so v - ḡ² = g²/4 - g²/16 = 3g²/16.
    found = lrs(*stepped(RMSprop, [2.0, 4.0], centered=True, **options))
    assert found == near([0.1 / 0.75**0.5, 0.1 / 3**0.5])


def test_adagrad():
    options = {"lr": 0.1, "eps": 0.0}
    assert lrs(*stepped(Adagrad, [3.0, 1.0], [4.0, 0.0], **options)) == near([0.1 / 5, 0.1 / 1])
    # The second update has 1 / (1 + 1·0.5) of the LR; and the sum begins at 11.
    found = lrs(*stepped(Adagrad, [3.0, 1.0], [4.0, 2.0], lr_decay=0.5, initial_accumulator_value=11, **options))
    assert found == near([0.1 / 1.5 / 6, 0.1 / 1.5 / 4])


def test_sgd_has_the_same_lr_for_all():
    assert lrs(*stepped(SGD, [3.0, 0.0], lr=0.1)) == near([0.1, 0.1])
    assert lrs(*stepped(SGD, [3.0, 1.0], lr=0.1, momentum=0.9)) == near([0.1, 0.1])


def test_the_effective_lr_is_what_moves_the_weights():
    """Without momentum each element moves by its effective LR times its gradient."""
    gradients = [[2.0, -0.25], [1.0, 3.0], [-4.0, 0.5]]
    for kind, options in (
        (Adam, {"betas": (0.0, 0.99)}),
        (AdamW, {"betas": (0.0, 0.99), "weight_decay": 0.0, "amsgrad": True}),
        (RMSprop, {"centered": True}),
        (Adagrad, {"lr_decay": 0.1}),
        (SGD, {}),
    ):
        start = (1.0, 1.0)
        before = stepped(kind, *gradients[:-1], weights=start, lr=0.1, **options)[1]
        optimizer, after = stepped(kind, *gradients, weights=start, lr=0.1, **options)
        moved = (before - after).detach() / torch.tensor(gradients[-1])
        assert lrs(optimizer, after) == pytest.approx(moved.tolist(), rel=1e-5), kind


def test_early_corrections_keep_their_digits():
    for updates in (1, 2, 3, 10, 1000):
        found = lrs(*stepped(Adam, *[[1.0]] * updates, weights=[1.0], lr=1.0, eps=0.0))  # v̂ = 1 throughout
        assert found == pytest.approx([1.0], rel=1e-5)


def test_elements_without_a_gradient_are_nan():
    for kind in (Adam, AdamW, RMSprop, Adagrad):
        first, second = lrs(*stepped(kind, [2.0, 0.0], lr=0.1))
        assert first > 0 and math.isnan(second)


def test_tensor_lrs_and_other_types():
    learning_rate = torch.tensor(0.1)
    optimizer, weight = stepped(Adam, [2.0, 4.0], lr=learning_rate)
    assert lrs(optimizer, weight) == near([0.05, 0.025])
    learning_rate.fill_(0.2)
    assert lrs(optimizer, weight) == near([0.1, 0.05])
    double = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = Adagrad([double], lr=0.1, eps=0.0)
    double.grad = torch.tensor([3.0], dtype=torch.float64)
    optimizer.step()
    found = compute_effective_lr(optimizer, optimizer.param_groups[0], double)
    assert found.dtype == torch.float64 and found.item() == pytest.approx(0.1 / 3, rel=1e-15)
    half = torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    optimizer = Adam([half], lr=0.1)
    half.grad = torch.tensor([2.0, 4.0], dtype=torch.bfloat16)
    optimizer.step()
    assert compute_effective_lr(optimizer, optimizer.param_groups[0], half).tolist() == pytest.approx(
        [0.05, 0.025], rel=0.01
    )


def test_only_torchs_own_classes_have_an_effective_lr():
    class Mine(Adam):
        pass

    weight = torch.nn.Parameter(torch.ones(1))
    assert all(has_effective_lr(kind([weight], lr=0.1)) for kind in (Adam, AdamW, RMSprop, Adagrad, SGD))
    assert not any(has_effective_lr(kind([weight])) for kind in (NAdam, Mine))


# A group's quantiles


def test_quantiles_of_a_group():
    """Effective LRs of 0.1 / g: 0.1 / 1 … 0.1 / 101, in two parameters; those without a gradient do not count."""
    gradients = torch.arange(1.0, 102.0)
    parts = [torch.nn.Parameter(torch.ones(size)) for size in (40, 61, 7, 3)]
    optimizer = Adagrad(parts, lr=0.1, eps=0.0)
    parts[0].grad, parts[1].grad, parts[2].grad = gradients[:40].clone(), gradients[40:].clone(), torch.zeros(7)
    optimizer.step()
    # Of 101 values in order, the quantiles are the 6th, the 51st and the 96th: the gradients 96, 51 and 6.
    found = compute_effective_lrs(optimizer, optimizer.param_groups[0])
    assert found.tolist() == near([0.1 / 96, 0.1 / 51, 0.1 / 6])


def test_a_group_without_gradients_has_none():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = Adam([weight])
    assert compute_effective_lrs(optimizer, optimizer.param_groups[0]) is None


def test_large_groups_are_sampled():
    generator = torch.Generator().manual_seed(0)
    parts = [torch.nn.Parameter(torch.ones(size)) for size in ((2000, 512), (512,))]
    optimizer = Adagrad(parts, lr=1.0, eps=0.0)
    for part in parts:
        part.grad = 1 / (1e-3 + torch.rand(part.shape, generator=generator))  # effective LRs even between 0 and 1
    optimizer.step()
    assert compute_effective_lrs(optimizer, optimizer.param_groups[0]).tolist() == pytest.approx(
        [0.05, 0.5, 0.95], abs=0.01
    )


# Samples


@pytest.mark.parametrize("max_elements", [None, 1000, 241, 240, 100, 48, 47, 7, 1])
def test_samples_are_every_kth_element_of_all_parameters(max_elements):
    shapes = [(10, 12), (1,), (0,), (7, 17)]  # 120 + 1 + 119 = 240
    values = iter(torch.arange(240.0).split([120, 1, 0, 119]))
    tensors = [next(values).reshape(shape) for shape in shapes]
    sample = Sample(tensors, max_elements)
    found = torch.cat(sample.select(tensors))
    assert found.tolist() == list(range(0, 240, sample.stride))
    assert len(found) <= (max_elements or 240)
    expected = {None: 1, 1000: 1, 241: 1, 240: 1, 100: 3, 48: 5, 47: 7, 7: 35, 1: 241}[max_elements]
    assert sample.stride == expected  # odd numbers
    assert [part.tolist() for part in sample.select(tensors)] == [
        sample.selector(index)(tensor).tolist() for index, tensor in enumerate(tensors)
    ]


def test_samples_are_views_where_they_can_be():
    weight = torch.nn.Parameter(torch.zeros(10, 10))
    (part,) = Sample([weight], 10).select([weight])
    assert part.untyped_storage().data_ptr() == weight.untyped_storage().data_ptr() and not part.requires_grad


def test_complex_weights():
    weight = torch.nn.Parameter(torch.tensor([3.0 + 4.0j]))
    optimizer = Adam([weight], lr=0.1)
    weight.grad = torch.tensor([2.0 + 4.0j])
    optimizer.step()
    sample = Sample([weight])
    assert compute_effective_lr(optimizer, optimizer.param_groups[0], weight, sample.selector(0)).tolist() == near(
        [0.05, 0.025]
    )


# Ratios


def test_ratios():
    # AdamW's first update: w·(1 - 0.1·0.5) - 0.1·sign(g) = 1.8, of w = 2.
    before = [torch.tensor([2.0])]
    _, after = stepped(AdamW, [7.0], weights=[2.0], lr=0.1, weight_decay=0.5)
    assert compute_update_ratio(before, [after]).item() == near(0.1)
    # Over several parameters: √(0.3² + 0.4²) / √(3² + 4² + 12²).
    parts = [[3.0, 4.0], [12.0]], [[3.3, 4.0], [12.4]]
    before, after = ([torch.tensor(part, dtype=torch.float64) for part in each] for each in parts)
    assert compute_update_ratio(before, after).item() == pytest.approx(0.5 / 13, rel=1e-12)


def test_ratio_of_bfloat16_weights_is_the_step_as_it_was_made():
    """1 + 0.001 is 1 in bfloat16: nothing moved."""
    before = torch.ones(4, dtype=torch.bfloat16)
    assert compute_update_ratio([before], [before + 0.001]).item() == 0
    assert compute_update_ratio([before], [before + 2**-7]).item() == 2**-7
    tiny = torch.full((4,), 2.0**-24, dtype=torch.float16)  # whose squares are no float16
    assert compute_update_ratio([tiny], [2 * tiny]).item() == 1


def test_weights_of_zero_have_no_ratio():
    zeros, ones = torch.zeros(2), torch.ones(2)
    assert not math.isfinite(compute_update_ratio([zeros], [ones]).item())
    assert not math.isfinite(compute_update_ratio([zeros], [zeros]).item())
