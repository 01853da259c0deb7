"""Grids come out as asked, or the message says which would."""

import pytest
import torch

from benchmark.models.layers.tokens import ConvStem, Patches, ResidualStem, TokensToToken, patch_geometry
from benchmark.types import ExitbenchError


@pytest.mark.parametrize(("size", "grid", "geometry"), [(224, 7, (32, 0)), (224, 10, (23, 3)), (224, 14, (16, 0)),
                                                         (32, 6, (6, 2))])  # fmt: skip
def test_patches_are_those_of_the_paper(size, grid, geometry):
    assert patch_geometry(size, grid) == geometry


@pytest.mark.parametrize("make", [Patches, ConvStem, ResidualStem])
@pytest.mark.parametrize("grid", [4, 6, 8])
def test_small_grids(make, grid):
    assert make(3, 32, grid, 12)(torch.rand(2, 3, 32, 32)).shape == (2, grid**2, 12)


@pytest.mark.parametrize("grid", [7, 10, 14])
def test_tokens_to_token_grids(grid):
    assert TokensToToken(3, 224, grid, 32)(torch.rand(1, 3, 224, 224)).shape == (1, grid**2, 32)


def test_an_impossible_grid_names_those_that_work():
    with pytest.raises(ExitbenchError, match=r"got 40; \[1, 2, .*\] work"):
        patch_geometry(32, 40)
    with pytest.raises(ExitbenchError, match="work"):
        TokensToToken(3, 32, 30, 8)
