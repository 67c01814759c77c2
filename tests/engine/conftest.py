import pytest

from lib.engine.train import Posing


@pytest.fixture
def posing(kinematics, posed_body) -> Posing:
    return Posing(kinematics, posed_body)
