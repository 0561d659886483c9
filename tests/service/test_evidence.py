"""The nearest measured evidence: exact, or next to a variant; and a table that is none."""

import gzip
import random

import pytest

from service.errors import InputFileError, ValidationError
from service.evidence import Evidence
from service.measured import Measurement, read_measurements
from service.reference import Reference
from service.variants import Variant
from tests.genomes import CHR1, CHR_M, genome

CAGI5 = "element\tchrom\tpos\tref\talt\tvalue\tconfidence"
KIRCHER = "element\tchrom\tpos\tref\talt\tbarcodes\tdna\trna\tvalue\tp_value\tse"


@pytest.fixture
def table(tmp_path):
    def write(*lines: str, name: str = "table.tsv"):
        path = tmp_path / name
        content = "".join(f"{line}\n" for line in lines).encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


@pytest.fixture
def evidence(table) -> Evidence:
    return Evidence.open(
        table(
            CAGI5,
            "F9\tchrX\t100\tT\tA\t-0.2\t0.07",
            "F9\tchrX\t100\tT\tC\t0.5\t0.24",
            "F9\tchrX\t110\tG\tA\t-0.9\t0.4",
            "TERT-A\tchr5\t50\tC\tT\t1.5\t0.9",
            "TERT-B\tchr5\t50\tC\tT\t-2.0\t0.8",
            "TERT-B\tchr5\t70\tC\tT\tNA\tNA",
        )
    )


def test_the_very_change_is_found_with_all_that_the_table_says(evidence):
    found = evidence.near(Variant("X", 100, "t", "c"))
    assert (found.is_exact, found.distance) == (True, 0)
    assert found.measurements == (
        Measurement(
            line=3, contig="chrX", pos=100, ref="T", alt="C", value=0.5, element="F9",
            confidence=0.24,
        ),
    )  # fmt: skip


def test_a_change_that_several_elements_have_is_told_of_each_the_strongest_first(evidence):
    found = evidence.near(Variant("NC_000005.9", 50, "C", "T"))
    assert [(one.element, one.value) for one in found.measurements] == [
        ("TERT-B", -2.0), ("TERT-A", 1.5),
    ]  # fmt: skip
    assert found.strongest.element == "TERT-B"


@pytest.mark.parametrize(
    ("pos", "distance", "values"),
    [
        (100, 0, [0.5, -0.2]),  # another ALT of a measured position
        (104, 4, [0.5, -0.2]),
        (105, 5, [-0.9, 0.5, -0.2]),  # two positions are equally near
        (107, 3, [-0.9]),
        (90, 10, [0.5, -0.2]),
        (89, None, []),
        (120, 10, [-0.9]),
        (121, None, []),
    ],
)
def test_else_the_nearest_position_with_its_distance(evidence, pos, distance, values):
    found = evidence.near(Variant("chrX", pos, "T", "G"))
    if distance is None:
        assert found is None
        return
    assert (found.is_exact, found.distance) == (False, distance)
    assert [one.value for one in found.measurements] == values


def test_how_near_can_be_said(evidence):
    assert evidence.near(Variant("X", 104, "T", "G"), within=3) is None
    assert evidence.near(Variant("X", 89, "T", "G"), within=11).distance == 11
    assert evidence.near(Variant("X", 100, "T", "G"), within=0).distance == 0
    assert evidence.near(Variant("Y", 100, "T", "G"), within=10**9) is None
    with pytest.raises(ValidationError, match="at least 0"):
        evidence.near(Variant("X", 100, "T", "G"), within=-1)


def test_the_distance_of_an_indel_is_that_of_what_it_alters(evidence):
    # Bases 101 to 103 go; the anchor at 100 stays.
    found = evidence.near(Variant("X", 100, "TACG", "T"))
    assert (found.is_exact, found.distance, found.strongest.pos) == (False, 1, 100)
    # An insertion lies between 109 and 110 and touches both.
    assert evidence.near(Variant("X", 109, "A", "AC")).distance == 0
    assert evidence.near(Variant("X", 95, "A" * 20, "A")).distance == 0


