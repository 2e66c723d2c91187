"use strict";
// The task-relation map: what is known of a pair, orders of the tasks, colours.

const STOPS = {
  light: {
    signed: ["#7f3b08", "#d8780f", "#fdc57f", "#f7f7f7", "#b9b3d8", "#7c6fae", "#2d004b"],
    plain: ["#fdfdf4", "#cfe6d4", "#7cc3be", "#2f86b0", "#15396f"],
  },
  dark: {
    signed: ["#ffb866", "#cf7d1b", "#754712", "#262b31", "#544a85", "#8b7cd0", "#d4caff"],
    plain: ["#1f262d", "#1c4a5c", "#25808f", "#63bfae", "#f1f7c6"],
  },
};

function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// 256 colours from the first stop to the last.
function colourTable(signed) {
  const stops = STOPS[isDark() ? "dark" : "light"][signed ? "signed" : "plain"]
    .map((text) => [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16)));
  return Array.from({ length: 256 }, (_, k) => {
    const at = (k / 255) * (stops.length - 1);
    const below = Math.min(Math.floor(at), stops.length - 2);
    return stops[below].map((from, c) => Math.round(from + (at - below) * (stops[below + 1][c] - from)));
  });
}

const COLOURS = new Map();

// A colour of the theme that a canvas understands.
function themeColour(name) {
  if (COLOURS.has(name)) return COLOURS.get(name);
  const probe = el("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  COLOURS.set(name, colour);
  return colour;
}

// Place of a pair among those above the diagonal, row by row.
function pairIndex(i, j, n) {
  const [a, b] = i < j ? [i, j] : [j, i];
  return a * n - (a * (a + 1)) / 2 + (b - a - 1);
}

const STATISTICS = ["mean", "lower", "upper", "p_positive"];

// One measure of all pairs, unpacked: { kind, at(i, j) }.
async function readKind(kind) {
  const parts = await unpackAll(kind, STATISTICS);
  const n = TASKS.labels.length;
  const at = (i, j) => {
    const k = pairIndex(i, j, n);
    const pick = (name) => (parts[name] ? parts[name][k] : NaN);
    return { mean: pick("mean"), lower: pick("lower"), upper: pick("upper"), p: pick("p_positive") };
  };
  return { kind, at };
}

// The value in the 90% interval that is closest to nothing.
function certain(pair) {
  if (!Number.isFinite(pair.lower)) return pair.mean;
  return Math.max(pair.lower, 0) + Math.min(pair.upper, 0);
}

function pairText(reading, i, j) {
  const { kind } = reading;
  const names = `${TASKS.labels[i]} and ${TASKS.labels[j]}`;
  if (i === j) return `${TASKS.labels[i]}: the task itself`;
  return `${names}: ${valueText(kind, reading.at(i, j))}`;
}

// Mean, interval and, where signs matter, the probability of a positive value.
function valueText(kind, pair) {
  let text = fixed(pair.mean);
  if (Number.isFinite(pair.lower)) text += ` (90% interval ${interval(pair.lower, pair.upper, fixed)})`;
  if (Number.isFinite(pair.p)) text += `, P(> 0) ${chance(pair.p)}`;
  return text;
}

// Tasks from the nearest to the farthest: { task, mean, lower, upper, p }.
function neighboursOf(reading, task) {
  const rows = [];
  for (let other = 0; other < TASKS.labels.length; other++) {
    if (other !== task) rows.push({ task: other, ...reading.at(task, other) });
  }
  const sign = reading.kind.distance ? 1 : -1;
  return rows.filter((row) => Number.isFinite(row.mean)).sort((a, b) => sign * (a.mean - b.mean));
}

// The neighbours that the page holds where there are too many pairs.
async function storedNeighbours(nearest) {
  const parts = await unpackAll(nearest, STATISTICS);
  const width = nearest.index.length ? nearest.index[0].length : 0;
  return (task) => nearest.index[task].map((other, k) => {
    const at = task * width + k;
    const pick = (name) => (parts[name] ? parts[name][at] : NaN);
    return { task: other, mean: pick("mean"), lower: pick("lower"), upper: pick("upper"), p: pick("p_positive") };
  }).filter((row) => row.task >= 0);
}

const ORDER_NAMES = { cluster: "cluster", similarity: "similarity", label: "label" };

function orderOptions() {
  const known = Object.keys(ORDER_NAMES).filter((name) => TASKS.orders[name]);
  return known.map((name) => [name, ORDER_NAMES[name]]);
}

// Picture of all pairs in an order, one pixel each.
function paintPairs(reading, order, surely) {
  const n = order.length;
  const { kind } = reading;
  const colours = colourTable(kind.signed);
  const image = new ImageData(n, n);
  const [low, high] = kind.signed ? [-1, 1] : [0, kind.top];
  const blank = isDark() ? 58 : 222;
  for (let row = 0; row < n; row++) {
    for (let column = 0; column <= row; column++) {
      const pair = row === column ? null : reading.at(order[row], order[column]);
      const value = pair ? (surely ? certain(pair) : pair.mean) : NaN;
      const share = Math.round((255 * (value - low)) / (high - low));
      const colour = Number.isFinite(value) ? colours[Math.max(0, Math.min(255, share))]
        : [blank, blank, blank];
      for (const at of [row * n + column, column * n + row]) {
        image.data.set(colour, 4 * at);
        image.data[4 * at + 3] = 255;
      }
    }
  }
  const canvas = el("canvas", { width: n, height: n });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function paintLegend(canvas, signed) {
  const colours = colourTable(signed);
  const context = canvas.getContext("2d");
  const image = context.createImageData(256, 1);
  colours.forEach((colour, k) => image.data.set([...colour, 255], 4 * k));
  context.putImageData(image, 0, 0);
}
