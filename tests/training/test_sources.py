from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from training.assays import ASSAYS
from training.datasets.sources import (
    HUES64,
    INOUE_DESIGN,
    SOURCES,
    SUMS,
    DataError,
    Source,
    locate,
    mirror_digests,
)

CONTENT = b">oligo\nACGT\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    place = tmp_path / INOUE_DESIGN.path
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    (tmp_path / SUMS).write_text(f"{DIGEST}  {INOUE_DESIGN.path}\n")
    return tmp_path


@pytest.fixture
def public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    """A source on a local web server, and an empty download cache."""
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "design.fa").write_bytes(CONTENT)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    handler = partial(QuietHandler, directory=str(tmp_path / "public"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/design.fa"
        yield dataclasses.replace(INOUE_DESIGN, url=url, sha256=DIGEST)
        server.shutdown()
        thread.join()


def test_every_source_is_declared_in_full():
    assert len({source.name for source in SOURCES}) == len(SOURCES) == 10
    for source in SOURCES:
        assert source.licence in {"MIT", "none stated"}
        assert "doi:10." in source.citation
        commit = next(part for part in source.url.split("/") if len(part) == 40)
        assert int(commit, 16)
        if source.sha256 is not None:
            assert len(bytes.fromhex(source.sha256)) == 32
            assert source.url.startswith("https://raw.githubusercontent.com/")
            assert Path(source.path).name == Path(source.url).name


def test_only_the_prepared_table_has_no_public_digest():
    assert [source for source in SOURCES if source.sha256 is None] == [HUES64]


def test_every_assay_has_the_files_it_is_read_from():
    fed = [assay for source in SOURCES for assay in source.assays]
    assert set(fed) == {assay.name for assay in ASSAYS}
    # Sequences and activities lie in two files for these alone.
    twice = {assay for assay in fed if fed.count(assay) == 2}
    assert twice == {"joint_K562", "joint_HepG2", "joint_WTC11", "inoue2017_HepG2"}


def test_mirror_serves_its_own_copy_of_a_public_file(mirror):
    found = locate(INOUE_DESIGN, mirror)
    assert found.path.read_bytes() == CONTENT
    assert found.sha256 == DIGEST
    assert not found.is_public  # its digest differs from the declared one, and that is allowed
    assert found.as_dict()["public_sha256"] == INOUE_DESIGN.sha256


def test_altered_copy_is_refused_with_file_and_remedy(mirror):
    (mirror / INOUE_DESIGN.path).write_bytes(CONTENT[:-2])
    with pytest.raises(DataError, match=r"design\.fa: SHA-256 is .* copy it into the mirror again"):
        locate(INOUE_DESIGN, mirror)


def test_missing_copy_is_refused_with_file_and_remedy(mirror):
    (mirror / INOUE_DESIGN.path).unlink()
    with pytest.raises(DataError, match=r"design\.fa: not found; copy it into the mirror"):
        locate(INOUE_DESIGN, mirror)


def test_mirror_without_list_or_entry_is_refused(mirror):
    (mirror / SUMS).write_text("")
    with pytest.raises(DataError, match=r"design\.fa: not listed in .*SHA256SUMS; add"):
        locate(INOUE_DESIGN, mirror)
    (mirror / SUMS).unlink()
    with pytest.raises(DataError, match=r"SHA256SUMS: not found; .*Write it with `sha256sum`"):
        locate(INOUE_DESIGN, mirror)


def test_list_may_be_written_by_sha256sum_in_either_mode(tmp_path):
    (tmp_path / SUMS).write_text(f"{DIGEST}  ./a/b.fa\n\n{DIGEST} *c d.fa\n")
    assert mirror_digests(tmp_path) == {"a/b.fa": DIGEST, "c d.fa": DIGEST}


def test_download_is_checked_and_kept(public, tmp_path):
    found = locate(public, None)
    assert found.path.read_bytes() == CONTENT
    assert found.is_public
    (tmp_path / "public" / "design.fa").unlink()
    assert locate(public, None).path == found.path  # from the cache, the server has it no more


def test_download_of_other_bytes_is_refused_with_file_and_remedy(public):
    other = dataclasses.replace(public, sha256="0" * 64)
    with pytest.raises(DataError, match=r"design\.fa: .* does not have SHA-256 0+;.* try again"):
        locate(other, None)


def test_failed_download_names_file_and_remedy(public):
    gone = dataclasses.replace(public, url=public.url + ".gone")
    with pytest.raises(DataError, match=r"design\.fa: cannot download .* give a mirror folder"):
        locate(gone, None)


def test_prepared_table_is_not_downloaded():
    with pytest.raises(DataError, match=r"HUES64_per_replicate.* give a mirror folder"):
        locate(HUES64, None)
