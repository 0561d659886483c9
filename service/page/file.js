// The view of a file: upload -> job -> progress -> results.

import { address, ask, key, Problem, save, upload, wasAborted } from "./api.js";
import { byId, h, put, setFieldError } from "./dom.js";
import { showResults } from "./results.js";
import { bytes, count, fit, percent, seconds, spaced } from "./words.js";

const [FIRST_PAUSE, LAST_PAUSE] = [400, 3000];
const OVER = ["done", "failed", "cancelled"];

let page;
let dropped = null;
let asked = new AbortController();

export function startFile(context) {
  page = context;
  const [form, drop, field] = [byId("file-form"), byId("drop"), byId("file")];
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  field.addEventListener("change", () => take(field.files[0] ?? null));
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (field.disabled) return;
    if (event.dataTransfer.files.length > 1) {
      fieldError("One file at a time: join them first, or upload one after the other.");
      return;
    }
    field.value = ""; // else the file that was chosen before could not be chosen again
    take(event.dataTransfer.files[0] ?? null);
  });
}

function take(file) {
  dropped = file;
  fieldError(null);
  byId("file-help").textContent = file ? `${fit(file.name)}, ${bytes(file.size)}` : "Choose a file, or drop it here.";
}

const fieldError = (text) => setFieldError(byId("file"), byId("file-error"), text);
const say = (text) => (byId("file-status").textContent = text);

export function fillFileModels() {
  const chosen = byId("file-model").value;
  put(byId("file-model"), page.models.map((one) => h("option", { value: one.name }, one.name)));
  if (page.models.some((one) => one.name === chosen)) byId("file-model").value = chosen;
}

export function leaveFile() {
  asked.abort();
}

/** Show the form, and the job that an address names. */
export async function showFile(query) {
  asked = new AbortController();
  const { signal } = asked;
  put(byId("file-trouble"));
  put(byId("job"));
  say("");
  const { takes_jobs: takesJobs, reference } = page.facts;
  byId("no-jobs").hidden = takesJobs;
  if (!takesJobs) {
    byId("no-jobs").textContent =
      reference === null
        ? "This server has no reference sequence loaded, so it takes no files. Who runs it starts it with --reference FASTA and --jobs FOLDER."
        : "This server takes no files. Who runs it starts it with --jobs FOLDER; on a machine of your own, varsigma score does the same.";
    return;
  }
  const id = query.get("job");
  if (id === null || !page.models.length) return;
  try {
    await follow(id, signal);
  } catch (error) {
    if (!wasAborted(error)) trouble(error, () => showFile(query));
  }
}

const trouble = (error, again) => put(byId("file-trouble"), page.explain(error, again));

async function submit() {
  if (dropped === null) {
    fieldError("Choose a file first.");
    byId("file").focus();
    return;
  }
  if (dropped.size > page.facts.max_upload_bytes) {
    fieldError(`The file has ${bytes(dropped.size)}; this server takes ${bytes(page.facts.max_upload_bytes)}. Pack it with bgzip, or split it.`);
    return;
  }
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  put(byId("file-trouble"));
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Upload" });
  const stop = h("button", { type: "button", onclick: () => asked.abort() }, "Stop the upload");
  put(byId("job"), h("div", { class: "panel" }, bar, stop));
  say("Uploading");
  const query = new URLSearchParams({ model: byId("file-model").value, format: byId("file-format").value });
  try {
    const job = await upload(`v1/jobs?${query}`, dropped, {
      signal,
      onProgress(done, all) {
        bar.max = all;
        bar.value = done;
        say(`${percent(Math.floor((100 * done) / all) / 100)} of ${bytes(all)} sent`);
      },
    });
    page.go({ job: job.id });
  } catch (error) {
    if (signal !== asked.signal) return; // another upload, or a job, has the place now
    put(byId("job"));
    say(wasAborted(error) ? "The upload was stopped; nothing was kept of it." : "");
    if (wasAborted(error)) return;
    if (error instanceof Problem && [400, 413, 422].includes(error.status)) fieldError(fit(error.message));
    else trouble(error, submit);
  }
}

const pause = (time, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, time);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("left", "AbortError"));
    });
  });

