"""STDP and R-STDP: updates worked out by hand, and tasks on which learning must help."""

from __future__ import annotations

import pytest
import torch

from leukoscope.segmentation.spike.neurons import burst, burst_size, spike_count
from leukoscope.segmentation.spike.plasticity import Rates, first_spikes, rstdp, stdp, winners
from leukotrain.segment.train_rstdp import learn


def test_a_neuron_fires_when_its_potential_passes_the_threshold() -> None:
    time = torch.tensor([[0, 1, 2, 4]])  # of 4 steps: the last never fires
    weight = torch.tensor([[0.5, 0.5, 0.5, 1.0], [0.2, 0.2, 0.2, 1.0]])
    fired, potential = first_spikes(time, weight, 0.9, 4)
    assert fired.tolist() == [[1, 4]]
    assert potential[0, 0] == pytest.approx(1.0)
    assert winners(fired, potential, 4).tolist() == [0]


def test_the_higher_potential_breaks_a_tie_and_silence_wins_nothing() -> None:
    fired = torch.tensor([[2, 2, 3], [5, 5, 5]])
    potential = torch.tensor([[1.0, 1.5, 9.0], [0.1, 0.2, 0.3]])
    assert winners(fired, potential, 5).tolist() == [1, -1]


def test_stdp_strengthens_what_came_in_time_and_weakens_the_rest() -> None:
    weight = torch.tensor([[0.5, 0.5, 1.0]])
    after = stdp(weight, torch.tensor([[1, 3, 0]]), torch.tensor([2]), plus=0.1, minus=-0.2)
    assert after[0].tolist() == pytest.approx([0.5 + 0.1 * 0.25, 0.5 - 0.2 * 0.25, 1.0])


def test_stdp_respects_other_bounds() -> None:
    after = stdp(torch.tensor([[0.6]]), torch.tensor([[0]]), torch.tensor([0]), plus=0.5, minus=0.0, low=0.2, high=0.8)
    assert after.item() == pytest.approx(0.6 + 0.5 * 0.4 * 0.2)


def test_reward_and_punishment_by_hand() -> None:
    weight = torch.full((3, 2), 0.5)
    after = rstdp(
        weight,
        winner=torch.tensor([0, 1, -1]),
        pre=torch.tensor([[0, 3], [0, 3], [0, 3]]),
        post=torch.tensor([1, 1, 1]),
        right=torch.tensor([True, False, False]),
        rates=Rates(0.4, -0.2, -0.3, 0.1),
    )
    assert after[0].tolist() == pytest.approx([0.6, 0.45])  # rewarded
    assert after[1].tolist() == pytest.approx([0.425, 0.525])  # punished: the signs swapped
    assert after[2].tolist() == [0.5, 0.5]  # silent: unchanged


def test_rates_follow_hits_and_misses() -> None:
    rates = Rates().adapted(hits=75, misses=25)
    assert rates.reward_plus == pytest.approx(0.005 * 0.4)
    assert rates.punish_minus == pytest.approx(0.0005 * 0.8)


def test_weights_stay_within_bounds() -> None:
    weight = torch.tensor([[0.999, 0.001]])
    for _ in range(50):
        weight = rstdp(
            weight, torch.tensor([0]), torch.tensor([[0, 9]]), torch.tensor([0]), torch.tensor([True]), Rates(0.9, -0.9)
        )
        assert weight.min() >= 0
        assert weight.max() <= 1


def _accuracy(weight: torch.Tensor, level: float, inputs: torch.Tensor, labels: torch.Tensor, maps: int) -> float:
    winner = winners(*first_spikes(inputs, weight, level, 15), 15)
    return float(((winner >= 0) & (winner // maps == labels)).float().mean())


def test_learning_by_reward_raises_accuracy() -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(600) % 3
    inputs = torch.randint(6, 15, (600, 30), generator=generator)
    for label in range(3):  # each class fires its own ten inputs early
        inputs[labels == label, label * 10 : label * 10 + 10] -= 5
    untrained = _accuracy(*learn(inputs, labels, 0, seed=3, maps=4), inputs, labels, 4)
    history: list[float] = []
    weight, level = learn(
        inputs[:400],
        labels[:400],
        12,
        seed=3,
        maps=4,
        rates=Rates(0.05, -0.025, -0.05, 0.005),
        progress=lambda _, right: history.append(right),
    )
    assert untrained < 0.6
    assert _accuracy(weight, level, inputs[400:], labels[400:], 4) > 0.9
    assert history[-1] > history[0]


def test_stdp_learns_the_pattern_that_repeats() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.full((1, 20), 0.5)
    for _ in range(300):
        pre = torch.randint(0, 15, (1, 20), generator=generator)
        pre[0, :10] = 0  # always first
        weight = stdp(weight, pre, torch.tensor([5]), plus=0.05, minus=-0.05)
    assert weight[0, :10].min() > 0.9
    assert weight[0, 10:].max() < 0.5


def test_a_burst_is_as_long_as_the_potential_lasts() -> None:
    spikes = burst(spike_count(torch.tensor([[-1.0, 0.9, 1.0, 2.5, 4.1, 7.0]]), 4), 4)
    assert spikes[:, 0].int().T.tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [1, 1, 1, 1],
        [1, 1, 1, 1],
    ]


def test_neurons_that_count_step_by_step_give_the_same_bursts() -> None:
    generator = torch.Generator().manual_seed(0)
    arriving = (torch.rand((4, 50), generator=generator) < 0.4).float()  # spikes of 50 neurons in one window
    weights = torch.randint(-40, 60, (30, 50), generator=generator) / 256
    potential = torch.full((30,), 0.5)
    for spikes in arriving:
        potential += weights @ spikes
    fired = []
    for _ in range(4):
        fired.append((potential >= 1).float())
        potential -= fired[-1]
    count = spike_count(weights @ arriving.sum(0) + 0.5, 4)
    assert torch.equal(burst(count, 4), torch.stack(fired))
    assert torch.equal(burst_size(weights @ arriving.sum(0) / 4, 4), count / 4)  # as in training
    assert 0 < count.mean() < 4


def test_the_surrogate_lets_gradients_through_spikes() -> None:
    current = torch.tensor([-2.0, 0.3, 0.6, 3.0], requires_grad=True)
    burst_size(current, 4).sum().backward()
    assert current.grad is not None
    assert current.grad.tolist() == [0, 1, 1, 0]
