// A table of very many rows: sorted by a column, filtered, a page at a time.

import { wasAborted } from "./api.js";
import { h, put, scrolling } from "./dom.js";
import { tierName } from "./effects.js";
import { TIERS, triageRows } from "./tiers.js";
import { allele, chance, count, fit, NOTHING, percent, plain, signed, span, spaced, spelling } from "./words.js";

const PAGE = 50;
const COLLATOR = new Intl.Collator("en", { numeric: true });

/** Columns: `key` gives what a row is sorted by; numbers that are not there come last. */
const COLUMNS = [
  { name: "index", title: "#", key: () => (row) => row },
  { name: "variant", title: "variant", word: true, key: (rows, n, ranks) => (row) => ranks[row] },
  { name: "id", title: "ID", word: true, text: (rows) => rows.id },
  { name: "call", title: "call, by rank", word: true, isOfTriage: true, key: (rows, n, ranks, calls) => (row) => calls?.[row]?.rank ?? NaN },
  { name: "p_wrong", title: "p wrong", isOfTriage: true, key: (rows, n, ranks, calls) => (row) => calls?.[row]?.call.p_wrong ?? NaN },
  { name: "effect", title: "effect", key: (rows, n) => (row) => rows.fields.effect[n][row] },
  { name: "size", title: "|effect|", isLargeFirst: true, key: (rows, n) => (row) => Math.abs(rows.fields.effect[n][row]) },
  { name: "expected", title: "expected", key: (rows, n) => (row) => rows.fields.expected[n][row] },
  { name: "interval", title: "interval", key: (rows, n) => (row) => rows.fields.lower[n][row] },
  { name: "p_sign", title: "p sign", isLargeFirst: true, key: (rows, n) => (row) => rows.fields.p_sign[n][row] },
  { name: "quantile", title: "quantile", key: (rows, n) => (row) => rows.fields.quantile[n][row] },
  { name: "novelty", title: "novelty", key: (rows) => (row) => rows.novelty[row] },
  { name: "status", title: "status", word: true, text: (rows) => rows.status },
];
const INTERVALS = {
  any: { title: "any", holds: () => true },
  below: { title: "all below 0", holds: (lower, upper) => upper < 0 },
  above: { title: "all above 0", holds: (lower, upper) => lower > 0 },
  either: { title: "leaves out 0", holds: (lower, upper) => upper < 0 || lower > 0 },
  across: { title: "holds 0", holds: (lower, upper) => lower <= 0 && upper >= 0 },
};

