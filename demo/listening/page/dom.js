// Elements made from values: text stays text, so that no name or sentence can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element; attributes that are null or false are left out, functions under `on…` become listeners. */
export function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for drawings. */
export function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** A path of 24 by 24 units in the colour of the text around it. */
export function icon(path) {
  return draw("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, draw("path", { d: path }));
}

/** A key as it is shown on a button; readers of the screen hear it through `aria-keyshortcuts`. */
export function key(name) {
  return make("kbd", { "aria-hidden": "true" }, name);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
