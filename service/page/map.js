// The saturation map around a variant: asked for line by line, with progress, and read out.

import { jsonLines, Problem, wasAborted } from "./api.js";
import { h, put, s } from "./dom.js";
import { fullColour, grid } from "./grid.js";
import { changeName, count, plain, signed, spaced, spelling } from "./words.js";

const NUMBERS = ["effect", "expected", "sd", "quantile"];
const LEAST_FLANK = 2;

/** Ask for the map of a region; tells how many positions are there. */
async function region(body, { signal, onProgress }) {
  const found = { novelty: [], novel_as: [], ...Object.fromEntries(NUMBERS.map((name) => [name, []])) };
  const { target, ...query } = body;
  for await (const line of jsonLines("v1/saturation", { body: query, signal })) {
    if (!line.targets) {
      Object.assign(found, { contig: line.contig, start: line.start, sequence: line.sequence, alts: line.alts });
      continue;
    }
    const part = line.targets[target];
    for (const name of NUMBERS) found[name].push(...part[name]);
    found.novelty.push(...line.novelty);
    found.novel_as.push(...line.novel_as);
    found.calibrated = part.calibrated;
    onProgress(found.effect.length, found.sequence.length);
  }
  if (found.effect.length !== found.sequence?.length) throw new Problem("The map broke off in the middle. Try again.");
  return found;
}

/** The same around a variant, at most `span` positions; near the end of what is known fewer. */
async function around(names, { span, ...query }, options) {
  const middle = names.pos + Math.max(names.ref.length - 1, 0) / 2;
  for (let flank = Math.floor((span - 1) / 2); ; flank = Math.floor(flank / 2)) {
    const start = Math.max(1, Math.floor(middle) - flank);
    const end = Math.floor(middle) + flank;
    try {
      return await region({ contig: names.contig, start, end, ...query }, options);
    } catch (error) {
      const isOutside = error instanceof Problem && error.status === 422 && ["start", "end"].includes(error.detail?.field);
      if (!isOutside || flank <= LEAST_FLANK) throw error;
    }
  }
}

/** Fill a place with the map of a variant. */
export async function showMap(place, names, { model, target, span, options, signal, onOpen, explain }) {
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Saturation map" });
  const told = h("p", { class: "status" }, `Scoring the ${count(3 * span)} single-base changes around it`);
  const body = h("div", {}, told, bar);
  put(place, h("h3", {}, `Saturation map on ${target}`), body);
  try {
    const map = await around(names, { model, target, span }, {
      signal,
      onProgress(done, all) {
        bar.max = all;
        bar.value = done;
        told.textContent = `${count(done)} of ${count(all)} positions`;
      },
    });
    put(body, drawn(map, names, { target, options, onOpen, room: place.clientWidth }));
  } catch (error) {
    if (wasAborted(error)) throw error;
    put(body, explain(error, () => showMap(place, names, { model, target, span, options, signal, onOpen, explain })));
  }
}

function drawn(map, names, { target, options, onOpen, room }) {
  const threshold = options.threshold;
  const full = fullColour(map.effect, threshold);
  const isSnv = names.ref.length === 1 && names.alt.length === 1;
  const from = names.pos - map.start + (isSnv ? 0 : shared(names));
  const to = names.pos - map.start + names.ref.length;
  const own = isSnv ? [from, map.alts.indexOf(names.alt)] : null;
  const change = (place, column) => ({ contig: map.contig, pos: map.start + place, ref: map.sequence[place], alt: map.alts[column] });
  // Short, for a cell that gets the focus: the line below the map says the rest.
  const nameOf = (place, column) => {
    const one = change(place, column);
    if (one.ref === one.alt) return `${changeName(one).split(" ")[0]} ${one.ref}, base of the reference`;
    const value = map.effect[place][column];
    return `${changeName(one)}: ${value === null ? "not known" : `effect ${signed(value)}`}`;
  };
  const describe = (place, column) => {
    if (!opens(place, column)) return nameOf(place, column);
    const novel = map.novel_as[place][column];
    return (
      `${nameOf(place, column)}, expected ${signed(map.expected[place][column])},` +
      ` SD ${plain(map.sd[place][column], 2)}, quantile ${signed(map.quantile[place][column], 3)}` +
      (novel ? `, novel: ${spaced(novel)}` : "")
    );
  };
  const opens = (place, column) => map.sequence[place] !== map.alts[column] && map.effect[place][column] !== null;
  const reading = h("p", { class: "reading", role: "status", "aria-live": "polite" }, "Point at a cell, or move into the map with Tab and through it with the arrow keys; Enter opens the change as a variant.");
  const opener = h("a", { href: "#", hidden: true, class: "opener" }, "Open this change");
  let looked = own;
  const open = (place, column) => {
    if (opens(place, column)) onOpen(spelling(change(place, column)));
  };
  opener.addEventListener("click", (event) => {
    event.preventDefault();
    open(...looked);
  });
  const picture = grid(map, {
    room: room - 6,
    label: `Effect of every single-base change on ${target}, ${map.contig}:${count(map.start)} to ${count(map.start + map.sequence.length - 1)}`,
    threshold,
    full,
    own,
    marked: { from: Math.max(0, from), to: Math.min(map.sequence.length, to) },
    nameOf,
    onMove(place, column) {
      looked = [place, column];
      reading.textContent = describe(place, column);
      opener.hidden = !opens(place, column);
    },
    onOpen: open,
  });
  return h(
    "figure",
    { class: "mapped" },
    h("div", { class: "scroll" }, picture),
    h("div", { class: "readout" }, reading, opener),
    key(full, threshold),
    h(
      "figcaption",
      { class: "faint" },
      "Plus strand. Each change is scored as a variant of its own. Logo: a letter is as high as the mean effect of the three changes of its base, with the sign reversed, so that a base on which activity rests stands upright. ",
      map.calibrated ? "Expected effects and SDs are calibrated on measured ones." : "Not calibrated on this cell type.",
    ),
  );
}

/** Leading bases that ref and alt share: they are not replaced. */
function shared({ ref, alt }) {
  let n = 0;
  while (n < ref.length && n < alt.length && ref[n] === alt[n]) n++;
  return n;
}

function key(full, threshold) {
  const sample = (...parts) => s("svg", { class: "sample map", width: 30, height: 16, viewBox: "0 0 30 16", "aria-hidden": "true", focusable: "false" }, parts);
  const box = { width: 30, height: 16 };
  const entries = [
    [sample(s("rect", { ...box, class: "down" }), s("path", { class: "sign", d: "M12 8h6" })), `lowers activity; full colour at ${signed(-full, 1)}`],
    [sample(s("rect", { ...box, class: "up" }), s("path", { class: "sign", d: "M12 8h6m-3 -3v6" })), `raises activity; full colour at ${signed(full, 1)}`],
    [h("b", { "aria-hidden": "true" }, "+ \u2212"), `sign: predicted effect beyond the threshold of ${threshold}`],
    [h("b", { "aria-hidden": "true" }, "\u00b7"), "dot: base of the reference"],
    [sample(s("rect", { ...box, class: "own", x: 1.5, y: 1.5, width: 27, height: 13 })), "outlined: the variant itself"],
  ];
  return h("ul", { class: "key", "aria-label": "Key to the map" }, entries.map(([picture, text]) => h("li", {}, picture, text)));
}
