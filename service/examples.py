"""Request and response examples that the OpenAPI page shows; the tests send every one of them.

Variants lie on the slice of GRCh37 in `examples/`, chr17:1-40000.
"""

from typing import Any

_REF = "GGGCGCGGGGCCGGGCGGAGCGCGGTGACTCAGCGCGCGGGGGCGGAGCCTGGGCGGGGCC"
_ALT = "GGGCGCGGGGCCGGGCGGAGCGCGGTGACACAGCGCGCGGGGGCGGAGCCTGGGCGGGGCC"

SCORE_REQUESTS: dict[str, Any] = {
    "variants": {
        "summary": "Variants on the server's reference; the second REF is wrong on purpose",
        "value": {
            "model": "dh7",
            "variants": [
                {"contig": "chr17", "pos": 31150, "ref": "G", "alt": "A", "id": "near-DOC2B"},
                {"contig": "17", "pos": 31510, "ref": "C", "alt": "T"},
                {"contig": "chr17", "pos": 31348, "ref": "GG", "alt": "G"},
            ],
        },
    },
    "sequences": {
        "summary": "A pair of sequences, one strand, three shifts, 95% interval",
        "value": {
            "model": "dh7",
            "sequences": [{"ref": _REF, "alt": _ALT, "id": "AP-1 site"}],
            "strands": 1,
            "shifts": [-10, 0, 10],
            "coverage": 0.95,
        },
    },
}

SCORE_RESPONSE: dict[str, Any] = {
    "provenance": {
        "varsigma_version": "0.1.0",
        "model": "dh7",
        "model_sha256": "9f2c6f0e3d5b8a417c0e2f6d1b94a8e35c7d60f1a2b3948576c8d9e0f1a2b3c4",
        "data_digest": "5d41402abc4b2a76b9719d911017c592a1e5f0c3d2b4968778695a4b3c2d1e0f",
        "onnxruntime": "1.27.0",
        "providers": ["CPUExecutionProvider"],
        "threads": 4,
        "precision": "float32",
        "assembly": "GRCh37",
        "reference": "chr17.hg19.part.fa",
        "reference_sha256": "c0ffee31415926535897932384626433832795028841971693993751058209ab",
        "options": {
            "strands": 2,
            "shifts": [0],
            "anchorings": ["left", "right"],
            "coverage": 0.9,
            "batch_size": 256,
        },
        "calibrated": True,
        "calibrated_targets": ["K562"],
        "use": "research use only",
    },
    "calibrated": True,
    "calibrated_targets": ["K562"],
    "results": [
        {
            "index": 0,
            "id": "near-DOC2B",
            "status": "ok",
            "reason": None,
            "normalised": "31150:G:A",
            "targets": {
                "K562": {
                    "effect": -0.214,
                    "sd": 0.341,
                    "lower": -0.775,
                    "upper": 0.347,
                    "p_sign": 0.735,
                    "epistemic": 0.087,
                    "representation": 0.041,
                    "aleatoric": 0.327,
                    "calibrated": True,
                }
            },
        },
        {
            "index": 1,
            "id": None,
            "status": "ref_mismatch",
            "reason": "REF differs from the reference sequence",
            "normalised": None,
            "targets": None,
        },
    ],
}

MODEL_SUMMARY: dict[str, Any] = {
    "name": "dh7",
    "summary": "Mean and variance heads, variance supervised by replicates",
    "targets": ["K562", "HepG2", "WTC11"],
    "window": 200,
    "members": 3,
    "units": "log2(RNA/DNA)",
    "calibrated": True,
    "calibrated_targets": ["K562", "HepG2"],
    "headline": None,
}

MODEL_LIST: dict[str, Any] = {
    "models": [MODEL_SUMMARY],
    "limits": {"max_items": 1000, "max_body_bytes": 8388608, "max_shifts": 9},
}

CARD: dict[str, Any] = {
    "schema_version": 1,
    "name": "dh7",
    "window": 200,
    "members": 3,
    "units": "log2(RNA/DNA)",
    "targets": [{"name": "K562", "cell_type": "K562", "assay": "lentiMPRA"}],
    "calibration": None,
    "licence": "Apache-2.0",
    "intended_use": "Research use only",
}

READY: dict[str, Any] = {
    "status": "ready",
    "models": [{"name": "dh7", "providers": ["CPUExecutionProvider"]}],
    "reference": "chr17.hg19.part.fa",
    "assembly": "GRCh37",
}