/** Show rows in a place; `most` is how many of them can be sorted into tiers at once. */
export function showTable(place, rows, { model, provenance, threshold, errorRate, most, signal, explain }) {
  const calls = new Map(); // by target: of each row, or undefined
  const state = { column: COLUMNS[0], isDown: false, page: 0, target: Math.max(0, rows.targets.indexOf(provenance.calibrated_targets[0])) };
  const places = placeRanks(rows);
  const haystack = Array.from({ length: rows.length }, (_, row) =>
    `${rows.contig[row]}:${rows.pos[row]} ${rows.ref[row]}>${rows.alt[row]} ${rows.id[row]} ${rows.status[row]} ${rows.novelAs[row]}`.toLowerCase(),
  );
  const choice = (id, title, options, value) =>
    h("div", {}, h("label", { for: id }, title), " ", h("select", { id }, options.map(([name, text]) => h("option", { value: name, selected: name === value }, text))));
  const field = (id, title, more) => h("div", {}, h("label", { for: id }, title), " ", h("input", { id, ...more }));
  const statuses = [...new Set(rows.status)].filter((one) => one !== "ok").sort();
  const form = h(
    "form",
    { class: "row filters", role: "search", "aria-label": "Filter the results" },
    choice("by-target", "Cell type", rows.targets.map((name, n) => [String(n), provenance.calibrated_targets.includes(name) ? name : `${name} (not calibrated)`]), String(state.target)),
    field("by-text", "Text", { type: "search", autocomplete: "off", spellcheck: "false", placeholder: "place, ID, status" }),
    field("by-size", "|effect| at least", { type: "number", min: 0, step: "any", inputmode: "decimal" }),
    choice("by-interval", "Interval", Object.entries(INTERVALS).map(([name, one]) => [name, one.title]), "any"),
    h("span", { id: "tier-place", hidden: true }, choice("by-tier", "Call", [["", "all"], ...TIERS.map((one) => [one, spaced(one)])], "")),
    choice("by-status", "Status", [["", "all"], ["ok", "scored"], ["not", "not scored"], ...statuses.map((one) => [one, spaced(one)])], ""),
    h("button", { type: "reset" }, "Show all"),
  );
  const told = h("p", { class: "status", role: "status" });
  const body = h("tbody");
  const head = h("tr");
  const pages = h("nav", { class: "row pages", "aria-label": "Pages of the table" });
  const caption = h("caption");
  const value = (id) => form.querySelector(`#${id}`).value;
  let shown = [];

  function choose() {
    state.target = Number(value("by-target"));
    const text = value("by-text").trim().toLowerCase().replace(/,(?=\d{3})/g, "");
    const size = Number(value("by-size")) || 0;
    const interval = INTERVALS[value("by-interval")];
    const status = value("by-status");
    const tier = calls.has(state.target) ? value("by-tier") : "";
    const { effect, lower, upper } = Object.fromEntries(["effect", "lower", "upper"].map((name) => [name, rows.fields[name][state.target]]));
    shown = [];
    for (let row = 0; row < rows.length; row++) {
      if (text && !haystack[row].includes(text)) continue;
      if (size && !(Math.abs(effect[row]) >= size)) continue;
      if (interval !== INTERVALS.any && !interval.holds(lower[row], upper[row])) continue;
      if (tier && calls.get(state.target)[row]?.call.tier !== tier) continue;
      if (status && (status === "not" ? rows.status[row] === "ok" : rows.status[row] !== status)) continue;
      shown.push(row);
    }
    order();
    state.page = 0;
  }

  function order() {
    const { column, isDown } = state;
    if (column.text) {
      const texts = column.text(rows);
      // The empty ones last, whichever way it goes.
      shown.sort((a, b) => !texts[a] - !texts[b] || (isDown ? -1 : 1) * COLLATOR.compare(texts[a], texts[b]) || a - b);
      return;
    }
    const of = column.key(rows, state.target, places, calls.get(state.target));
    const keys = new Float64Array(rows.length);
    for (const row of shown) keys[row] = of(row);
    shown.sort((a, b) => inOrder(keys[a], keys[b], isDown) || a - b);
  }

  function draw() {
    const last = Math.max(0, Math.ceil(shown.length / PAGE) - 1);
    state.page = Math.min(state.page, last);
    const from = state.page * PAGE;
    const part = shown.slice(from, from + PAGE);
    const called = calls.get(state.target);
    form.querySelector("#tier-place").hidden = !called;
    put(head, COLUMNS.filter((one) => called || !one.isOfTriage).map(heading));
    const target = rows.targets[state.target];
    const isFitted = provenance.calibrated_targets.includes(target);
    put(body, part.map((row) => h("tr", {}, cells(rows, row, { model, called, target: state.target, assembly: provenance.assembly, isFitted }))));
    const fitted = isFitted ? "calibrated on measured single-base changes" : "not calibrated";
    put(caption, `Results on ${target}, ${percent(provenance.options.coverage)} intervals of the true effect, ${fitted}`);
    told.textContent = shown.length === rows.length ? `${count(rows.length)} rows` : `${count(shown.length)} of ${count(rows.length)} rows`;
    put(
      pages,
      turn("First", 0, state.page === 0),
      turn("Previous", state.page - 1, state.page === 0),
      h("span", {}, shown.length ? `rows ${count(from + 1)} to ${count(from + part.length)} of ${count(shown.length)}` : "no rows"),
      turn("Next", state.page + 1, state.page === last),
      turn("Last", last, state.page === last),
    );
  }

  function turn(text, to, isOff) {
    const act = () => {
      state.page = to;
      draw();
      // The button that was pressed may be off now: the focus stays in its row.
      const same = [...pages.querySelectorAll("button")].find((one) => one.textContent === text);
      (same.disabled ? pages.querySelector("button:not(:disabled)") : same)?.focus();
    };
    return h("button", { type: "button", disabled: isOff, onclick: act }, text);
  }

  function heading(column) {
    const isSorted = state.column === column;
    const sort = isSorted ? (state.isDown ? "descending" : "ascending") : "none";
    const act = () => {
      state.isDown = isSorted ? !state.isDown : Boolean(column.isLargeFirst);
      state.column = column;
      order();
      state.page = 0;
      draw();
      head.querySelector(`[data-column="${column.name}"]`).focus();
    };
    return h(
      "th",
      { scope: "col", class: column.word ? "word" : null, "aria-sort": sort },
      h("button", { type: "button", class: "sort", "data-column": column.name, onclick: act }, column.name === "interval" ? `${percent(provenance.options.coverage)} interval` : column.title, h("span", { "aria-hidden": "true" }, { ascending: " \u2191", descending: " \u2193", none: "" }[sort])),
    );
  }

  const again = () => {
    choose();
    draw();
  };
  let timer;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(again, 120);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(again));
  choose();
  draw();
  const sorter = h("div", { class: "tiering" });
  const scored = [...rows.status.keys()].filter((row) => rows.status[row] === "ok");
  const ask = async () => {
    put(sorter, h("p", { class: "status", role: "status" }, `Sorting ${count(scored.length)} ALTs into tiers`));
    try {
      const found = await triageRows(rows, scored, { model, target: rows.targets[state.target], signal });
      rows.targets.forEach((name, n) => {
        if (found.calls[name]) calls.set(n, found.calls[name]);
      });
      put(sorter, h("p", { class: "faint", role: "status" }, found.said));
      state.column = COLUMNS.find((one) => one.name === "call");
      state.isDown = false;
      again();
    } catch (error) {
      if (!wasAborted(error)) put(sorter, explain(error, ask));
    }
  };
  const offer =
    scored.length === 0 || scored.length > most
      ? h("p", { class: "faint" }, `A list in which many are looked at needs an error rate over the whole of it: varsigma triage sorts it into tiers, the page up to ${count(most)} ALTs.`)
      : [
          h("button", { type: "button", onclick: ask }, "Sort into tiers"),
          h("span", { class: "faint" }, ` Calls over this whole list, at an error rate of ${errorRate} and for effects beyond ${threshold} log2 units.`),
        ];
  put(sorter, offer);
  put(
    place,
    h("h2", {}, "Results"),
    sorter,
    form,
    told,
    scrolling("Results", h("table", { class: "results" }, caption, h("thead", {}, head), body)),
    pages,
  );
}

