// A saturation map as a picture: a logo of the sequence above a grid of every single-base change.
// The grid is one for the keyboard and for screen readers too: rows, cells, one of them in the tab
// order, arrows move on.

import { s } from "./dom.js";
import { count, signed } from "./words.js";

const [ROW, LEFT, RIGHT, TOP, LOGO, LETTERS, BOTTOM] = [18, 44, 8, 12, 62, 16, 20];
const [LEAST_WIDE, MOST_WIDE] = [14, 24];
const LEAST_LETTER = 0.4;
// Outlines of DejaVu Sans Bold in a box of one by one, as in the reports of `varsigma triage`.
const OUTLINES = {
  A: "M0.695 -0.182L0.312 -0.182L0.252 0L0.006 0L0.357 -1L0.649 -1L1 0L0.754 0L0.695 -0.182ZM0.373 -0.368L0.633 -0.368L0.503 -0.766L0.373 -0.368Z",
  C: "M1 -0.072Q0.923 -0.036 0.839 -0.018Q0.755 0 0.664 0Q0.392 0 0.233 -0.135Q0.074 -0.269 0.074 -0.5Q0.074 -0.731 0.233 -0.865Q0.392 -1 0.664 -1Q0.755 -1 0.839 -0.982Q0.923 -0.964 1 -0.928L1 -0.729Q0.922 -0.776 0.846 -0.798Q0.77 -0.82 0.687 -0.82Q0.536 -0.82 0.45 -0.735Q0.365 -0.649 0.365 -0.5Q0.365 -0.351 0.45 -0.265Q0.536 -0.18 0.687 -0.18Q0.77 -0.18 0.846 -0.202Q0.922 -0.224 1 -0.271L1 -0.072Z",
  G: "M1 -0.09Q0.906 -0.045 0.805 -0.023Q0.703 0 0.595 0Q0.352 0 0.209 -0.135Q0.067 -0.269 0.067 -0.5Q0.067 -0.733 0.212 -0.866Q0.357 -1 0.609 -1Q0.707 -1 0.796 -0.982Q0.885 -0.964 0.964 -0.928L0.964 -0.729Q0.882 -0.775 0.802 -0.797Q0.721 -0.82 0.64 -0.82Q0.49 -0.82 0.408 -0.737Q0.327 -0.654 0.327 -0.5Q0.327 -0.347 0.405 -0.263Q0.484 -0.18 0.628 -0.18Q0.667 -0.18 0.701 -0.185Q0.735 -0.19 0.762 -0.2L0.762 -0.387L0.608 -0.387L0.608 -0.554L1 -0.554L1 -0.09Z",
  T: "M0.007 -1L1 -1L1 -0.805L0.643 -0.805L0.643 0L0.365 0L0.365 -0.805L0.007 -0.805L0.007 -1Z",
};

/** Effect from which on colours are full: that of all but the largest 1 %, at least twice the threshold. */
export function fullColour(rows, threshold) {
  const sizes = rows.flat().filter((value) => value !== null).map(Math.abs).sort((a, b) => a - b);
  const large = sizes.length ? sizes[Math.min(sizes.length - 1, Math.floor(0.99 * sizes.length))] : 0;
  return Math.ceil(10 * Math.max(2 * threshold, large, 0.1) - 1e-9) / 10;
}

/**
 * Draw a map.
 *
 * `room` is the width there is; `map` has start (1-based), sequence, alts and effect (a row of four per position); `nameOf` says in
 * a few words what the cell (place, column) is; `onMove` hears which is looked at, `onOpen` which one
 * is to be opened; `own` is the cell of the variant itself, `marked` the places that it replaces.
 */
