// How numbers, places and alleles are spelt: as in the reports of `varsigma triage`.

export const NOTHING = "\u2013";
const MINUS = "\u2212";
/** Beside the name of a tier: colour is never the only sign. */
export const MARKS = {
  likely_lowers: "\u25bc",
  likely_raises: "\u25b2",
  cannot_tell: "\u25cb",
};

// Controls, lone surrogates, and characters that turn the direction of writing.
const UNFIT = new RegExp(
  "[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069\\ufffe\\uffff]" +
    "|[\\ud800-\\udbff](?![\\udc00-\\udfff])|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]",
  "g",
);
const LONGEST_ALLELE = 24;

export const fit = (text) => String(text).replace(UNFIT, "\ufffd");

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** A number with its sign; a dash for none. */
export function signed(value, digits = 2) {
  if (!isNumber(value)) return NOTHING;
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? MINUS : "+") + text;
}

/** A number without a sign; a dash for none, and no zero for what is above it. */
export function plain(value, digits = 3) {
  if (!isNumber(value)) return NOTHING;
  const least = 10 ** -digits;
  return value > 0 && value < least / 2 ? `<${least.toFixed(digits)}` : value.toFixed(digits);
}

/** A probability, never rounded to certainty. */
export function chance(value) {
  return isNumber(value) && value > 0.9995 ? ">0.999" : plain(value);
}

export const span = (lower, upper) =>
  isNumber(lower) && isNumber(upper) ? `${signed(lower)} to ${signed(upper)}` : NOTHING;

export const percent = (share) => `${Number((100 * share).toPrecision(6))} %`;

export const count = (n) => n.toLocaleString("en-GB");

export function allele(text, longest = LONGEST_ALLELE) {
  const shown = fit(text);
  return shown.length <= longest ? shown : `${shown.slice(0, 8)}.. ${count(shown.length)} bases`;
}

/** Where and what a change is; pos is 1-based. */
export const changeName = ({ contig, pos, ref, alt }) =>
  `${fit(contig)}:${count(pos)} ${allele(ref)} > ${allele(alt)}`;

// Behind a RefSeq sequence, what stands between colons is read as SPDI.
const REFSEQ = /^N[CTW]_/i;

/** The spelling of a change that the server reads; pos is 1-based, in SPDI 0-based. */
export const spelling = ({ contig, pos, ref, alt }) => `${contig}:${REFSEQ.test(contig) ? pos - 1 : pos}:${ref}:${alt}`;

export const spaced = (name) => String(name).replaceAll("_", " ");

export function bytes(n) {
  if (n < 1000) return `${n} bytes`;
  const power = Math.min(Math.floor(Math.log10(Number(n.toPrecision(3))) / 3), 4);
  return `${(n / 1000 ** power).toPrecision(3)} ${["", "kB", "MB", "GB", "TB"][power]}`;
}

export function seconds(n) {
  if (n < 90) return `${Math.max(1, Math.round(n))} s`;
  return n < 5400 ? `${Math.round(n / 60)} min` : `${(n / 3600).toFixed(1)} h`;
}
