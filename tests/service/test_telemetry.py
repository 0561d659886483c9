"""Nothing that the service stands on reports to anyone."""

import os
import subprocess
import sys


def test_a_session_leaves_no_telemetry_behind(toy_models_dir, tmp_path):
    # ONNX Runtime 1.29 and later keep a device id and a store of events in the cache folder.
    code = "import sys; from service.registry import Registry; Registry(sys.argv[1]).load('sum')"
    kept = ("ORT_DISABLE_TELEMETRY", "CI", "GITHUB_ACTIONS", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in kept}
    subprocess.run(
        [sys.executable, "-c", code, toy_models_dir],
        env=environment | {"HOME": str(tmp_path)},
        check=True,
    )
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
