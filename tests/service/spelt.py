"""How a change can be written, by plain string work: the naive twin of what reads it."""

from dataclasses import dataclass

from tests.genomes import reversed_complement

ACCESSION = "NC_000017.10"


@dataclass(frozen=True)
class Spelt:
    """Bases [start, end) of a chromosome 17 become `inserted`; 0-based."""

    genome: str
    start: int
    end: int
    inserted: str

    @property
    def deleted(self) -> str:
        return self.genome[self.start : self.end]

    @property
    def anchored(self) -> tuple[int, str, str]:
        """Pos (1-based), ref and alt as a VCF has them."""
        if self.deleted and self.inserted:
            return self.start + 1, self.deleted, self.inserted
        base = self.genome[self.start - 1]
        return self.start, base + self.deleted, base + self.inserted

    def shifted(self, by: int) -> "Spelt":
        """An insertion or deletion, as it reads so many bases further right."""
        inserted = self.inserted
        if inserted:
            turn = by % len(inserted)
            inserted = inserted[turn:] + inserted[:turn]
        return Spelt(self.genome, self.start + by, self.end + by, inserted)

    def slides(self) -> list["Spelt"]:
        """All places where the same change can be written, itself first."""
        if self.deleted and self.inserted:
            return [self]
        found = [self]
        for step in (-1, 1):
            by = step
            while self.is_same(self.shifted(by)):
                found.append(self.shifted(by))
                by += step
        return found

    def is_same(self, other: "Spelt") -> bool:
        low, high = min(self.start, other.start) - 1, max(self.end, other.end) + 1
        one, two = (
            self.genome[low : change.start] + change.inserted + self.genome[change.end : high]
            for change in (self, other)
        )
        return one == two

    def hgvs(self) -> list[str]:
        """HGVS without the sequence that it is of."""
        first, last = self.start + 1, self.end
        place = str(first) if first == last else f"{first}_{last}"
        if not self.deleted:
            texts = [f"{self.start}_{self.start + 1}ins{self.inserted}"]
            n = len(self.inserted)
            if self.genome[self.start - n : self.start] == self.inserted:
                copied = str(self.start) if n == 1 else f"{self.start - n + 1}_{self.start}"
                texts += [f"{copied}dup", f"{copied}dup{self.inserted}"]
            return texts
        if not self.inserted:
            return [f"{place}del", f"{place}del{self.deleted}", f"{place}del{len(self.deleted)}"]
        texts = [f"{place}delins{self.inserted}", f"{place}del{self.deleted}ins{self.inserted}"]
        if first == last and len(self.inserted) == 1:
            texts.append(f"{first}{self.deleted}>{self.inserted}")
        if first != last and self.inserted == reversed_complement(self.deleted):
            texts.append(f"{place}inv")
        return texts

    def spdi(self) -> list[str]:
        return [
            f"{ACCESSION}:{self.start}:{self.deleted}:{self.inserted}",
            f"{ACCESSION}:{self.start}:{len(self.deleted)}:{self.inserted}",
        ]

    def vep(self) -> list[str]:
        first, last = self.start + 1, self.end
        ref, alt = self.deleted or "-", self.inserted or "-"
        turned = "/".join(
            allele if allele == "-" else reversed_complement(allele) for allele in (ref, alt)
        )
        return [
            f"17 {first} {last} {ref}/{alt} +",
            f"chr17\t{first}\t{last}\t{turned}\t-",
            f"chr17:{first:,}-{last:,} {ref}/{alt}",
        ]

    def lines(self) -> list[str]:
        pos, ref, alt = self.anchored
        return [
            f"chr17\t{pos}\trs1\t{ref}\t{alt}\t50\tPASS\tAC=1;AN=2\tGT\t0/1",
            f"17 {pos} . {ref} {alt} . . .",
        ]

    def plain(self) -> list[str]:
        pos, ref, alt = self.anchored
        return [
            f"chr17:{pos}:{ref}:{alt}",
            f"17-{pos}-{ref}-{alt}",
            f"chr17-{pos}-{ref}-{alt}",
            f"chr17:{pos} {ref}>{alt}",
            f"chr17:{pos}{ref}>{alt}",
            f"  chr17:{pos:,} {ref}/{alt}\n",
            f"hg19:chr17:{pos}:{ref.lower()}:{alt.lower()}",
            f"GRCh37-17-{pos}-{ref}-{alt}",
            f"chr17_{pos}_{ref}_{alt}_b37",
            f"Chr17:{pos} {ref}\u2192{alt} (GRCh37)",
        ]

    def spellings(self) -> list[str]:
        """All of them, of all places, those of different kinds next to each other."""
        by_place = [
            [
                *(f"{contig}:g.{one}" for one in change.hgvs() for contig in ("chr17", ACCESSION)),
                *change.spdi(),
                *change.vep(),
                *change.lines(),
                *change.plain(),
            ]
            for change in self.slides()
        ]
        return [text for texts in zip(*by_place, strict=False) for text in texts]
