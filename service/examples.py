"""Request and response examples that the OpenAPI page shows; the tests send every one of them.

Variants lie on the slice of GRCh37 in `examples/`, chr17:1-40000. Answers are those of `models/dh7`
to these requests, rounded, with some of their keys and one of their targets.
"""

from typing import Any

from service import __version__

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

_PROVENANCE: dict[str, Any] = {
    "varsigma_version": __version__,
    "model": "dh7",
    "model_sha256": "47d01328916e27fef7139c2d94aa0d3f53bdd2e14886072474e7220c701b6efd",
    "data_digest": "2bfe93664f27393787f24440c78bf25ce41ec07dc59a5d70c794e94948c8812c",
    "onnxruntime": "1.27.0",
    "providers": ["CPUExecutionProvider"],
    "threads": 1,
    "precision": "float32",
    "assembly": "GRCh37",
    "reference": "chr17.hg19.part.fa",
    "reference_sha256": "3627f99f5cd6fa6a9e1a4e0494e64a9443871e0167fc6767b23cde73ca4030c1",
    "options": {
        "strands": 2,
        "shifts": [0],
        "anchorings": ["left", "right"],
        "coverage": 0.9,
        "batch_size": 64,
    },
    "calibrated": True,
    "calibrated_targets": ["K562", "HepG2"],
    "use": "research use only",
}

SCORE_RESPONSE: dict[str, Any] = {
    "provenance": _PROVENANCE,
    "calibrated": True,
    "calibrated_targets": ["K562", "HepG2"],
    "results": [
        {
            "index": 0,
            "id": "near-DOC2B",
            "status": "ok",
            "reason": None,
            "normalised": "31150:G:A",
            "novelty": 0.0275,
            "novel_as": None,
            "targets": {
                "K562": {
                    "effect": -0.0292,
                    "expected": -0.0896,
                    "sd": 0.3659,
                    "lower": -0.8488,
                    "upper": 0.1956,
                    "p_sign": 0.6069,
                    "repeat_sd": 0.3688,
                    "repeat_lower": -0.8499,
                    "repeat_upper": 0.2154,
                    "epistemic": 0.0369,
                    "representation": 0.0272,
                    "aleatoric": 0.6457,
                    "occlusion": -0.0454,
                    "quantile": -0.4525,
                    "calibrated": True,
                }
            },
        },
        {
            "index": 1,
            "id": None,
            "status": "ref_mismatch",
            "reason": "REF differs from the reference sequence, which has T at chr17:31510",
            "normalised": None,
            "novelty": None,
            "novel_as": None,
            "targets": None,
        },
        {
            "index": 2,
            "id": None,
            "status": "ok",
            "reason": None,
            "normalised": "31347:CG:C",
            "novelty": 0.000097,
            "novel_as": "high_gc",
            "targets": {
                "K562": {
                    "effect": -0.0303,
                    "expected": -0.0978,
                    "sd": 0.4276,
                    "lower": -0.9833,
                    "upper": 0.2966,
                    "p_sign": 0.5957,
                    "repeat_sd": 0.4302,
                    "repeat_lower": -0.9844,
                    "repeat_upper": 0.3042,
                    "epistemic": 0.1292,
                    "representation": 0.0944,
                    "aleatoric": 0.6014,
                    "occlusion": None,
                    "quantile": -0.4655,
                    "calibrated": False,
                }
            },
        },
    ],
}

SEQUENCES_REQUESTS: dict[str, Any] = {
    "sequences": {
        "summary": "One sequence of the window's length would fill it; this one is shorter",
        "value": {"model": "dh7", "sequences": [{"sequence": _REF, "id": "AP-1 site"}]},
    },
}

SEQUENCES_RESPONSE: dict[str, Any] = {
    "provenance": _PROVENANCE | {"calibrated": False, "calibrated_targets": []},
    "results": [
        {
            "index": 0,
            "id": "AP-1 site",
            "status": "ok",
            "reason": None,
            "targets": {"K562": {"activity": 1.3333, "epistemic": 0.151, "sigma": 0.2468}},
        }
    ],
}

