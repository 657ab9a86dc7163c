"""Running means that are reported: exact over few updates, and of the last ones over many."""

import pytest
import torch

from fpplm_core.training.agreed_share import AgreedShare
from fpplm_core.training.batch import IGNORED
from fpplm_core.training.running_mean import RunningMean


@pytest.mark.parametrize("updates", [1, 5, 400])
def test_the_mean_of_a_constant_is_the_constant(updates):
    mean = RunningMean(2)
    for _ in range(updates):
        mean.update(torch.tensor([0.25, -3.0]))
    assert mean.means().tolist() == pytest.approx([0.25, -3.0], rel=1e-5)


def test_what_was_long_ago_fades():
    mean = RunningMean(1)
    for number in range(400):
        mean.update(torch.tensor([float(number < 100)]))
    assert float(mean.means()) < 0.01
    assert RunningMean(3).means().tolist() == [0, 0, 0]


def test_the_agreed_share_is_that_of_the_words_of_entities():
    share = AgreedShare()
    assert share.share() == 0
    labels = torch.tensor([[1, 2, 0, 3], [0, 0, 4, IGNORED]])
    trusted = torch.tensor([[True, False, True, False], [True, True, False, True]])
    share.update(trusted, labels)
    assert share.share() == pytest.approx(0.25)
    share.update(trusted, torch.zeros_like(labels))  # no entity, so nothing to agree on
    assert share.share() == pytest.approx(0.25)