def test_a_missing_value_is_no_evidence_but_is_counted(evidence):
    assert evidence.near(Variant("5", 70, "C", "T")) is None
    assert (evidence.n_measured, evidence.n_missing) == (5, 1)


def test_it_agrees_with_a_plain_search(table):
    rng = random.Random(3)
    rows = [
        (rng.randrange(1, 400), "A" * rng.choice([1, 1, 1, 4]), "C", round(rng.gauss(0, 1), 3))
        for _ in range(60)
    ]
    lines = [f"chr1\t{pos}\t{ref}\t{alt}\t{value}" for pos, ref, alt, value in rows]
    evidence = Evidence.open(table("chrom\tpos\tref\talt\tvalue", *lines))
    for pos in range(1, 430):
        gaps = [max(at - pos, pos - (at + len(ref) - 1), 0) for at, ref, *_ in rows]
        found = evidence.near(Variant("1", pos, "T", "G"))
        if min(gaps) > 10:
            assert found is None
            continue
        nearest = {row[3] for row, gap in zip(rows, gaps, strict=True) if gap == min(gaps)}
        assert found.distance == min(gaps)
        assert {one.value for one in found.measurements} == nearest
        assert abs(found.strongest.value) == max(map(abs, nearest))


def test_the_columns_of_kircher_and_a_gzip(table):
    path = table(
        KIRCHER, "LDLR\t19\t11200\tG\t-\t12\t100\t90\t-0.4\t0.001\t0.1",
        "LDLR\t19\t11201\tG\tA\t12\t100\t90\t0.1\t\t.", name="table.tsv.gz",
    )  # fmt: skip
    [deletion, snv] = read_measurements(path)
    assert (deletion.ref, deletion.alt, deletion.se, deletion.p_value) == ("G", "", 0.1, 0.001)
    assert (snv.se, snv.p_value, snv.confidence) == (None, None, None)
    found = Evidence.open(path).near(Variant("chr19", 11199, "TG", "T"))
    assert (found.is_exact, found.strongest.se) == (True, 0.1)


def test_with_the_reference_an_indel_of_a_repeat_is_found_wherever_it_is_written(table):
    # CHR1 has six T, 85 to 90; the table has the loss of one of them at 88.
    assert CHR1[84:90] == "T" * 6
    path = table("chrom\tpos\tref\talt\tvalue", "1\t88\tT\t-\t0.7")
    spelt = [Variant("chr1", 84, f"{CHR1[83]}T", CHR1[83]), Variant("1", 89, "TT", "T")]
    plain = Evidence.open(path)
    with genome({"chr1": CHR1}) as reference:
        known = Evidence.open(path, reference)
        for variant in spelt:
            assert known.near(variant).is_exact
            assert not plain.near(variant).is_exact
        assert not known.near(Variant("1", 88, "TTT", "T")).is_exact
        assert known.n_mismatched == 0


def test_rows_that_the_reference_does_not_hold_are_taken_as_they_are(table):
    path = table(
        "chrom\tpos\tref\talt\tvalue", "1\t9000\tT\t-\t0.7", "chr2\t5\tC\tA\t0.1",
        "1\t89\t-\tT\t0.3",
    )  # fmt: skip
    with genome({"chr1": CHR1}) as reference:
        evidence = Evidence.open(path, reference)
        assert evidence.n_mismatched == 0
        assert evidence.near(Variant("1", 8999, "GT", "G")).is_exact
        assert evidence.near(Variant("2", 5, "C", "A")).is_exact
        assert evidence.near(Variant("1", 85, "T", "TT")).strongest.value == 0.3


