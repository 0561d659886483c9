"""The client against the service itself: a job from the file to its result."""

import asyncio

import pytest

from service.client import AsyncClient, Client, RefusedError
from service.output import OutputFormat
from tests.kill_jobs import Service


@pytest.fixture
def service(desk):
    service = Service(
        desk.folder, models=desk.models, reference=desk.fasta, device="cpu", threads=1,
        jobs=desk.jobs, shard_bytes=6000, mismatch_share=1,
    )  # fmt: skip
    service.start()
    yield service
    service.kill()


def test_a_job_from_the_file_to_its_result(desk, service):
    url = f"http://127.0.0.1:{service.port}"
    with Client(url) as client:
        job = client.submit(desk.vcf, shifts=[-2, 0], format="tsv")
        assert not job.is_final
        done = client.wait(job.id, poll=0.1)
        assert (done.id, done.state) == (job.id, "done")
        target = desk.folder / "result.tsv"
        assert client.download(job.id, target) == target
        expected, _ = desk.offline(style=OutputFormat.TSV, shifts=(-2, 0))
        assert target.read_bytes() == expected
        assert client.submit(desk.vcf, shifts=[-2, 0], format="tsv").state == "done"
        client.cancel(job.id)
        with pytest.raises(RefusedError, match="no such job"):
            client.job(job.id)

    async def scenario() -> None:
        async with AsyncClient(url) as client:
            job = await client.submit(desk.vcf)
            await client.wait(job.id, poll=0.1)
            await client.download(job.id, desk.folder / "result.vcf")
            await client.cancel(job.id)

    asyncio.run(scenario())
    assert (desk.folder / "result.vcf").read_bytes() == desk.offline()[0]