export function grid(map, { room, label, threshold, full, own, marked, nameOf, onMove, onOpen }) {
  const n = map.sequence.length;
  const wide = Math.max(LEAST_WIDE, Math.min(MOST_WIDE, Math.floor((room - LEFT - RIGHT) / n)));
  const heat = TOP + LOGO + LETTERS;
  const [width, height] = [LEFT + wide * n + RIGHT, heat + ROW * 4 + BOTTOM];
  const x = (place) => LEFT + wide * place;
  const y = (column) => heat + ROW * column;
  const cells = [];
  const rows = [...map.alts].map((alt, column) =>
    s(
      "g",
      { role: "row" },
      s("text", { class: "end", role: "rowheader", x: LEFT - 6, y: y(column) + 13 }, `to ${alt}`),
      [...map.sequence].map((base, place) => {
        const value = map.effect[place][column];
        const one = cell(value, base === alt, { x: x(place), y: y(column), width: wide, height: ROW }, full);
        one.setAttribute("role", "gridcell");
        one.setAttribute("tabindex", "-1");
        one.setAttribute("aria-label", nameOf(place, column));
        one.dataset.at = `${place},${column}`;
        (cells[place] ??= [])[column] = one;
        return one;
      }),
    ),
  );
  // Above all cells: an outline of the cell itself would lie under its neighbours.
  const cursor = s("g", { class: "cursor" }, ["halo", "line"].map((name) => s("rect", { class: name, width: wide, height: ROW })));
  const pointer = marked ? x(marked.from) + (wide * (marked.to - marked.from)) / 2 : null;
  const picture = s(
    "svg",
    { class: "map", width, height, viewBox: `0 0 ${width} ${height}` },
    s("defs", {}, s("pattern", { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse" }, s("path", { class: "hatching", d: "M-1 1L1 -1M0 5L5 0M4 6L6 4" }))),
    marked
      ? [
          s("rect", { class: "place", x: x(marked.from), y: TOP - 4, width: Math.max(wide * (marked.to - marked.from), 1), height: height - BOTTOM - TOP + 4 }),
          s("path", { class: "pointer", d: `M${pointer} ${TOP - 4}l-4 -6h8z` }),
        ]
      : null,
    s("g", { "aria-hidden": "true" }, logo(map, threshold, x, wide), [...map.sequence].map((base, place) =>
      s("text", { class: `base ${base}`, x: x(place) + wide / 2, y: heat - 5 }, base),
    )),
    s("g", { role: "grid", "aria-label": label, "aria-readonly": "true" }, rows),
    s("path", { class: "sign", d: signs(map, threshold, (place) => x(place) + wide / 2, y) }),
    own ? s("rect", { class: "own", x: x(own[0]), y: y(own[1]), width: wide, height: ROW }) : null,
    cursor,
    s("text", { x: LEFT, y: height - 5 }, count(map.start)),
    s("text", { class: "end", x: x(n), y: height - 5 }, count(map.start + n - 1)),
  );
  let [atPlace, atColumn] = own ?? [Math.floor(n / 2), 0];
  const stop = () => cells[atPlace][atColumn];
  const stand = (place, column) => {
    stop().setAttribute("tabindex", "-1");
    [atPlace, atColumn] = [place, column];
    stop().setAttribute("tabindex", "0");
    cursor.setAttribute("transform", `translate(${x(place)} ${y(column)})`);
  };
  stand(atPlace, atColumn);
  const placeOf = (event) => event.target.closest("[data-at]")?.dataset.at.split(",").map(Number);
  picture.addEventListener("pointerover", (event) => {
    const at = placeOf(event);
    if (at) onMove(...at);
  });
  picture.addEventListener("click", (event) => {
    const at = placeOf(event);
    if (at) cells[at[0]][at[1]].focus({ preventScroll: true });
  });
  picture.addEventListener("focusin", (event) => {
    const at = placeOf(event);
    if (!at) return;
    stand(...at);
    onMove(...at);
  });
  picture.addEventListener("keydown", (event) => {
    const step = STEPS[event.key]?.(atPlace, atColumn, n, event.ctrlKey);
    if (step) {
      event.preventDefault();
      cells[step[0]][step[1]].focus();
    } else if ((event.key === "Enter" || event.key === " ") && placeOf(event)) {
      event.preventDefault();
      onOpen(atPlace, atColumn);
    }
  });
  return picture;
}

const clip = (value, most) => Math.max(0, Math.min(value, most));
const STEPS = {
  ArrowLeft: (place, column) => [clip(place - 1, place), column],
  ArrowRight: (place, column, n) => [clip(place + 1, n - 1), column],
  ArrowUp: (place, column) => [place, clip(column - 1, 3)],
  ArrowDown: (place, column) => [place, clip(column + 1, 3)],
  Home: (place, column, n, all) => [0, all ? 0 : column],
  End: (place, column, n, all) => [n - 1, all ? 3 : column],
  PageUp: (place, column) => [clip(place - 10, place), column],
  PageDown: (place, column, n) => [clip(place + 10, n - 1), column],
};

function cell(value, isOwn, box, full) {
  if (isOwn) {
    return s("g", { class: "cell none" }, s("rect", { ...box, class: "back" }), s("rect", { class: "dot", x: box.x + box.width / 2 - 1, y: box.y + ROW / 2 - 1, width: 2, height: 2 }));
  }
  if (value === null) return s("g", { class: "cell" }, s("rect", { ...box, class: "unknown" }));
  const strength = Math.min(Math.abs(value) / full, 1).toFixed(2);
  return s("g", { class: "cell" }, s("rect", { ...box, class: "back" }), s("rect", { ...box, class: value < 0 ? "down" : "up", "fill-opacity": strength }));
}

function signs(map, threshold, middleOf, y) {
  const least = Math.max(threshold, 1e-9);
  return map.effect
    .flatMap((row, place) =>
      row.map((value, column) => {
        if (value === null || Math.abs(value) < least) return "";
        const [left, middle] = [middleOf(place) - 3, y(column) + ROW / 2];
        return `M${left} ${middle}h6${value > 0 ? "m-3 -3v6" : ""}`;
      }),
    )
    .join("");
}

/** Letters as high as the mean effect of the three changes of their base, with the sign reversed. */
function logo(map, threshold, x, column) {
  const heights = map.effect.map((row) => {
    const known = row.filter((value) => value !== null);
    return known.length === 3 ? -known.reduce((sum, value) => sum + value, 0) / 3 : 0;
  });
  const [high, low] = [Math.max(0, ...heights), Math.min(0, ...heights)];
  // Where nothing happens, letters stay small: they fill the picture from the threshold on.
  const scale = LOGO / Math.max(high - low, threshold, 1e-6);
  const zero = TOP + (LOGO - scale * (high - low)) / 2 + scale * high;
  const marks = [[0, zero], ...[high, low].filter((value) => Math.abs(value) * scale > 11).map((value) => [value, zero - scale * value])];
  return [
    s("path", { class: "zero", d: `M${LEFT} ${zero.toFixed(1)}h${column * map.sequence.length}` }),
    marks.map(([value, at]) => s("text", { class: "end", x: LEFT - 6, y: (at + 3.5).toFixed(1) }, value === 0 ? "0" : signed(value))),
    heights.map((height, place) => {
      const base = map.sequence[place];
      if (!OUTLINES[base] || Math.abs(height * scale) < LEAST_LETTER) return null;
      const at = `translate(${x(place) + 0.5} ${zero.toFixed(1)}) scale(${column - 1} ${(height * scale).toFixed(2)})`;
      return s("path", { class: base, d: OUTLINES[base], transform: at });
    }),
  ];
}