SATURATION_REQUESTS: dict[str, Any] = {
    "region": {
        "summary": "All 15 single-base changes of five positions",
        "value": {"model": "dh7", "contig": "chr17", "start": 31150, "end": 31154},
    },
}

SATURATION_RESPONSE: dict[str, Any] = {
    "provenance": _PROVENANCE,
    "contig": "chr17",
    "start": 31150,
    "end": 31154,
    "sequence": "GGAAG",
    "alts": "ACGT",
    "novelty": [
        [0.0275, 0.0275, None, 0.0275],
        [0.0247, 0.0247, None, 0.0247],
        [None, 0.0195, 0.0195, 0.0247],
        [None, 0.0195, 0.0195, 0.0247],
        [0.0220, 0.0220, None, 0.0220],
    ],
    "novel_as": [[None] * 4] * 5,
    "targets": {
        "K562": {
            "effect": [
                [-0.0292, -0.0512, None, -0.0642],
                [0.0510, -0.0280, None, 0.0019],
                [None, -0.1208, -0.0603, -0.1208],
                [None, -0.0756, 0.0797, -0.0578],
                [-0.0450, -0.0677, None, -0.0400],
            ],
            "expected": [
                [-0.0896, -0.1051, None, -0.1439],
                [-0.0329, -0.0710, None, -0.0383],
                [None, -0.1940, -0.0986, -0.2005],
                [None, -0.1495, -0.0192, -0.1147],
                [-0.1210, -0.1534, None, -0.1051],
            ],
            "sd": [
                [0.3659, 0.3444, None, 0.4352],
                [0.3495, 0.3120, None, 0.2595],
                [None, 0.4583, 0.3460, 0.4750],
                [None, 0.4351, 0.4249, 0.3779],
                [0.4340, 0.4588, None, 0.3910],
            ],
            "quantile": [
                [-0.4525, -0.6435, None, -0.7178],
                [0.6422, -0.4388, None, 0.0343],
                [None, -0.8821, -0.6969, -0.8820],
                [None, -0.7665, 0.7822, -0.6829],
                [-0.5987, -0.7347, None, -0.5565],
            ],
            "calibrated": True,
        }
    },
}

MODEL_SUMMARY: dict[str, Any] = {
    "name": "dh7",
    "summary": "3 members of recipe dh7 (mean and variance; Compact trunk, 254,612 weights each),"
    " trained on 10 MPRA tables at once.",
    "targets": ["K562", "HepG2", "WTC11"],
    "window": 200,
    "members": 3,
    "units": "log2(RNA/DNA)",
    "calibrated": True,
    "calibrated_targets": ["K562", "HepG2"],
    "headline": {"name": "CAGI5 K562-matched mean Spearman", "value": 0.3857},
}

MODEL_LIST: dict[str, Any] = {
    "models": [MODEL_SUMMARY],
    "limits": {
        "max_items": 1000,
        "max_stream_items": 100000,
        "max_region": 3000,
        "max_body_bytes": 8388608,
        "max_waiting_sequences": 16384,
        "timeout": 30,
        "max_shifts": 9,
    },
}

CARD: dict[str, Any] = {
    "schema_version": 1,
    "name": "dh7",
    "model_sha256": _PROVENANCE["model_sha256"],
    "window": 200,
    "members": 3,
    "units": "log2(RNA/DNA)",
    "targets": [
        {"name": "K562", "cell_type": "K562", "assay": "joint_K562"},
        {"name": "HepG2", "cell_type": "HepG2", "assay": "joint_HepG2"},
        {"name": "WTC11", "cell_type": "WTC11", "assay": "joint_WTC11"},
    ],
    "licence": "Apache-2.0",
}

READY: dict[str, Any] = {
    "status": "ready",
    "device": "cpu",
    "models": [{"name": "dh7", "providers": ["CPUExecutionProvider"]}],
    "reference": "chr17.hg19.part.fa",
    "assembly": "GRCh37",
}
