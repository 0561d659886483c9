// Tiers of a whole list: calls at one error rate over all of it.

import { ask } from "./api.js";
import { count, plain } from "./words.js";

export const TIERS = ["likely_lowers", "likely_raises", "cannot_tell"];
const SECONDS = 600;

/**
 * Ask for the tiers of the rows `scored`; the list is what is asked for in one request.
 * Returns {calls, said}: by target, for each row its {rank, call}; and what holds of them in words.
 */
export async function triageRows(rows, scored, { model, target, signal }) {
  const variants = scored.map((row) => ({ contig: rows.contig[row], pos: rows.pos[row], ref: rows.ref[row], alt: rows.alt[row] }));
  const body = { model, variants, target, compare: true };
  const answer = await ask("v1/triage", { body, signal, seconds: SECONDS });
  const calls = {};
  for (const name of Object.keys(answer.counts)) {
    calls[name] = new Array(rows.length);
    const order = answer.results
      .map((one, n) => ({ row: scored[n], call: one.targets?.[name], rank: one.rank }))
      .filter((one) => one.call);
    // Ranks of the answer are those of the deciding target; elsewhere calls come first, by their loss.
    if (name !== answer.target) {
      const isNone = (one) => one.call.tier === "cannot_tell";
      order.sort((a, b) => isNone(a) - isNone(b) || (a.call.expected_loss ?? Infinity) - (b.call.expected_loss ?? Infinity) || a.row - b.row);
      order.forEach((one, n) => (one.rank = n + 1));
    }
    for (const { row, call, rank } of order) calls[name][row] = { rank, call };
  }
  const made = TIERS.filter((tier) => tier !== "cannot_tell").reduce((sum, tier) => sum + answer.counts[answer.target][tier], 0);
  const why = answer.no_calls[answer.target];
  const said =
    `On ${answer.target}: ${count(made)} calls of ${count(scored.length)} ALTs, at an error rate of ${plain(answer.error_rate, 2)} over this whole list` +
    ` and for effects beyond ${answer.threshold} log2 units. The rate is that of the list, not of a part that is picked from it, and holds as far as the calibration does: the model's card says how far.` +
    (why ? ` No calls: ${why}.` : "");
  return { calls, said };
}
