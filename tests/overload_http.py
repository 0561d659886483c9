"""Ten times as many requests as the server can score, at their own pace, whoever is answered.

`python -m tests.overload_http` measures what `varsigma serve` can do, then sends requests at ten
times that rate, each with a deadline, and looks at what became of them: the accepted ones came
before their deadline and were no small part of what it can do, all others were refused with 429
or 503 and a Retry-After, and within seconds of the end every request of a load that fits is scored
in time again. The exit code is 1 where that does not hold.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections import Counter

import numpy as np

from service.reference import Reference
from tests.lean_client import FASTA, Answer, closed_loop, open_loop, request_bytes, served
from tests.load_http import variants_of

# Between the server's clock and the client's: the request on its way in, the answer on its way out.
GRACE_SECONDS = 0.25
MAX_RECOVERY_SECONDS = 5
# Of the capacity; this client and the refusals run on the same cores.
MIN_SHARE = 0.25
GIVE_UP_SECONDS = 30
REFUSALS = {429, 503}


def judged(answers: list[Answer], deadline: float) -> list[str]:
    """Say what is wrong with the answers to an overload."""
    accepted = [answer.seconds for answer in answers if answer.status == 200]
    others = Counter(answer.status for answer in answers if answer.status not in {200, *REFUSALS})
    refused = [answer for answer in answers if answer.status in REFUSALS]
    wrong = [f"{n} answers with status {status}" for status, n in others.items()]
    late = sum(seconds > deadline + GRACE_SECONDS for seconds in accepted)
    if late:
        wrong.append(f"{late} accepted requests missed their deadline")
    if not accepted or not refused:
        wrong.append(f"{len(accepted)} accepted and {len(refused)} refused: no overload")
    if unsaid := sum(not answer.retry_after for answer in refused):
        wrong.append(f"{unsaid} refusals without Retry-After")
    return wrong


def main() -> None:
    """Measure, print, and say whether the bounds hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="dh7")
    parser.add_argument("--items", type=int, default=1, help="variants in a request")
    parser.add_argument("--times", type=float, default=10, help="multiple of the capacity")
    parser.add_argument("--seconds", type=float, default=20, help="of overload")
    parser.add_argument("--deadline", type=float, default=2, help="seconds that a request allows")
    parser.add_argument("--connections", type=int, default=900)
    given = parser.parse_args()

    with Reference.open(FASTA, "GRCh37") as reference:
        variants = variants_of(reference, 1000)
    bodies = [
        {
            "variants": [
                {"contig": one.contig, "pos": one.pos, "ref": one.ref, "alt": one.alt}
                for one in variants[first : first + given.items]
            ]
        }
        for first in range(0, len(variants) - given.items + 1, given.items)
    ]
    header = f"x-timeout-seconds: {given.deadline:g}"
    timed = [request_bytes("/v1/score", body, [header]) for body in bodies]
    with served("--model", given.model, "--device", "cpu") as server:

        def load(seconds: float) -> tuple[float, bool]:
            """Answers a second to a load that fits, and whether each was scored in time."""
            answers, n_lost, taken = asyncio.run(
                closed_loop(server.port, timed, clients=8, seconds=seconds)
            )
            is_good = not n_lost and all(answer.status == 200 for answer in answers)
            return len(answers) / taken, is_good

        load(2)
        capacity = statistics.median(load(2)[0] for _ in range(3))
        answers, n_lost, n_unsent = asyncio.run(
            open_loop(
                server.port,
                timed,
                rate=given.times * capacity,
                seconds=given.seconds,
                connections=given.connections,
            )
        )
        end = time.perf_counter()
        after, recovery = 0.0, np.inf
        while time.perf_counter() - end < GIVE_UP_SECONDS and recovery == np.inf:
            begun = time.perf_counter() - end
            after, is_good = load(1)
            # Half, because the machine may be busy with other things by now.
            if is_good and after >= capacity / 2:
                recovery = begun

    accepted = [answer.seconds for answer in answers if answer.status == 200]
    told = Counter(answer.status for answer in answers)
    p50, p99, longest = np.quantile(accepted or [np.nan], [0.5, 0.99, 1])
    refused = [answer.seconds for answer in answers if answer.status in REFUSALS]
    print(
        f"model {given.model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; capacity"
        f" {capacity:,.0f} requests/s of {given.items} variants\n"
        f"offered {len(answers) / given.seconds:,.0f}/s for {given.seconds:g} s, each within"
        f" {given.deadline:g} s ({n_unsent} not sent, {n_lost} lost); by status"
        f" {dict(sorted(told.items()))}\n"
        f"accepted {len(accepted) / given.seconds:,.0f}/s: p50 {p50:.2f} s, p99 {p99:.2f} s, at"
        f" most {longest:.2f} s; refused after {1e3 * float(np.median(refused or [np.nan])):.0f} ms"
        f" (median); {after:,.0f}/s again {recovery:.1f} s after the end"
    )
    wrong = judged(answers, given.deadline)
    if n_lost:
        wrong.append(f"{n_lost} requests were lost")
    if len(answers) < 0.9 * given.times * capacity * given.seconds:
        wrong.append(f"no {given.times:g} times the capacity was offered: this client is too slow")
    if len(accepted) / given.seconds < MIN_SHARE * capacity:
        wrong.append(f"less than {MIN_SHARE:.0%} of the capacity was accepted")
    if recovery > MAX_RECOVERY_SECONDS:
        wrong.append(f"recovery took {recovery:.1f} s")
    print("\n".join(wrong) or "as it should be")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
