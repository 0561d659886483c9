// The result of a job, TSV or VCF -> columns of numbers; then the table of it.

import { lines, Problem, wasAborted } from "./api.js";
import { h, put } from "./dom.js";
import { showTable } from "./table.js";
import { bytes, count } from "./words.js";

const MOST_BYTES = 200e6;
const FIELDS = ["calibrated", "effect", "expected", "lower", "upper", "p_sign", "quantile"];
const TRUTH = { true: 1, false: 0 };
const BREATH = 30; // ms of work, then others have their turn

/** Rows of a result: what is text as lists, numbers as (row, target) in one list per field. */
export class Rows {
  constructor(targets) {
    Object.assign(this, { targets, contig: [], pos: [], id: [], ref: [], alt: [], status: [], novelty: [], novelAs: [] });
    this.fields = Object.fromEntries(FIELDS.map((name) => [name, targets.map(() => [])]));
  }

  get length() {
    return this.status.length;
  }

  add({ contig, pos, id, ref, alt, status, novelty, novelAs }, numberOf) {
    this.contig.push(contig);
    this.pos.push(Number(pos));
    this.id.push(id === "." ? "" : id);
    this.ref.push(ref);
    this.alt.push(alt);
    this.status.push(status);
    this.novelty.push(known(novelty));
    this.novelAs.push(novelAs === "." ? "" : novelAs);
    for (const name of FIELDS) this.targets.forEach((target, n) => this.fields[name][n].push(known(numberOf(name, n))));
  }
}

const known = (text) => (text === undefined || text === "." || text === "" ? NaN : (TRUTH[text] ?? Number(text)));

/** Return what reads a line of a TSV into rows. */
function tsvReader(rows) {
  let at = null;
  let places = null;
  return (line) => {
    if (at === null) {
      if (line.startsWith("# ")) return;
      at = Object.fromEntries(line.split("\t").map((name, n) => [name, n]));
      places = Object.fromEntries(FIELDS.map((name) => [name, rows.targets.map((target) => at[`${target}_${name}`])]));
      return;
    }
    const cells = line.split("\t");
    const row = {};
    for (const name of ["contig", "pos", "id", "ref", "alt", "status", "novelty"]) row[name] = cells[at[name]];
    row.novelAs = cells[at.novel_as];
    rows.add(row, (name, n) => cells[places[name][n]]);
  };
}

/** The same for a line of a VCF: one row per ALT. */
function vcfReader(rows) {
  const tag = (target, name) => `VARSIGMA_${target.replace(/[^A-Za-z0-9]/g, "_")}_${name}`.toUpperCase();
  const tags = Object.fromEntries(FIELDS.map((name) => [name, rows.targets.map((target) => tag(target, name))]));
  return (line) => {
    if (line.startsWith("#") || !line.trim()) return;
    const [contig, pos, id, ref, alts, , , text = ""] = line.replace(/\r$/, "").split("\t");
    const info = new Map();
    for (const part of text.split(";")) {
      if (part.startsWith("VARSIGMA_")) {
        const [name, values = ""] = part.split("=");
        info.set(name, values.split(","));
      }
    }
    (alts ?? ".").split(",").forEach((alt, n) => {
      const value = (name) => info.get(name)?.[n];
      rows.add(
        { contig, pos, id: id ?? ".", ref: ref ?? ".", alt, status: value("VARSIGMA_STATUS") ?? "malformed_record", novelty: value("VARSIGMA_NOVELTY"), novelAs: value("VARSIGMA_NOVEL_AS") ?? "." },
        (name, target) => value(tags[name][target]),
      );
    });
  };
}

const READERS = { tsv: tsvReader, vcf: vcfReader };
const breathe = () => new Promise((resolve) => setTimeout(resolve));

/** Read the result of a job and show it. */
export async function showResults(place, job, { signal, facts, most, explain }) {
  const reader = READERS[job.options.format];
  if (!reader || job.result.bytes > MOST_BYTES) {
    const why = reader ? `it has ${bytes(job.result.bytes)}` : `its format is ${job.options.format}`;
    put(place, h("p", { class: "notice" }, `The table of results is not shown, as ${why}; download it.`));
    return;
  }
  const told = h("p", { class: "status", role: "status" }, "Reading the result");
  put(place, told);
  try {
    const rows = new Rows(job.provenance.targets);
    const read = reader(rows);
    let end = performance.now() + BREATH;
    for await (const several of lines(`v1/jobs/${job.id}/result`, { signal })) {
      for (const line of several) read(line);
      if (performance.now() > end) {
        told.textContent = `Reading the result: ${count(rows.length)} rows`;
        await breathe();
        end = performance.now() + BREATH;
      }
    }
    showTable(place, rows, {
      model: job.options.model, provenance: job.provenance, threshold: facts.threshold, errorRate: facts.error_rate,
      most, signal, explain,
    });
  } catch (error) {
    if (wasAborted(error)) return;
    if (!(error instanceof Problem)) console.error(error);
    put(place, explain(error, () => showResults(place, job, { signal, facts, most, explain })));
  }
}