def test_a_construct_with_another_allele_is_never_the_measurement_of_a_variant(table):
    other = "A" if CHR1[40] != "A" else "C"
    alt = next(base for base in "ACGT" if base not in {other, CHR1[40]})
    rows = [f"1\t{pos}\t{CHR1[pos - 1]}\tN\t0.1" for pos in range(1, 30)]
    path = table("chrom\tpos\tref\talt\tvalue", *rows, f"1\t41\t{other}\t{alt}\t3")
    with genome({"chr1": CHR1}) as reference:
        evidence = Evidence.open(path, reference)
        assert evidence.n_mismatched == 1
        found = evidence.near(Variant("1", 41, CHR1[40], alt))
        assert (found.is_exact, found.distance, found.strongest.ref) == (False, 0, other)


def test_a_table_of_another_assembly_is_refused(table):
    rows = [f"1\t{pos}\t{CHR1[pos]}\tN\t0.1" for pos in range(1, 60)]
    with (
        genome({"chr1": CHR1}, "GRCh37") as reference,
        pytest.raises(InputFileError, match=r"another REF than .*GRCh37.* line \d+"),
    ):
        Evidence.open(table("chrom\tpos\tref\talt\tvalue", *rows), reference)


def test_rows_elsewhere_do_not_hide_another_assembly(table):
    # An excerpt of a genome knows few of the rows; those that it knows decide.
    rows = [f"1\t{pos}\t{CHR1[pos]}\tN\t0.1" for pos in range(1, 60)]
    elsewhere = [f"chr2\t{pos}\tA\tC\t0.1" for pos in range(1, 3000)]
    # Neither an insertion without bases in REF nor an unknown base of the reference is compared.
    elsewhere += [f"1\t{pos}\t-\tT\t0.1" for pos in range(1, 99)] + ["chr3\t2\tC\tA\t0.1"]
    with genome({"chr1": CHR1, "chr3": "ANNNA"}) as reference:
        path = table("chrom\tpos\tref\talt\tvalue", *elsewhere, *rows)
        with pytest.raises(InputFileError, match=r"\d+ of 59 measured rows"):
            Evidence.open(path, reference)
        rest = Evidence.open(table("chrom\tpos\tref\talt\tvalue", *elsewhere), reference)
    assert (rest.n_measured, rest.n_compared, rest.n_mismatched) == (3098, 0, 0)


@pytest.mark.parametrize("is_insertion", [True, False])
def test_what_follows_another_allele_is_never_the_measurement_of_a_variant(table, is_insertion):
    # The allele that differs is trimmed off, so that what is left looks like the variant's change.
    before, at = CHR1[40], "" if is_insertion else CHR1[41]
    other, alt = (base for base in "ACGT" if base not in CHR1[40:42])  # an insertion cannot slide
    same = [f"1\t{pos}\t{CHR1[pos - 1]}\tN\t0.1" for pos in range(1, 30)]
    row = f"1\t41\t{other}{at}\t{other}{alt}\t3"
    spelt = Variant("1", 41, before + at, before + alt)
    header = "chrom\tpos\tref\talt\tvalue"
    with genome({"chr1": CHR1}) as reference:
        evidence = Evidence.open(table(header, *same, row), reference)
        assert evidence.n_mismatched == 1
        assert not evidence.near(spelt).is_exact
        right = f"1\t41\t{before}{at}\t{before}{alt}\t3"
        assert Evidence.open(table(header, *same, right), reference).near(spelt).is_exact


def test_another_mitochondrion_is_another_contig(table):
    # chrM of hg19 is not the MT of the assembly, and their coordinates differ.
    path = table("chrom\tpos\tref\talt\tvalue", "MT\t5\tA\tT\t0.7", "chrM\t9\tG\tA\t0.9")
    with genome({"chrM": CHR_M + "A" * (16_571 - len(CHR_M))}, "GRCh37") as reference:
        assert reference.resolve("MT") is None
        evidence = Evidence.open(path, reference)
        assert evidence.near(Variant("chrM", 5, CHR_M[4], "T")).strongest.value == 0.9


