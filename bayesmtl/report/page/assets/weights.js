"use strict";
// Estimates of every task with sharing beside those of its rows alone.

const ROW = 19;
const LABELS = 150;

const SORTS = {
  mean: ["estimate", (parts, rows) => rows.sort((a, b) => parts.mean[b] - parts.mean[a])],
  change: ["change by sharing", (parts, rows) => {
    const change = (t) => (parts.alone && Number.isFinite(parts.alone[t])
      ? Math.abs(parts.alone[t] - parts.mean[t]) : -1);
    return rows.sort((a, b) => change(b) - change(a));
  }],
  rows: ["rows", (parts, rows) => rows.sort((a, b) => TASKS.rows[b] - TASKS.rows[a])],
  label: ["label", () => [...TASKS.orders.label]],
};

class WeightView {
  constructor(features) {
    this.features = features;
    this.sort = "mean";
    this.box = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Weights of the tasks" });
    this.axis = el("div");
    this.note = el("p", { class: "quiet" });
    new ResizeObserver(() => this.draw()).observe(this.axis);
    CHOSEN.listeners.push((task) => this.mark(task, true));
  }

  async show(index) {
    this.feature = this.features[index];
    this.parts = await unpackAll(this.feature, ["mean", "low", "low50", "high50", "high", "alone"]);
    this.draw();
  }

  // Limits that hold every posterior, and estimates of single tasks near to it.
  limits() {
    const { parts } = this;
    const [low, high] = extent([...parts.low, ...parts.high, ...this.band()], 0.03);
    if (!parts.alone) return [low, high];
    const room = 0.6 * (high - low);
    const near = parts.alone.filter((value) => value >= low - room && value <= high + room);
    return extent([low, high, ...near], 0.02);
  }

  band() {
    const population = this.feature.population;
    if (!population || population.some((value) => value === null)) return [];
    return [population[0] - population[1], population[0] + population[1]];
  }

  draw() {
    if (!this.parts) return;
    const width = Math.max(300, this.axis.clientWidth - 20);
    const longest = Math.max(...TASKS.labels.map((label) => label.length));
    const labels = Math.min(LABELS, width * 0.32, 10 + 7 * longest);
    const [low, high] = this.limits();
    const x = (value) => labels + 8 + ((value - low) / (high - low)) * (width - labels - 22);
    this.rows = SORTS[this.sort][1](this.parts, TASKS.labels.map((_, t) => t));
    this.at = new Map(this.rows.map((task, k) => [task, k]));
    const height = this.rows.length * ROW + 8;
    const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const band = this.band();
    if (band.length) {
      picture.append(svg("rect", { class: "band", x: x(band[0]), y: 0, width: x(band[1]) - x(band[0]), height }));
    }
    this.stripe = svg("rect", { class: "chosen", x: 0, width, height: ROW, visibility: "hidden" });
    picture.append(this.stripe, ...this.marks(x, low, high), ...this.names(labels));
    picture.addEventListener("pointermove", (event) => this.hover(event));
    picture.addEventListener("pointerleave", hideTip);
    picture.addEventListener("click", (event) => {
      const task = this.taskAt(event);
      if (task !== undefined) chooseTask(task);
    });
    this.box.replaceChildren(picture);
    this.axis.replaceChildren(this.scale(x, low, high, width));
    this.mark(CHOSEN.task, false);
  }

  // Few elements for any number of tasks: one path for each kind of mark.
  marks(x, low, high) {
    const { parts, rows } = this;
    const y = (k) => k * ROW + ROW / 2 + 4;
    const path = (kind, width, from, to, opacity = 1) => {
      const d = rows.map((t, k) => (Number.isFinite(from(t) + to(t))
        ? `M${x(from(t)).toFixed(1)} ${y(k)}H${x(to(t)).toFixed(1)}` : "")).join("");
      return svg("path", { class: kind, "stroke-width": width, d, opacity });
    };
    const dots = (kind, values, r) => {
      const d = rows.map((t, k) => (Number.isFinite(values[t])
        ? `M${(x(values[t]) - r).toFixed(1)} ${y(k)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0` : ""));
      return svg("path", { class: kind, d: d.join("") });
    };
    const out = [
      path("stroke", 2, (t) => parts.low[t], (t) => parts.high[t], 0.45),
      path("stroke", 5, (t) => parts.low50[t], (t) => parts.high50[t], 0.45),
    ];
    if (parts.alone) {
      const inside = (value) => value >= low && value <= high;
      const shown = parts.alone.map((value) => Math.max(low, Math.min(high, value)));
      const arrows = rows.map((t, k) => (!Number.isFinite(parts.alone[t]) || inside(parts.alone[t]) ? ""
        : `M${x(shown[t])} ${y(k) - 4}l${parts.alone[t] < low ? -7 : 7} 4l${parts.alone[t] < low ? 7 : -7} 4Z`));
      out.push(path("point-stroke", 1, (t) => shown[t], (t) => parts.mean[t], 0.8),
        dots("hollow", parts.alone.map((value) => (inside(value) ? value : NaN)), 3.5),
        svg("path", { class: "point-fill", d: arrows.join("") }));
    }
    out.push(dots("fill", parts.mean, 4));
    return out;
  }

