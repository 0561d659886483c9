"""An app on the tiny genome with the toy models, and its client."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.app import create_app
from tests.service.api.asking import settings


@pytest.fixture
def app(toy_models_dir, tiny_fasta) -> FastAPI:
    return create_app(settings(toy_models_dir, reference=tiny_fasta))


@pytest.fixture
def client(app) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened
