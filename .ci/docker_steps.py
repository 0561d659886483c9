"""Run the steps of the Dockerfile in a clean folder, for machines without a Docker engine.

The stages that one target needs share one root folder; absolute paths of the image are rewritten
into it. COPY and RUN are carried out, then the container's command is started, its HEALTHCHECK must
pass, and nothing may have been written but to the folder of jobs, since the root of the container
can be read-only. What this cannot show: the base image, the user, and the isolation of the layers.

    python .ci/docker_steps.py [TARGET]     (default: the last stage)
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dockerfile_parse import DockerfileParser

REPOSITORY = Path(__file__).resolve().parents[1]
# Top folders that the Dockerfile writes to; every other absolute path is the machine's own.
IMAGE_PATH = re.compile(r"(?<![\w./])(?=/(?:src|dist|opt|data|jobs)\b)")
JOBS = "jobs"
HEALTHY_WITHIN_S = 60


def stages(dockerfile: str) -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Return {stage: (its base, [(instruction, value), ...])} in the order of the file."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Dockerfile").write_text(dockerfile)
        steps = DockerfileParser(folder).structure
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for step in steps:
        if step["instruction"] == "FROM":
            base, _, name = step["value"].partition(" AS ")
            found[name] = (base, [])
        elif found and step["instruction"] != "COMMENT":
            found[name][1].append((step["instruction"], step["value"]))
    return found


class Container:
    """One image in the making: a root folder, an environment and a working directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # `python` of the image is the interpreter that runs this script.
        self.env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.folder = root
        self.commands: dict[str, list[str]] = {}

    def inside(self, text: str) -> str:
        """Rewrite the absolute paths of the image to paths under the root."""
        return IMAGE_PATH.sub(str(self.root), text)

    def copy(self, value: str) -> None:
        """COPY: from the repository; from another stage there is nothing to do in a shared root."""
        flags = [word for word in value.split() if word.startswith("--")]
        *sources, target = (word for word in value.split() if word not in flags)
        if any(flag.startswith("--from=") for flag in flags):
            for source in sources:
                if not Path(self.inside(source)).exists():
                    sys.exit(f"COPY {value}: no stage made {source}")
            return
        for source in sources:
            path = REPOSITORY / source
            to = self.folder / target / (path.name if target.endswith("/") else "")
            if path.is_dir():
                # As .dockerignore says; `members` are the training weights of a model.
                shutil.copytree(path, to, ignore=shutil.ignore_patterns("__pycache__", "members"))
            else:
                shutil.copy(path, to)

    def run(self, value: str) -> None:
        """RUN: in a shell, without the cache mounts."""
        command = self.inside(re.sub(r"--mount=\S+\s*", "", value))
        subprocess.run(["sh", "-ec", command], cwd=self.folder, env=self.env, check=True)

    def step(self, instruction: str, value: str) -> None:
        """Carry out one instruction, or keep it for the end."""
        if instruction == "COPY":
            self.copy(value)
        elif instruction == "RUN":
            self.run(value)
        elif instruction == "WORKDIR":
            self.folder = Path(self.inside(value))
            self.folder.mkdir(parents=True, exist_ok=True)
        elif instruction == "ENV":
            for name, text in re.findall(r"(\w+)=(\S+)", value):
                self.env[name] = self.inside(text).replace("$PATH", self.env["PATH"])
        elif instruction in {"ENTRYPOINT", "CMD"}:
            self.commands[instruction] = json.loads(value)
        elif instruction == "HEALTHCHECK":
            self.commands[instruction] = json.loads(value.partition("CMD ")[2])
        elif instruction not in {"USER", "EXPOSE"}:
            sys.exit(f"{instruction} {value}: not known to this script")

    def files(self) -> dict[Path, int]:
        """Return when each file was last written, but for those of jobs."""
        return {
            path: path.lstat().st_mtime_ns
            for path in self.root.rglob("*")
            if path.relative_to(self.root).parts[0] != JOBS
        }

    def answer(self) -> None:
        """Start the container's command and wait for a passing health check."""
        before = self.files()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])

        def on_port(name: str) -> list[str]:
            return [part.replace("8000", port) for part in self.commands[name]]

        search = self.env["PATH"]
        command = on_port("ENTRYPOINT") + on_port("CMD")
        server = subprocess.Popen(
            [str(shutil.which(command[0], path=search)), *command[1:]],
            cwd=self.folder,
            env=self.env,
        )
        try:
            check = on_port("HEALTHCHECK")
            check[0] = str(shutil.which(check[0], path=search))
            deadline = time.monotonic() + HEALTHY_WITHIN_S
            while subprocess.run(check, capture_output=True, env=self.env, check=False).returncode:
                if server.poll() is not None or time.monotonic() > deadline:
                    sys.exit("the container's command does not become healthy")
                time.sleep(0.5)
        finally:
            server.terminate()
            server.wait(timeout=40)
        if changed := sorted(map(str, (before.items() ^ self.files().items()))):
            sys.exit(f"the root of the container would have to be writable: {changed[:5]}")


def main() -> None:
    """Walk from the target to its first stage, then carry out every step forwards."""
    parsed = stages((REPOSITORY / "Dockerfile").read_text())
    target = sys.argv[1] if len(sys.argv) > 1 else list(parsed)[-1]
    needed, waiting = set(), [target]
    while waiting:
        name = waiting.pop()
        if name in parsed and name not in needed:
            needed.add(name)
            base, steps = parsed[name]
            waiting += [base, *re.findall(r"--from=(\S+)", " ".join(value for _, value in steps))]
    with tempfile.TemporaryDirectory(prefix="varsigma-image-") as folder:
        container = Container(Path(folder))
        for name in (name for name in parsed if name in needed):
            for instruction, value in parsed[name][1]:
                print(f"[{name}] {instruction} {value}", flush=True)
                container.step(instruction, value)
        container.answer()
    print(f"{target}: every step ran and the service answers its health check")


if __name__ == "__main__":
    main()
