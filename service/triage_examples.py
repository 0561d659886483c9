"""Request and answer of `/v1/triage` that the OpenAPI page shows; see `service.examples`."""

from typing import Any

from service.examples import SCORE_REQUESTS, SCORE_RESPONSE

_LOSSES = {"wrong_direction": 2.0, "false_call": 1.0}
_NO_CALL = "the calibration was fitted on single-base changes, and this is none"
_NONE: dict[str, Any] = dict.fromkeys(
    ("p_lowers", "p_raises", "p_negligible", "p_wrong", "expected_loss")
)

REQUESTS: dict[str, Any] = {
    "variants": {
        "summary": "Four variants as one list; of the last but one REF is wrong on purpose",
        "value": {
            "model": "dh7",
            "variants": [
                {"contig": "chr17", "pos": 31463, "ref": "G", "alt": "T", "id": "strong"},
                *SCORE_REQUESTS["variants"]["value"]["variants"],
            ],
            "target": "K562",
            "error_rate": 0.2,
            "threshold": 0.1,
        },
    },
    "sequences": {
        "summary": "A pair of sequences, of which nothing is ever called",
        "value": SCORE_REQUESTS["sequences"]["value"],
    },
}


def _scored(index: int) -> dict[str, Any]:
    """Return a result of `/v1/score` without its target."""
    result: dict[str, Any] = SCORE_RESPONSE["results"][index]
    return result | {"index": index + 1, "tier": None, "tier_name": None, "window_index": None}


def _numbers(index: int) -> dict[str, Any]:
    numbers: dict[str, Any] = SCORE_RESPONSE["results"][index]["targets"]["K562"]
    return numbers


_UNKNOWN = {"tier": "cannot_tell", "tier_name": "cannot tell"}
_IN_MIDDLE = {"window_index": [100]}

RESPONSE: dict[str, Any] = {
    "provenance": SCORE_RESPONSE["provenance"]
    | {
        "triage": {
            "targets": ["K562"],
            "error_rate": 0.2,
            "threshold": 0.1,
            "losses": _LOSSES,
        }
    },
    "research_use_only": True,
    "target": "K562",
    "error_rate": 0.2,
    "threshold": 0.1,
    "counts": {
        "K562": {
            "likely_lowers": 1,
            "likely_raises": 0,
            "cannot_tell": 2,
        }
    },
    "n_unscored": 1,
    "no_calls": {},
    "results": [
        {
            "index": 0,
            "id": "strong",
            "status": "ok",
            "reason": None,
            "rank": 1,
            "tier": "likely_lowers",
            "tier_name": "likely lowers activity",
            "normalised": "31463:G:T",
            "window_index": [100],
            "novelty": 0.00022,
            "novel_as": "high_gc",
            "targets": {
                "K562": {
                    "tier": "likely_lowers",
                    "tier_name": "likely lowers activity",
                    "p_lowers": 0.9974,
                    "p_raises": 0.0000,
                    "p_negligible": 0.0026,
                    "p_wrong": 0.0026,
                    "expected_loss": 0.0026,
                    "no_call": None,
                    "effect": -1.1613,
                    "expected": -2.7203,
                    "sd": 1.4442,
                    "lower": -4.5941,
                    "upper": -0.2517,
                    "p_sign": 0.9999,
                    "repeat_sd": 1.4450,
                    "repeat_lower": -4.5962,
                    "repeat_upper": -0.2443,
                    "epistemic": 0.1552,
                    "representation": 0.0347,
                    "aleatoric": 0.6706,
                    "occlusion": -1.1531,
                    "quantile": -0.9999,
                    "calibrated": True,
                }
            },
        },
        {
            **_scored(0),
            **_UNKNOWN,
            **_IN_MIDDLE,
            "rank": 2,
            "targets": {
                "K562": {
                    **_UNKNOWN,
                    "p_lowers": 0.2711,
                    "p_raises": 0.1227,
                    "p_negligible": 0.6062,
                    "p_wrong": None,
                    "expected_loss": 0.8515,
                    "no_call": None,
                    **_numbers(0),
                }
            },
        },
        {**_scored(1), "rank": None},
        {
            **_scored(2),
            **_UNKNOWN,
            **_IN_MIDDLE,
            "rank": 3,
            "targets": {
                "K562": {
                    **_UNKNOWN,
                    **_NONE,
                    "no_call": _NO_CALL,
                    **_numbers(2),
                    "calibrated": False,
                }
            },
        },
    ],
}
