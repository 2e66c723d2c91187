"use strict";
// Small helpers. Texts of the user reach the page as text nodes and attributes only, never as HTML.

const SVG_SPACE = "http://www.w3.org/2000/svg";
const DATA = JSON.parse(document.getElementById("data").textContent);
const TASKS = DATA.tasks;

function fillElement(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== "") node.append(child);
  }
  return node;
}

function el(name, attributes, ...children) {
  return fillElement(document.createElement(name), attributes, children);
}

function svg(name, attributes, ...children) {
  return fillElement(document.createElementNS(SVG_SPACE, name), attributes, children);
}

// Three significant digits and thousands apart; a true minus sign.
function number(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  let text;
  if (size >= 1e6 || size < 1e-4) text = value.toExponential(digits - 1);
  else if (size >= 1000) text = Math.round(value).toLocaleString("en");
  else text = String(Number(value.toPrecision(digits)));
  return text.replace("-", "−");
}

// Two decimals: of correlations, probabilities and differences in standard deviations.
function fixed(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const text = value.toFixed(2);
  return (text === "-0.00" ? "0.00" : text).replace("-", "−");
}

function percent(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value > 0 && value < 0.01) return "< 1%";
  if (value < 1 && value > 0.99) return "> 99%";
  return `${Math.round(100 * value)}%`;
}

// A probability: of few draws neither 0 nor 1 is certain.
function chance(value) {
  if (value < 0.005) return "< 0.01";
  return value > 0.995 ? "> 0.99" : fixed(value);
}

function interval(low, high, text = number) {
  return `${text(low)} to ${text(high)}`;
}

const UNPACKED = new WeakMap();

// Numbers of the packed text, NaN in gaps; done once for each array.
function unpack(packed) {
  if (!UNPACKED.has(packed)) UNPACKED.set(packed, inflate(packed));
  return UNPACKED.get(packed);
}

async function inflate(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const one = packed.bytes === 1;
  const codes = one ? new Uint8Array(buffer) : new DataView(buffer);
  const count = buffer.byteLength / packed.bytes;
  const gap = one ? 255 : 65535;
  const span = packed.high - packed.low;
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const code = one ? codes[i] : codes.getUint16(2 * i, true);
    values[i] = code === gap ? NaN : packed.low + span * (code / packed.steps) ** packed.power;
  }
  for (const [i, value] of packed.beyond || []) values[i] = value;
  return values;
}

async function unpackAll(parts, names) {
  const out = {};
  for (const name of names) if (parts[name]) out[name] = await unpack(parts[name]);
  return out;
}

// Table with a caption; cells are texts or nodes, words[k] says that column k is text.
function table(caption, columns, rows, words) {
  const head = columns.map((name, k) =>
    el("th", { scope: "col", class: words[k] ? "words" : null }, name || "\u00a0"));
  const body = rows.map((row) => el("tr", null, row.map((cell, k) =>
    k === 0 ? el("th", { scope: "row", class: words[0] ? "words" : null }, cell)
      : el("td", { class: words[k] ? "words" : null }, cell))));
  return el("div", { class: "wide" }, el("table", null,
    caption ? el("caption", null, caption) : null,
    el("thead", null, el("tr", null, head)), el("tbody", null, body)));
}

// A table of the first items alone where there are very many, which its caption says.
function longTable(caption, columns, items, row, words, most = 1000) {
  const cut = items.length > most ? `the first ${number(most)} of ${number(items.length)}` : "";
  return table([caption, cut].filter(Boolean).join(": "), columns, items.slice(0, most).map(row), words);
}

function rowCount(n) {
  return `${number(n)} ${n === 1 ? "row" : "rows"}`;
}

// Content that is made when it is opened.
function lazy(summary, make) {
  const box = el("details", null, el("summary", null, summary));
  box.addEventListener("toggle", async () => {
    if (box.open && box.childElementCount === 1) box.append(await make());
  });
  return box;
}

// The same content made anew, open where it was open.
function renew(holder, summary, make) {
  const box = lazy(summary, make);
  box.open = Boolean(holder.firstElementChild && holder.firstElementChild.open);
  holder.replaceChildren(box);
}

function choice(label, options, onchange) {
  const list = el("select", { onchange: () => onchange(list.value) },
    options.map(([value, text]) => el("option", { value }, text)));
  return { node: el("label", null, label, list), list };
}

function paragraphs(text, quiet) {
  return (text || "").split("\n").filter(Boolean).map((line) =>
    el("p", { class: quiet ? "quiet" : null }, line));
}

const TIP = document.getElementById("tip");

function showTip(text, x, y) {
  TIP.textContent = text;
  TIP.hidden = false;
  const box = TIP.getBoundingClientRect();
  const left = x + 16 + box.width > innerWidth ? Math.max(4, x - box.width - 12) : x + 16;
  TIP.style.left = `${left}px`;
  TIP.style.top = `${Math.min(y + 16, innerHeight - box.height - 4)}px`;
}

function hideTip() {
  TIP.hidden = true;
}

function shorten(text, most) {
  if (text.length <= most) return text;
  const tail = Math.floor((most - 1) / 2);
  return `${text.slice(0, most - 1 - tail)}…${text.slice(text.length - tail)}`;
}

function letters(index) {
  return (index >= 26 ? letters(Math.floor(index / 26) - 1) : "") +
    String.fromCharCode(65 + (index % 26));
}

// Which task is looked at: whoever shows tasks listens, whoever lets choose one calls.
const CHOSEN = { task: null, listeners: [] };

function chooseTask(task) {
  CHOSEN.task = task;
  for (const listener of CHOSEN.listeners) listener(task);
}