function cells(rows, row, { model, called, target, assembly, isFitted }) {
  const one = { contig: rows.contig[row], pos: rows.pos[row], ref: rows.ref[row], alt: rows.alt[row] };
  const number = (name) => rows.fields[name][target][row];
  const status = rows.status[row];
  const name = `${fit(one.contig)}:${Number.isFinite(one.pos) ? count(one.pos) : NOTHING} ${allele(one.ref)} > ${allele(one.alt)}`;
  const query = new URLSearchParams({ variant: spelling(one), ...(assembly ? { assembly } : {}), model, target: rows.targets[target] });
  const novel = rows.novelAs[row] ? h("span", { class: "flag" }, ` ${spaced(rows.novelAs[row])}`) : null;
  const td = (content, kind = "number") => h("td", { class: kind }, content);
  return [
    td(count(row + 1)),
    h("th", { scope: "row", class: "word" }, status === "ok" ? h("a", { href: `?${query}` }, name) : h("bdi", {}, name)),
    td(h("bdi", {}, fit(rows.id[row])), "word id"),
    called ? [td(called[row] ? tierName(called[row].call) : "", "word"), td(plain(called[row]?.call.p_wrong))] : [],
    td(signed(number("effect"))),
    td(plain(Math.abs(number("effect")), 2)),
    td(signed(number("expected"))),
    td([span(number("lower"), number("upper")), number("calibrated") === 0 && isFitted ? h("span", { class: "flag" }, " not calibrated") : null]),
    td(chance(number("p_sign"))),
    td(signed(number("quantile"), 3)),
    td([plain(rows.novelty[row]), novel]),
    td(status === "ok" ? "scored" : fit(spaced(status)), "word"),
  ];
}

/** How two numbers are sorted, upwards unless `isDown`; what is none comes last either way. */
const inOrder = (one, other, isDown = false) =>
  Number.isNaN(one) - Number.isNaN(other) || (isDown ? other - one : one - other);

/** Rank of each row by contig, as a person counts them, then by position; without one, last. */
function placeRanks(rows) {
  const contigs = [...new Set(rows.contig)].sort(COLLATOR.compare);
  const rank = new Map(contigs.map((name, n) => [name, n]));
  const order = Array.from({ length: rows.length }, (_, row) => row);
  order.sort((a, b) => rank.get(rows.contig[a]) - rank.get(rows.contig[b]) || inOrder(rows.pos[a], rows.pos[b]) || a - b);
  const found = new Float64Array(rows.length);
  order.forEach((row, n) => (found[row] = n));
  return found;
}