/** Look at a job until it is over, then show what came of it. */
async function follow(id, signal) {
  const bar = h("progress", { max: 1, "aria-label": "Scoring" });
  const facts = h("dl", {});
  const stop = h("button", { type: "button" }, "Cancel the job");
  const results = h("div", {});
  stop.addEventListener("click", () => remove(id, stop.dataset.isOver === "yes"));
  put(byId("job"), h("div", { class: "panel" }, h("h2", {}, "Job ", h("code", {}, fit(id).slice(0, 12))), bar, facts, stop), results);
  let wait = FIRST_PAUSE;
  for (;;) {
    let job = null;
    try {
      job = await ask(`v1/jobs/${encodeURIComponent(id)}`, { signal });
    } catch (error) {
      const passes = error instanceof Problem && [0, 429, 503].includes(error.status);
      if (!passes) throw error;
      say(`${error.message} The job goes on meanwhile; this page keeps looking.`);
      wait = Math.max(wait, 1000 * (error.wait ?? 2));
    }
    if (job !== null) {
      tell(job, { bar, facts });
      if (OVER.includes(job.state)) {
        stop.textContent = "Delete the job and its files";
        stop.dataset.isOver = "yes";
        await outcome(job, results, signal);
        return;
      }
    }
    await pause(wait, signal);
    wait = Math.min(wait * 1.4, LAST_PAUSE);
  }
}

function tell(job, { bar, facts }) {
  const { progress: p, state } = job;
  const isWaiting = state === "queued" || (state === "running" && p.bytes === 0);
  if (isWaiting) bar.removeAttribute("value");
  else bar.value = p.share;
  bar.hidden = state === "failed" || state === "cancelled";
  const left = state === "running" && p.seconds_left !== null ? `, about ${seconds(p.seconds_left)} left` : "";
  say(
    {
      queued: "Waiting for its turn",
      running: `Scoring: ${Math.floor(100 * p.share)} %, ${count(p.alts)} ALTs${left}`,
      done: `Done: ${count(p.alts)} ALTs`,
      failed: "The job failed",
      cancelled: "The job was cancelled",
    }[state],
  );
  const lines = [
    ["input", bytes(job.input.bytes)],
    ["model", job.options.model],
    ["reference", `${job.provenance.assembly ?? "assembly not stated"}`],
    ["handed in", new Date(job.created).toLocaleString("en-GB")],
    ["state", state],
  ];
  put(facts, lines.map(([name, text]) => [h("dt", {}, name), h("dd", {}, fit(text))]));
}

async function outcome(job, place, signal) {
  if (job.state !== "done") {
    const why = job.error ? job.error.message : "It was removed.";
    put(place, h("div", { class: "error" }, h("p", {}, fit(why)), h("p", {}, "Uploaded again with the same options, a failed job goes on where it was.")));
    return;
  }
  const { summary, result, rejects } = job;
  const counts = Object.entries(summary.counts).filter(([, n]) => n > 0);
  const end = job.options.format;
  const stem = `varsigma-${job.id.slice(0, 12)}`;
  put(
    place,
    h(
      "div",
      { class: "panel" },
      h("p", {}, h("b", {}, `${count(summary.n_scored)} of ${count(summary.n_alts)} ALTs scored`), summary.n_malformed ? `; ${count(summary.n_malformed)} lines are no records` : "", "."),
      h("ul", { class: "counts" }, counts.map(([status, n]) => h("li", {}, `${status === "ok" ? "scored" : spaced(status)}: ${count(n)}`))),
      [...summary.warnings, ...summary.problems].map((text) => h("p", { class: "flag" }, fit(text))),
      h("p", { class: "row" }, fileLink(`v1/jobs/${job.id}/result`, `${stem}.${end}`, `Download the result (${end}, ${bytes(result.bytes)})`), fileLink(`v1/jobs/${job.id}/rejects`, `${stem}.rejects.tsv`, `Download what was not scored (${bytes(rejects.bytes)})`)),
      h("p", { class: "faint" }, h("a", { href: `?${new URLSearchParams({ job: job.id })}` }, "Link to this job"), ", for as long as the server keeps it."),
    ),
    h("div", { id: "results" }),
  );
  await showResults(place.querySelector("#results"), job, { signal, facts: page.facts, most: page.limits.max_items, explain: page.explain });
}

/** A plain link, so that the browser saves the file as it comes; with a key it is fetched. */
function fileLink(path, name, text) {
  const link = h("a", { href: address(path), download: name, class: "button" }, text);
  link.addEventListener("click", (event) => {
    if (!key.get()) return;
    event.preventDefault();
    save(path, name).catch((error) => trouble(error, null));
  });
  return link;
}

async function remove(id, isOver) {
  if (isOver && !confirm("Delete this job and its files on the server?")) return;
  const { signal } = asked;
  try {
    await ask(`v1/jobs/${encodeURIComponent(id)}`, { method: "DELETE" });
    if (signal.aborted) return; // whoever went on meanwhile stays there
    page.go({ view: "file" });
    say(isOver ? "The job and its files are deleted." : "The job is cancelled, and its files are deleted.");
  } catch (error) {
    trouble(error, () => remove(id, isOver));
  }
}
