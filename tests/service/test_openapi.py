"""The whole interface as OpenAPI states it: every route, every check that schemathesis has.

Here bodies are those that the page allows, or differ from them by little; `python -m
tests.fuzz_http` sends hostile ones.
"""

from collections import Counter

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from service.app import create_app
from service.settings import Settings
from tests.genomes import CHR1, write_fasta

N_EXAMPLES = 5
CONFIG = {
    "seed": 1,
    "generation": {"max-examples": N_EXAMPLES, "deterministic": True},
    "checks": {
        # Documented answers to an overload, and to a deadline that a generated header sets.
        "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "503", "504"]},
        # Rules that hold between fields (one of two lists, shifts within the window, end after
        # start) and limits of the server are in no schema; protocols answer 400 to the former. A
        # job that was just made has no result yet (409).
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "400", "404", "409", "413", "422", "503", "504"]
        },
    },
}


@pytest.fixture(scope="module")
def app(toy_models_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    fasta = write_fasta(folder / "tiny.fa", {"chr1": CHR1})
    app = create_app(
        Settings(
            models=toy_models_dir,
            reference=fasta,
            threads=1,
            device="cpu",
            max_items=20,
            jobs=folder / "jobs",
        )
    )
    yield app
    app.state.engine.close()


@pytest.mark.slow
def test_the_interface_is_what_it_says(app):
    # The engine itself: its pytest fixture needs an attribute that pytest 9.2 no longer has.
    config = SchemathesisConfig.from_dict(CONFIG)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
    found, checks, operations = [], Counter(), Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            found.append(str(event))
        if isinstance(event, events.ScenarioFinished):
            record = event.recorder
            operations[record.label] += len(record.cases)
            for case_id, results in record.checks.items():
                checks.update(result.name for result in results)
                found += [
                    f"{record.label}: {result.name}: {result.failure_info.failure}\n"
                    f"{record.cases[case_id].value.as_curl_command()}"
                    for result in results
                    if result.status is Status.FAILURE
                ]
    assert not found, "\n\n".join(found)
    # It did look: at every operation, with each check that applies to it.
    stated = {
        f"{method.upper()} {path}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    assert stated <= operations.keys()
    assert min(operations[name] for name in stated) >= 1
    assert {
        "not_a_server_error", "status_code_conformance", "content_type_conformance",
        "response_schema_conformance", "positive_data_acceptance", "negative_data_rejection",
        "unsupported_method",
    } <= checks.keys()  # fmt: skip
    assert sum(checks.values()) > 1000
