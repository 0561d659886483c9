"""GA4GH service-info: the keys that the standard asks for, and the limits as they are set."""

from fastapi.testclient import TestClient

from service import __version__
from service.app import create_app
from service.settings import Settings


def test_it_says_who_what_and_how_much(toy_models_dir, tiny_fasta):
    settings = Settings(
        models=toy_models_dir, threads=1, device="cpu", reference=tiny_fasta, assembly=None,
        organization="An institute", organization_url="https://institute.example.org",
        max_items=7, game_max_body_bytes=9, max_region=11,
    )  # fmt: skip
    with TestClient(create_app(settings)) as client:
        response = client.get("/service-info")
    assert response.status_code == 200
    told = response.json()
    required = {"id", "name", "type", "organization", "version"}
    assert required <= told.keys()
    assert told["type"].keys() == {"group", "artifact", "version"}
    assert told["organization"] == {
        "name": "An institute",
        "url": "https://institute.example.org",
    }
    assert told["version"] == __version__
    limits = told["varsigma"]["limits"]
    assert (limits["max_items"], limits["game_max_body_bytes"], limits["max_region"]) == (7, 9, 11)
    assert told["varsigma"]["models"] == ["sum", "sum_one"]


def test_an_organization_that_is_not_stated_is_not_invented(toy_models_dir):
    settings = Settings(models=toy_models_dir, threads=1, device="cpu")
    with TestClient(create_app(settings)) as client:
        told = client.get("/service-info").json()
    assert told["organization"] == {"name": "not stated", "url": "about:blank"}
    assert told["varsigma"]["assembly"] is None