  names(labels) {
    const most = Math.floor(labels / 6.3);
    return this.rows.map((task, k) => svg("text", {
      class: "label", x: labels, y: k * ROW + ROW / 2 + 8, "text-anchor": "end",
    }, shorten(TASKS.labels[task], most)));
  }

  scale(x, low, high, width) {
    const ticks = niceTicks(low, high, width > 500 ? 6 : 4);
    return svg("svg", { width, height: 22, viewBox: `0 0 ${width} 22`, "aria-hidden": "true" },
      ticks.map((tick) => svg("text", { x: x(tick), y: 15, "text-anchor": "middle" }, number(tick))));
  }

  taskAt(event) {
    const top = this.box.firstElementChild.getBoundingClientRect().top;
    return this.rows[Math.floor((event.clientY - top - 4) / ROW)];
  }

  hover(event) {
    const task = this.taskAt(event);
    if (task !== undefined) showTip(this.describe(task), event.clientX, event.clientY);
  }

  describe(task) {
    const { parts } = this;
    const alone = parts.alone && Number.isFinite(parts.alone[task])
      ? `\nits rows alone ${number(parts.alone[task])}` : "";
    return `${TASKS.labels[task]}\nwith sharing ${number(parts.mean[task])}` +
      ` (90% interval ${interval(parts.low[task], parts.high[task])})${alone}`;
  }

  mark(task, scroll) {
    if (!this.stripe) return;
    const k = this.at.get(task);
    this.stripe.setAttribute("visibility", k === undefined ? "hidden" : "visible");
    if (k === undefined) return;
    this.stripe.setAttribute("y", k * ROW + 4);
    if (scroll) this.box.scrollTop = k * ROW - this.box.clientHeight / 2;
  }

  table() {
    const { parts } = this;
    return longTable(this.feature.name, ["task", "with sharing", "90% interval", "its rows alone"], this.rows,
      (t) => [TASKS.labels[t], number(parts.mean[t]), interval(parts.low[t], parts.high[t]),
        parts.alone ? number(parts.alone[t]) : "–"], [true, false, false, false]);
  }
}

function inclusionTable(rows) {
  return table("Features that matter: 1 the data speak for it, 0 the prior shrinks it away",
    ["feature", "inclusion", "90% interval"],
    rows.map(([name, mean, low, high]) => [name, fixed(mean), interval(low, high, fixed)]),
    [true, false, false]);
}

function weightSection(weights) {
  if (!weights.features) return paragraphs(weights.note);
  const view = new WeightView(weights.features);
  const names = weights.features.map((feature, k) => [k, feature.name]);
  const sorts = Object.entries(SORTS).filter(([key]) => key !== "rows" || TASKS.rows)
    .map(([key, [text]]) => [key, text]);
  const tables = el("div");
  const refresh = () => renew(tables, "This weight as a table", () => view.table());
  const controls = el("div", { class: "controls" },
    choice("Weight of", names, async (value) => {
      await view.show(Number(value));
      refresh();
    }).node,
    choice("Order by", sorts, (value) => {
      view.sort = value;
      view.draw();
      refresh();
    }).node);
  view.show(0).then(refresh);
  const about = "Blue: the estimate with sharing, with its 50% and 90% intervals. Orange: the estimate " +
    "from the rows of that task alone; the longer the orange line, the more sharing has changed it. " +
    "An arrow: it lies outside. Shaded: where a new task would lie (mean and one standard deviation either way).";
  return [...paragraphs(about), ...paragraphs(weights.note, true), controls,
    el("figure", null, view.box, view.axis), tables,
    weights.inclusion.length ? inclusionTable(weights.inclusion) : null];
}
