// Elements from data: every text becomes a text node, so that no data is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Make an HTML element: `h("p", {class: "faint"}, "text", child)`; `on...` are listeners. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Put these in place of what an element holds. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null));
}

/** A table that scrolls by itself where it is wide, with the keyboard too. */
export function scrolling(label, ...children) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, children);
}

/** A table: `columns` are {title, word, head} and rows are lists of children. */
export function table(label, caption, columns, rows) {
  return scrolling(
    label,
    h(
      "table",
      {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, columns.map((one) => heading(one)))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, n) => tableCell(columns[n], cell))))),
    ),
  );
}

function heading(column) {
  const name = column.abbr ? h("abbr", { title: column.abbr }, column.title) : column.title;
  return h("th", { scope: "col", class: column.word ? "word" : null }, name);
}

function tableCell(column, content) {
  const kind = column.word ? "word" : "number";
  return column.head
    ? h("th", { scope: "row", class: kind }, content)
    : h("td", { class: kind }, content);
}

/** Draw something at the width that its place has, again whenever that changes. */
export function drawnToWidth(place, draw) {
  let known = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width > 0 && width !== known) {
      known = width;
      put(place, draw(width));
    }
  }).observe(place);
  return place;
}

/** Say what is wrong with a field, or with null that nothing is. */
export function setFieldError(field, place, text) {
  place.hidden = text === null;
  place.textContent = text ?? "";
  if (text === null) field.removeAttribute("aria-invalid");
  else field.setAttribute("aria-invalid", "true");
}
