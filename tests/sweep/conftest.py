"""One warm interpreter for all tests of sweeps."""

import pytest
from warm import Warm


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    """Starts whole commands without their imports; see `warm`."""
    server = Warm(tmp_path_factory.mktemp("warm"))
    yield server
    server.close()
