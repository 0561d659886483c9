"""Where the members that teach lie, and those of a student."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from training.datasets.sources import DataError
from training.recipe import Recipe

RUN = "run.json"
MEMBER = "member.safetensors"


def trained_members(recipe: Recipe, runs: Path, seeds: Sequence[int] = ()) -> list[Path]:
    """Files of a recipe's trained members, of these seeds or of all its own.

    Raises:
      DataError: not all are there.
    """
    files = [runs / recipe.name / str(seed) / MEMBER for seed in seeds or recipe.seeds]
    if missing := [str(file) for file in files if not file.exists()]:
        raise DataError(
            f"not trained yet: {', '.join(missing)}; run `varsigma-train train {recipe.name}`"
        )
    return files


def student_folder(runs: Path, student: str, seed: int, teacher: str) -> Path:
    """Folder of one student's run: `RUNS/STUDENT/SEED-TEACHER`."""
    return runs / student / f"{seed}-{teacher}"


def member_files(folder: Path, numbers: Sequence[int]) -> list[Path]:
    """Files of a student's members, by the numbers of its heads."""
    return [folder / "members" / f"{number}.safetensors" for number in numbers]


def student_members(student: str, runs: Path, seed: int, teacher: str) -> list[Path]:
    """Files of a distilled student's members, in the order of its teachers.

    Raises:
      DataError: it is not distilled yet.
    """
    folder = student_folder(runs, student, seed, teacher)
    run = folder / RUN
    seeds = json.loads(run.read_text())["members"] if run.exists() else []
    files = member_files(folder, seeds)
    if not files or not all(file.exists() for file in files):
        raise DataError(
            f"not distilled yet: {folder}; run `varsigma-train distil {teacher} "
            f"--student {student} --seed {seed}`"
        )
    return files
