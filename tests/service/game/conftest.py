"""A GAME predictor of two toy models, and its client."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.game.asking import TINY
from tests.toy_models import SumModel, write_model


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("game")
    write_model(folder, TINY, name="a")
    write_model(folder, SumModel(width=30, targets=("WTC11",), members=1), name="b")
    return folder


@pytest.fixture(scope="module")
def client(models_dir) -> Iterator[TestClient]:
    settings = Settings(models=models_dir, threads=1, device="cpu", game_max_body_bytes=100_000)
    with TestClient(create_app(settings), raise_server_exceptions=False) as opened:
        yield opened
