// The numbers of one variant: call, effect and interval on every target, and the parts of the doubt.

import { bar, intervalKey, intervals } from "./drawing.js";
import { drawnToWidth, h, table } from "./dom.js";
import { chance, MARKS, percent, plain, signed, span, spaced } from "./words.js";

const CANNOT_TELL = { tier: "cannot_tell", tier_name: "cannot tell", p_wrong: null, no_call: null };

/** What is said of a target: the call of a triage, or that nothing can be called. */
export function callOf(triaged, target) {
  const found = triaged?.targets?.[target];
  return found ?? { ...CANNOT_TELL, no_call: "the model's calibration does not name this target" };
}

/** The name of a tier behind its mark. */
export function tierName(call) {
  return h(
    "span",
    { class: "tier" },
    h("span", { class: "mark", "aria-hidden": "true" }, MARKS[call.tier] ?? ""),
    call.tier_name,
  );
}

/** The answer in a sentence or two, on the target that was chosen. */
export function headline(result, { target, options }) {
  const call = callOf(result.triaged, target);
  const numbers = result.scored.targets[target];
  const said = [h("b", {}, tierName(call)), ` on ${target}`];
  if (typeof call.p_wrong === "number") said.push(`, wrong with probability ${plain(call.p_wrong)}`);
  const covered = percent(options.coverage);
  return h(
    "div",
    { class: `headline ${call.tier}` },
    h("p", { class: "call" }, said, "."),
    call.no_call ? h("p", {}, `Why no call: ${call.no_call}.`) : null,
    h(
      "p",
      {},
      "The model predicts an effect of ",
      h("b", {}, signed(numbers.effect)),
      `; the true effect is expected at ${signed(numbers.expected)}, with ${covered} probability between `,
      h("b", {}, `${signed(numbers.lower)} and ${signed(numbers.upper)}`),
      ". ",
      numbers.calibrated
        ? "Measured variant effects stand behind this interval (calibrated)."
        : "This interval is not calibrated: it is the model's statement about itself, and may be far too narrow.",
    ),
    novelty(result.scored),
  );
}

function novelty(scored) {
  if (scored.novel_as === null || scored.novel_as === undefined) return null;
  return h(
    "p",
    { class: "flag" },
    h("b", {}, "Unlike what the model learnt from: "),
    `${spaced(scored.novel_as)} (novelty ${plain(scored.novelty)}). Its prediction may be worse than the interval says.`,
  );
}

const yesNo = (flag) => (flag ? "yes" : "no");

/** Table, intervals and doubt of all targets. */
export function effectsOf(result, { target, options }) {
  const targets = Object.entries(result.scored.targets);
  const interval = `${percent(options.coverage)} interval`;
  const rows = targets.map(([name, n]) => {
    const call = callOf(result.triaged, name);
    return [
      name === target ? h("b", {}, name) : name,
      tierName(call),
      plain(call.p_wrong),
      signed(n.effect),
      signed(n.expected),
      span(n.lower, n.upper),
      chance(n.p_sign),
      signed(n.quantile, 3),
      yesNo(n.calibrated),
    ];
  });
  const columns = [
    { title: "cell type", word: true, head: true },
    { title: "call", word: true },
    { title: "p wrong", abbr: "Probability that the call is wrong" },
    { title: "effect", abbr: "Predicted effect, alt minus ref, log2(RNA/DNA)" },
    { title: "expected", abbr: "Mean of the distribution of the true effect" },
    { title: interval, abbr: "Of the true effect" },
    { title: "p sign", abbr: "Probability that the true effect has the sign of the expected one" },
    { title: "quantile", abbr: "Rank among random single-base changes of the same model, signed" },
    { title: "calibrated", word: true, abbr: "Whether measured variant effects set these numbers" },
  ];
  const drawn = targets.map(([name, n], place) => ({ name, numbers: n, series: place, calibrated: n.calibrated }));
  return h(
    "section",
    {},
    h("h3", {}, "Effect in each cell type"),
    table("Effect in each cell type", "log2(RNA/DNA), alt minus ref", columns, rows),
    plot(drawn, options, "Intervals of the effect in each cell type; the table above has the numbers"),
    h(
      "p",
      { class: "faint" },
      `Calls: at an error rate of ${options.error_rate} and for effects beyond ${options.threshold} log2 units, this variant being the whole list.`,
    ),
    doubt(targets),
  );
}

/** The interval plot with its key. */
export function plot(rows, options, label) {
  return h(
    "figure",
    { class: "plot" },
    drawnToWidth(h("div", { class: "canvas" }), (width) =>
      intervals(rows, { threshold: options.threshold, width: Math.min(width, 760), label }),
    ),
    h("ul", { class: "key", "aria-label": "Key to the intervals" }, intervalKey().map(([picture, text]) => h("li", {}, picture, text))),
  );
}

const PARTS = [
  ["epistemic", "networks disagree", "SD of the effect over the networks of the ensemble"],
  ["representation", "views disagree", "SD of the effect over strands, shifts and anchorings"],
  ["aleatoric", "noise of one measurement", "SD that noise of the assay, and what the model cannot explain, gives the difference"],
];

function doubt(targets) {
  const values = targets.flatMap(([, n]) => [...PARTS.map(([name]) => n[name]), n.sd, n.repeat_sd]);
  const largest = Math.max(0, ...values.filter((value) => typeof value === "number"));
  const columns = [{ title: "part", word: true, head: true }, ...targets.map(([name]) => ({ title: name }))];
  const cell = (n, name, place) => h("div", { class: "barred" }, plain(n[name]), bar(n[name], largest, place));
  const line = (name, title, meaning) => [
    [h("span", {}, title), h("span", { class: "meaning" }, ` (${name}): ${meaning}`)],
    ...targets.map(([, n], place) => cell(n, name, place)),
  ];
  const rows = [
    ...PARTS.map((part) => line(...part)),
    line("sd", "true effect, all in all", "SD of the true effect about its expectation"),
    line("repeat_sd", "a repeat, all in all", "SD of what a repeat of the assay would measure"),
  ];
  return h(
    "section",
    { class: "doubt" },
    h("h3", {}, "Parts of the doubt"),
    table("Parts of the doubt", "Standard deviations, log2(RNA/DNA)", columns, rows),
    h(
      "p",
      { class: "faint" },
      "The parts do not add up to the whole: where measured effects calibrate it, they say how wrong the model as such can be.",
    ),
  );
}
