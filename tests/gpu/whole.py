"""The service from end to end on a device: HTTP requests, and a VCF file."""

import asyncio
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from service.job import Job
from service.output import OutputFormat
from service.reference import Reference
from service.registry import Registry
from service.session import usable_cores
from service.variants import Variant
from tests.bench_throughput import score_file, seconds, write_vcf
from tests.gpu.machine import Machine
from tests.lean_client import FASTA, closed_loop, request_bytes, served
from tests.load_http import variants_of


@dataclass(frozen=True)
class Whole:
    """One way to use the service.

    Attributes:
      what: how.
      variants: scored in a second.
    """

    what: str
    variants: float


def http(
    name: str, machine: Machine, seconds_each: float, n_many: int
) -> tuple[list[Whole], list[str]]:
    """Ask for single variants, many clients, and for many at once; return where they ran, too."""
    with Reference.open(FASTA, "GRCh37") as reference:
        variants = variants_of(reference, 4 * n_many)
    ways = {
        "64 clients, 1 variant each": (64, 1),
        f"8 clients, {n_many} variants each": (8, n_many),
    }
    found = []
    with served("--device", machine.device, "--model", name, "--timeout", 3600) as server:
        with urlopen(f"http://127.0.0.1:{server.port}/health/ready", timeout=60) as answer:
            [model] = json.load(answer)["models"]
        for what, (clients, n_each) in ways.items():
            requests = [
                request_bytes("/v1/score", {"variants": [
                    _body(one) for one in variants[first : first + n_each]
                ]})
                for first in range(0, len(variants), n_each)
            ]  # fmt: skip
            answers, n_lost, taken = asyncio.run(
                closed_loop(server.port, requests, clients=clients, seconds=seconds_each)
            )
            assert n_lost == 0
            refused = [answer.body for answer in answers if answer.status != 200]
            assert not refused, refused[0]
            found.append(Whole(f"HTTP, {what}", len(answers) * n_each / taken))
    return found, model["providers"]


def batch(name: str, machine: Machine, n: int) -> Whole:
    """Score a VCF of n SNVs into a VCF."""
    job = Job(
        models=Registry().models_dir,
        model=name,
        reference=FASTA,
        assembly="GRCh37",
        device="cuda" if machine.has_cuda else "cpu",
        threads=usable_cores(),
        style=OutputFormat.VCF,
    )
    scorer = job.open()
    with tempfile.TemporaryDirectory() as folder, Reference.open(FASTA, "GRCh37") as reference:
        vcf = Path(folder, "in.vcf")
        write_vcf(vcf, reference, min(n, 256))
        score_file(vcf, job, scorer, 1)  # warms up
        write_vcf(vcf, reference, n)
        taken = seconds(lambda: score_file(vcf, job, scorer, 1))
    return Whole(f"VCF in, VCF out, {n:,} SNVs", n / taken)


def _body(variant: Variant) -> dict[str, str | int]:
    return {
        "contig": variant.contig, "pos": variant.pos, "ref": variant.ref, "alt": variant.alt
    }  # fmt: skip
