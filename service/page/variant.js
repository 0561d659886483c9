// The view of one variant: form -> names -> effects -> map -> other models.

import { ask, Problem, wasAborted } from "./api.js";
import { byId, h, put, setFieldError, table } from "./dom.js";
import { callOf, effectsOf, headline, plot, tierName } from "./effects.js";
import { showMap } from "./map.js";
import { allele, changeName, chance, count, fit, percent, signed, span } from "./words.js";

const SPAN = 41;

/** What the page knows: facts of the server, its models, and how to go somewhere and to explain. */
let page;
let asked = new AbortController();

export function startVariant(context) {
  page = context;
  byId("variant-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("variant").value;
    if (!text.trim()) {
      fieldError("Type a variant first, such as chr1:123:A:G.");
      return;
    }
    page.go(queryOf(text));
  });
  byId("variant").addEventListener("input", () => fieldError(null));
  byId("model").addEventListener("change", () => fillTargets(byId("target").value));
}

/** Fill the choices, keeping what was chosen. */
export function fillModels() {
  const chosen = byId("model").value;
  put(byId("model"), page.models.map((one) => h("option", { value: one.name }, one.name)));
  if (page.models.some((one) => one.name === chosen)) byId("model").value = chosen;
  fillTargets(byId("target").value);
}

function fillTargets(chosen) {
  const model = modelNamed(byId("model").value);
  const targets = model?.targets ?? [];
  const label = (name) => (model.calibrated_targets.includes(name) ? name : `${name} (not calibrated)`);
  put(byId("target"), targets.map((name) => h("option", { value: name }, label(name))));
  const usual = model?.calibrated_targets[0] ?? targets[0];
  byId("target").value = targets.includes(chosen) ? chosen : (usual ?? "");
}

const modelNamed = (name) => page.models.find((one) => one.name === name);

function queryOf(variant) {
  const query = { variant };
  if (page.facts.assembly) query.assembly = page.facts.assembly;
  // Where the models are not known yet, the address is looked at again when they are.
  for (const name of ["model", "target"]) if (byId(name).value) query[name] = byId(name).value;
  if (Number(byId("span").value) !== SPAN) query.span = byId("span").value;
  return query;
}

function fieldError(text) {
  setFieldError(byId("variant"), byId("variant-error"), text);
}

/** Stop whatever is being asked. */
export function leaveVariant() {
  asked.abort();
}

/** Show what an address asks for; without a variant, the empty form. */
export async function showVariant(query) {
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  fieldError(null);
  put(byId("variant-trouble"));
  put(byId("variant-result"));
  say("");
  const text = query.get("variant");
  if (text === null) return;
  byId("variant").value = text;
  const wrong = choose(query);
  if (wrong) {
    trouble(new Problem(wrong));
    return;
  }
  if (!page.isOpen) return; // a key is asked for, or nothing can be looked up
  try {
    await answer(text, signal);
  } catch (error) {
    if (wasAborted(error)) return;
    say("");
    if (error instanceof Problem && error.status === 422 && error.detail?.field === "q") {
      fieldError(fit(error.message));
      byId("variant").focus();
    } else trouble(error);
  }
}

/** Set the form to what an address says; returns why that cannot be shown, else null. */
function choose(query) {
  const assembly = query.get("assembly");
  const here = page.facts.assembly;
  if (assembly && assembly !== here) {
    return `This link is for ${fit(assembly)}, but the reference of this server is ${here ?? "of an assembly that is not stated"}. Positions differ between assemblies: nothing was looked up.`;
  }
  if (!page.isOpen) return null;
  const model = query.get("model");
  if (model !== null && !modelNamed(model)) {
    return `This server has no model ${fit(model)}. It has ${page.models.map((one) => one.name).join(", ")}; choose one and show the effect again.`;
  }
  if (model !== null) byId("model").value = model;
  const target = query.get("target");
  if (target !== null && !modelNamed(byId("model").value).targets.includes(target)) {
    return `The model ${byId("model").value} has no cell type ${fit(target)}. Choose one and show the effect again.`;
  }
  fillTargets(target);
  const wanted = query.get("span") ?? String(SPAN);
  if ([...byId("span").options].some((one) => one.value === wanted)) byId("span").value = wanted;
  return null;
}

const say = (text) => (byId("variant-status").textContent = text);

function trouble(error) {
  put(byId("variant-trouble"), page.explain(error, () => showVariant(new URLSearchParams(location.search))));
}

/** Score a variant with a model: what /v1/score and /v1/triage say of it. */
async function effects(names, model, target, signal) {
  const { contig, pos, ref, alt } = names;
  const body = { model, variants: [{ contig, pos, ref, alt }] };
  const scored = await ask("v1/score", { body, signal });
  const triaged = await ask("v1/triage", { body: { ...body, target, compare: true }, signal });
  return {
    scored: scored.results[0],
    triaged: triaged.results[0],
    provenance: scored.provenance,
    options: { ...page.facts, coverage: scored.provenance.options.coverage, error_rate: triaged.error_rate, threshold: triaged.threshold },
  };
}

