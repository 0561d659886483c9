// What is asked of the server, and what went wrong in words. Addresses are relative to the page, so
// that it works behind any path.

const ROOT = new URL("../", import.meta.url);
const KEY = "varsigma.key";

export const address = (path) => new URL(path, ROOT).href;

/** The API key: of this tab, and gone with it; of this page alone where nothing may be kept. */
let typed = null;
export const key = {
  get() {
    try {
      typed ??= sessionStorage.getItem(KEY);
    } catch {
      // the browser keeps nothing
    }
    return typed ?? "";
  },
  set(text) {
    typed = text;
    try {
      if (text) sessionStorage.setItem(KEY, text);
      else sessionStorage.removeItem(KEY);
    } catch {
      // the browser keeps nothing
    }
  },
};

/** What went wrong, with a message for a person. `status` is 0 where the server was not reached. */
export class Problem extends Error {
  constructor(message, { status = 0, type = null, detail = null, wait = null } = {}) {
    super(message);
    Object.assign(this, { status, type, detail, wait });
  }

  get isOfKey() {
    return this.status === 401;
  }
}

const UNREACHED =
  "The server cannot be reached: it may be restarting, or the connection is down. Nothing that you" +
  " typed is lost; try again.";

export const wasAborted = (error) => error?.name === "AbortError";

function headers(more) {
  return key.get() ? { ...more, "X-API-Key": key.get() } : more;
}

async function send(path, { body, method, accept, signal, seconds } = {}) {
  const given = body === undefined ? {} : { "Content-Type": "application/json" };
  if (accept) given.Accept = accept;
  if (seconds) given["X-Timeout-Seconds"] = String(seconds);
  let answer;
  try {
    answer = await fetch(address(path), {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: headers(given),
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      cache: "no-store",
      credentials: "same-origin",
    });
  } catch (error) {
    throw wasAborted(error) ? error : new Problem(UNREACHED);
  }
  if (!answer.ok) {
    throw problemOf(answer.status, answer.headers.get("Retry-After"), await answer.text().catch(() => ""));
  }
  return answer;
}

function problemOf(status, retryAfter, text) {
  let error = {};
  try {
    error = JSON.parse(text).error ?? {};
  } catch {
    // of a proxy, not of the server
  }
  const said = typeof error.message === "string" ? error.message : `the server answered ${status}`;
  const wait = retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : null;
  return new Problem(worded(status, said, wait), { status, type: error.type, detail: error.detail, wait });
}

function worded(status, said, wait) {
  const when = wait === null ? "Try again a little later." : `Try again in ${wait} s.`;
  switch (status) {
    case 401:
      return key.get()
        ? "The server does not know this API key. Type another one; nothing else is lost."
        : "This server asks for an API key. Type it here; nothing else is lost.";
    case 429:
      return `This key has asked for as much as it may in this minute. ${when} (${said})`;
    case 503:
      return `The server is busy or restarting. ${when} (${said})`;
    case 504:
      return `The server did not finish in time. ${when} (${said})`;
    default:
      return status >= 500 ? `Something broke on the server. ${when} (${said})` : sentence(said);
  }
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/** Ask for JSON. */
export async function ask(path, options = {}) {
  const answer = await send(path, options);
  if (answer.status === 204) return null;
  try {
    return await answer.json();
  } catch (error) {
    throw wasAborted(error) ? error : new Problem(UNREACHED);
  }
}

/** Read the text of an answer as it comes: lines without their ends. */
export async function* lines(path, options = {}) {
  const answer = await send(path, options);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      yield parts;
    }
  } catch (error) {
    throw wasAborted(error) || error instanceof Problem ? error : new Problem(UNREACHED);
  } finally {
    reader.cancel().catch(() => {});
  }
  if (rest) yield [rest];
}

/** Ask for JSON line by line; a failure in the middle is the last line. */
export async function* jsonLines(path, options = {}) {
  for await (const several of lines(path, { ...options, accept: "application/x-ndjson" })) {
    for (const line of several) {
      const value = JSON.parse(line);
      if (value.error) throw new Problem(sentence(value.error.message), { status: 500 });
      yield value;
    }
  }
}

/** Send a file, telling how much of it is sent: `fetch` would not say. */
export function upload(path, file, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("POST", address(path));
    for (const [name, value] of Object.entries(headers({ "Content-Type": "application/octet-stream" }))) {
      call.setRequestHeader(name, value);
    }
    call.upload.addEventListener("progress", (event) => onProgress(event.loaded, event.total));
    call.addEventListener("load", () => {
      if (call.status >= 200 && call.status < 300) resolve(JSON.parse(call.responseText));
      else reject(problemOf(call.status, call.getResponseHeader("Retry-After"), call.responseText));
    });
    call.addEventListener("error", () => reject(new Problem(UNREACHED)));
    call.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    signal.addEventListener("abort", () => call.abort());
    call.send(file);
  });
}

/** Save a file of the server: with a key it cannot be a plain link. */
export async function save(path, name) {
  const answer = await send(path);
  const url = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