BAD = {
    "no header": ([], "line 1", "lacks chrom"),
    "no value": (["chrom\tpos\tref\talt"], "line 1", "lacks value"),
    "blanks": (["chrom pos ref alt value", "1 2 A C 3"], "line 1", "separated by tabs"),
    "twice": (["chrom\tpos\tpos\tref\talt\tvalue"], "line 1", "keep one"),
    "short": ([CAGI5, "F9\tX\t1\tA\tC\t1\t1", "F9\tX\t2\tA\tC\t1"], "line 3", "tabs"),
    "pos": ([CAGI5, "F9\tX\t1.5\tA\tC\t1\t1"], "line 2", "1-based position"),
    "pos of 0": ([CAGI5, "F9\tX\t0\tA\tC\t1\t1"], "line 2", "1-based position"),
    "ref": ([CAGI5, "F9\tX\t1\tZ\tC\t1\t1"], "line 2", "A, C, G and T"),
    "alt": ([CAGI5, "F9\tX\t1\tA\t<DEL>\t1\t1"], "line 2", "A, C, G and T"),
    "no bases": ([CAGI5, "F9\tX\t1\t-\t-\t1\t1"], "line 2", "A, C, G and T"),
    "value": ([CAGI5, "F9\tX\t1\tA\tC\thigh\t1"], "line 2", "a number, or NA"),
    "infinite": ([CAGI5, "F9\tX\t1\tA\tC\tinf\t1"], "line 2", "a number, or NA"),
    "p of 2": ([KIRCHER, "L\t1\t1\tA\tC\t1\t1\t1\t1\t2\t1"], "line 2", "p_value"),
    "negative se": ([KIRCHER, "L\t1\t1\tA\tC\t1\t1\t1\t1\t1\t-2"], "line 2", "se is '-2'"),
    "empty": ([CAGI5], "no measured value", "that has some"),
    "nothing measured": ([CAGI5, "F9\tX\t1\tA\tC\tNA\t1"], "no measured value", "that has some"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_names_the_line_and_the_remedy(table, name):
    lines, *parts = BAD[name]
    with pytest.raises(InputFileError) as caught:
        Evidence.open(table(*lines))
    for part in ("table.tsv", *parts):
        assert part in caught.value.message


def test_a_file_that_cannot_be_read_is_explained(tmp_path, table):
    with pytest.raises(InputFileError, match="cannot be read: No such file"):
        Evidence.open(tmp_path / "none.tsv")
    with pytest.raises(InputFileError, match="cannot be read"):
        Evidence.open(tmp_path)
    whole = table(CAGI5, "F9\tX\t1\tA\tC\t1\t1", name="table.tsv.gz").read_bytes()
    (tmp_path / "cut.tsv.gz").write_bytes(whole[:-12])
    with pytest.raises(InputFileError, match=r"cut\.tsv\.gz cannot be read"):
        Evidence.open(tmp_path / "cut.tsv.gz")
    (tmp_path / "binary.tsv").write_bytes(b"\xff\xfe\x00chrom")
    with pytest.raises(InputFileError, match="not UTF-8 text"):
        Evidence.open(tmp_path / "binary.tsv")


def test_windows_line_ends_a_mark_and_empty_lines_do_no_harm(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_bytes("\ufeff#Chrom\tPos\tRef\tAlt\tValue\r\n\r\n1\t5\ta\tc\t1\r\n\r\n".encode())
    [row] = read_measurements(path)
    assert (row.line, row.ref, row.alt, row.value) == (3, "A", "C", 1)


@pytest.mark.data
def test_the_release_set_is_such_a_table(data_dir):
    with Reference.open(data_dir / "cagi5/reference_grch37.fa", "GRCh37") as reference:
        evidence = Evidence.open(data_dir / "cagi5/release.tsv", reference)
        assert evidence.n_measured > 4000
        assert evidence.n_mismatched < 0.01 * evidence.n_measured
        rows = list(read_measurements(data_dir / "cagi5/release.tsv"))
        for row in rows[::97]:
            found = evidence.near(Variant(row.contig[3:], row.pos, row.ref, row.alt))
            assert found.is_exact
            assert row in found.measurements