async function answer(text, signal) {
  const [model, target, span] = [byId("model").value, byId("target").value, Number(byId("span").value)];
  say("Reading the variant");
  const names = await ask(`v1/variants?q=${encodeURIComponent(text)}`, { signal });
  say("Scoring");
  const result = await effects(names, model, target, signal);
  const { scored, options } = result;
  const head = heading(names, scored, { model, target, span });
  if (scored.status !== "ok") {
    say(`${changeName(names)} has no score.`);
    put(byId("variant-result"), head, h("p", { class: "error" }, `No score: ${scored.reason} (${scored.status}).`));
    return;
  }
  const mapped = h("section");
  const compared = h("section");
  put(
    byId("variant-result"),
    head,
    headline(result, { target, options }),
    effectsOf(result, { target, options }),
    mapped,
    compared,
    provenance(result.provenance),
  );
  // Whoever opened it from a cell that is gone now goes on here.
  if (document.activeElement === document.body) head.querySelector("h2").focus();
  say(`${changeName(names)} is scored: ${callOf(result.triaged, target).tier_name} on ${target}.`);
  const onOpen = (variant) => page.go({ ...queryOf(variant), model, target });
  await showMap(mapped, names, {
    model, target, options, signal, onOpen, explain: page.explain,
    span: Math.min(span, page.facts.max_region),
  });
  await compare(compared, names, { model, target, result, signal });
}

function heading(names, scored, { model, target, span }) {
  const query = new URLSearchParams({ variant: names.identifier });
  if (names.assembly) query.set("assembly", names.assembly);
  query.set("model", model);
  query.set("target", target);
  if (span !== SPAN) query.set("span", span);
  const facts = [
    ["place", `${fit(names.contig)}:${count(names.pos)}, ${names.assembly ?? "assembly not stated"}`],
    ["change", `${allele(names.ref, 64)} > ${allele(names.alt, 64)}`],
    ["SPDI", names.spdi === null ? "no accession is known" : allele(names.spdi, 120)],
    ["model", model],
    ...(names.notes.length ? [["how it was read", names.notes.map(fit).join("; ")]] : []),
  ];
  return h(
    "div",
    { class: "names" },
    h("h2", { tabindex: -1 }, allele(names.identifier, 120)),
    h("dl", {}, facts.map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])),
    h("p", {}, h("a", { href: `?${query}` }, "Link to this result")),
  );
}

/** The same variant under every served model, side by side. */
async function compare(place, names, { model, target, result, signal }) {
  const title = h("h3", {}, "Models compared");
  if (page.models.length < 2) {
    put(place, title, h("p", {}, `This server has one model, ${model}.`));
    return;
  }
  const told = h("p", { class: "status" }, "Scoring with the other models");
  put(place, title, told);
  const found = new Map([[model, result]]);
  try {
    for (const other of page.models) {
      if (other.name === model) continue;
      const chosen = other.targets.includes(target) ? target : other.targets[0];
      found.set(other.name, await effects(names, other.name, chosen, signal));
    }
  } catch (error) {
    if (wasAborted(error)) throw error;
    put(place, title, page.explain(error, () => compare(place, names, { model, target, result, signal })));
    return;
  }
  const targets = [...new Set(page.models.flatMap((one) => one.targets))];
  const lines = targets.flatMap((name) =>
    page.models.map((one, series) => ({ target: name, model: one.name, series, result: found.get(one.name) })),
  ).filter((line) => line.result.scored.targets?.[line.target]);
  const rows = lines.map((line) => {
    const n = line.result.scored.targets[line.target];
    return [
      line.target, line.model === model ? h("b", {}, line.model) : line.model,
      tierName(callOf(line.result.triaged, line.target)),
      signed(n.effect), signed(n.expected), span(n.lower, n.upper), chance(n.p_sign), signed(n.quantile, 3), n.calibrated ? "yes" : "no",
    ];
  });
  const columns = [
    { title: "cell type", word: true, head: true }, { title: "model", word: true }, { title: "call", word: true }, { title: "effect" },
    { title: "expected" }, { title: `${percent(result.options.coverage)} interval` }, { title: "p sign" }, { title: "quantile" },
    { title: "calibrated", word: true },
  ];
  const drawn = lines.map((line) => {
    const numbers = line.result.scored.targets[line.target];
    return { name: `${line.target}, ${line.model}`, numbers, series: line.series, calibrated: numbers.calibrated };
  });
  put(
    place,
    title,
    table("Models compared", "log2(RNA/DNA), alt minus ref", columns, rows),
    plot(drawn, result.options, "Intervals of the effect under each model; the table above has the numbers"),
    h("p", { class: "faint" }, "Each model stands on a scale of its own; quantiles compare it with its own effects of random changes. That models agree does not make them right."),
  );
}

function provenance(facts) {
  const text = (value) => (typeof value === "object" && value !== null ? JSON.stringify(value) : String(value));
  return h(
    "details",
    {},
    h("summary", {}, "What made these numbers"),
    h("dl", {}, Object.entries(facts).map(([name, value]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, fit(text(value)))])),
  );
}
