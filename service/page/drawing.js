// Pictures of effects: intervals on one axis, and bars of the parts of the doubt.

import { s } from "./dom.js";
import { signed } from "./words.js";

const ROW = 38;
const TOP = 8;
const AXIS = 34;
const SIDE = 14;

/** Lines on which an axis of some width has its ticks: 1, 2 or 5 times a power of ten apart. */
export function ticks(low, high, most) {
  const raw = (high - low) / Math.max(most, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((one) => one >= raw);
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9; n++) found.push(n * step);
  return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

/**
 * Intervals of several targets or models on one axis.
 * Thick: of the true effect. Thin, between ticks: of what a repeat would measure. Diamond: the
 * predicted effect. Bar: the expected one. Shaded: effects within the threshold.
 */
export function intervals(rows, { threshold, width, label }) {
  const values = rows.flatMap(({ numbers: n }) => [
    n.effect, n.expected, n.lower, n.upper, n.repeat_lower, n.repeat_upper,
  ]).filter((value) => typeof value === "number");
  const low = Math.min(-2 * threshold, -0.1, ...values);
  const high = Math.max(2 * threshold, 0.1, ...values);
  const pad = 0.04 * (high - low);
  const [from, to] = [low - pad, high + pad];
  const x = (value) => SIDE + ((value - from) / (to - from)) * (width - 2 * SIDE);
  const bottom = TOP + ROW * rows.length + 4;
  const axis = ticks(from, to, Math.max(3, Math.floor(width / 90)));
  const at = (value) => x(value).toFixed(1);
  return s(
    "svg",
    { class: "intervals", width, height: bottom + AXIS, viewBox: `0 0 ${width} ${bottom + AXIS}`, role: "img", "aria-label": label },
    s("rect", { class: "band", x: at(-threshold), y: TOP, width: (x(threshold) - x(-threshold)).toFixed(1), height: bottom - TOP }),
    axis.found.map((value) => s("path", { class: "rule", d: `M${at(value)} ${TOP}V${bottom}` })),
    s("path", { class: "zero", d: `M${at(0)} ${TOP}V${bottom + 4}` }),
    axis.found.map((value) =>
      s("text", { class: "tick", x: at(value), y: bottom + 15, "text-anchor": "middle" }, signed(value, axis.digits)),
    ),
    s("text", { class: "tick", x: width / 2, y: bottom + 30, "text-anchor": "middle" }, "effect, log2(RNA/DNA)"),
    rows.map((row, n) => interval(row, TOP + ROW * n, x, width)),
  );
}

function interval({ name, numbers: n, series = 0, calibrated }, top, x, width) {
  const y = top + 27;
  const at = (value) => x(value).toFixed(1);
  const has = (...values) => values.every((value) => typeof value === "number");
  return s(
    "g",
    { class: `series-${series % 4}` },
    s("text", { class: "name", x: SIDE, y: top + 13 }, calibrated ? name : `${name}, not calibrated`),
    has(n.repeat_lower, n.repeat_upper)
      ? s("path", { class: "repeat", d: `M${at(n.repeat_lower)} ${y - 5}v10M${at(n.repeat_lower)} ${y}H${at(n.repeat_upper)}M${at(n.repeat_upper)} ${y - 5}v10` })
      : null,
    has(n.lower, n.upper)
      ? s("path", { class: calibrated ? "true" : "true unfitted", d: `M${at(n.lower)} ${y}H${Math.max(x(n.upper), x(n.lower) + 1).toFixed(1)}` })
      : null,
    has(n.expected) ? s("path", { class: "expected", d: `M${at(n.expected)} ${y - 7}v14` }) : null,
    has(n.effect) ? s("path", { class: "effect", d: `M${at(n.effect)} ${y - 6}l6 6l-6 6l-6 -6z` }) : null,
  );
}

/** A bar of a value from 0 to the largest of its kind. */
export function bar(value, largest, series) {
  const share = typeof value === "number" && largest > 0 ? Math.min(value / largest, 1) : 0;
  return s(
    "svg",
    { class: `share series-${series % 4}`, width: "100%", height: 8, "aria-hidden": "true", focusable: "false" },
    s("rect", { class: "whole", width: "100%", height: 8 }),
    s("rect", { class: "part", width: `${(100 * share).toFixed(1)}%`, height: 8 }),
  );
}

/** The key to `intervals`. */
export function intervalKey() {
  const sample = (...parts) =>
    s("svg", { class: "sample series-0", width: 44, height: 16, viewBox: "0 0 44 16", "aria-hidden": "true", focusable: "false" }, parts);
  return [
    [sample(s("path", { class: "effect", d: "M22 2l6 6l-6 6l-6 -6z" })), "predicted effect"],
    [sample(s("path", { class: "expected", d: "M22 1v14" })), "expected true effect"],
    [sample(s("path", { class: "true", d: "M4 8H40" })), "interval of the true effect"],
    [sample(s("path", { class: "repeat", d: "M4 3v10M4 8H40M40 3v10" })), "interval of what a repeat of the assay would measure"],
    [sample(s("rect", { class: "band", width: 44, height: 16 })), "effects within the threshold"],
  ];
}
