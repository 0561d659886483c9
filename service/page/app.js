// The page: what the server is, which view an address asks for, and the API key.

import { ask, key, Problem, wasAborted } from "./api.js";
import { byId, h, put, setFieldError } from "./dom.js";
import { leaveFile, fillFileModels, showFile, startFile } from "./file.js";
import { fillModels, leaveVariant, showVariant, startVariant } from "./variant.js";
import { fit } from "./words.js";

/** Keys that fit into a header: of another, the browser would not even send the request. */
const SENDABLE = /^[!-~]+$/;

/** `isOpen`: the models are known, so that something can be asked. */
const page = { facts: null, models: [], limits: null, isOpen: false, go, explain };

/** Go to an address of the page: a new entry of the history. */
function go(query) {
  const search = new URLSearchParams(query).toString();
  history.pushState(null, "", search ? `?${search}` : location.pathname);
  route();
}

/** What went wrong, with a button to try it again. */
function explain(error, again) {
  const message = error instanceof Problem ? error.message : `The page failed: ${error}. Reload it; if that does not help, tell who runs the server.`;
  if (!(error instanceof Problem)) console.error(error);
  if (error.isOfKey) {
    byId("key-form").hidden = false;
    setFieldError(byId("key"), byId("key-error"), error.message);
    byId("key").focus();
    return h("p", { class: "error" }, "The server asks for an API key: see above.");
  }
  return h("div", { class: "error" }, h("p", {}, fit(message)), again ? h("button", { type: "button", onclick: () => repeated(again) }, "Try again") : null);
}

/** Do it once more; that somebody goes elsewhere meanwhile is no failure. */
async function repeated(again) {
  try {
    await again();
  } catch (error) {
    if (!wasAborted(error)) throw error;
  }
}

let shown = null;

function route() {
  shown = location.search;
  const query = new URLSearchParams(location.search);
  const isFile = query.has("job") || query.get("view") === "file";
  byId("variant-view").hidden = isFile;
  byId("file-view").hidden = !isFile;
  for (const link of document.querySelectorAll("[data-view]")) {
    const isHere = (link.dataset.view === "file") === isFile;
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const what = isFile ? "effects of a VCF" : (query.get("variant") ?? "effect of a variant");
  document.title = `${fit(what).slice(0, 80)}: varsigma (research use only)`;
  leaveVariant();
  leaveFile();
  if (page.facts === null) return undefined;
  return isFile ? showFile(query) : showVariant(query);
}

let loading = new AbortController();

async function load() {
  loading.abort(); // what an earlier key brings is of no use any more
  loading = new AbortController();
  const { signal } = loading;
  put(byId("trouble"));
  try {
    page.facts ??= await ask("page/facts.json", { signal });
    tellFacts();
    if (page.facts.needs_key && !key.get()) {
      byId("key-form").hidden = false;
    } else {
      const { models, limits } = await ask("v1/models", { signal });
      Object.assign(page, { models, limits });
      page.isOpen = page.facts.reference !== null;
      setFieldError(byId("key"), byId("key-error"), null);
      byId("key-form").hidden = !page.facts.needs_key;
      byId("key-forget").hidden = !key.get();
      fillModels();
      fillFileModels();
    }
  } catch (error) {
    if (wasAborted(error)) return;
    put(byId("trouble"), explain(error, load));
    if (error.isOfKey) put(byId("trouble")); // it stands at the field
  }
  enable();
  if (page.facts) await route();
}

function tellFacts() {
  const { reference, assembly, version } = page.facts;
  byId("served").textContent = reference === null ? "no reference" : `${fit(reference)}, ${assembly ?? "assembly not stated"}`;
  byId("version").textContent = `varsigma ${version}.`;
  byId("of-assembly").textContent = assembly ? ` Positions are those of ${assembly}.` : "";
  byId("no-reference").hidden = reference !== null;
}

/** Switch off what cannot work, having said why. */
function enable() {
  for (const field of byId("variant-form").elements) field.disabled = page.facts?.reference === null;
  for (const field of byId("variant-form").querySelectorAll("select, button")) field.disabled = !page.isOpen;
  for (const field of byId("file-form").elements) field.disabled = !(page.isOpen && page.facts.takes_jobs);
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("key").value.trim();
  if (!SENDABLE.test(text)) {
    const wrong = text ? "This is no key: one has letters, digits and signs of ASCII alone. Copy it anew." : "Type the key that you were given.";
    setFieldError(byId("key"), byId("key-error"), wrong);
    return;
  }
  key.set(text);
  byId("key").value = "";
  load();
});
byId("key-forget").addEventListener("click", () => {
  key.set("");
  location.reload();
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (!link || !isPlain || link.target || link.hasAttribute("download") || event.defaultPrevented) return;
  const to = new URL(link.href);
  // The page itself, with another query.
  if (to.origin !== location.origin || to.pathname !== location.pathname || to.hash) return;
  event.preventDefault();
  go(to.search.slice(1));
  byId("main").focus();
  scrollTo(0, 0);
});
addEventListener("popstate", () => {
  if (location.search !== shown) route(); // else it is a place on the same view
});
startVariant(page);
startFile(page);
route();
load();
