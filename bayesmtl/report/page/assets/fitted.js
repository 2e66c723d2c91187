"use strict";
// Predictions beside the data, and functions over their rows.

function diagonal(area, [low, high]) {
  area.node.append(svg("path", {
    class: "quiet-stroke", "stroke-dasharray": "4 4",
    d: `M${area.x(low)} ${area.y(low)}L${area.x(high)} ${area.y(high)}`,
  }));
}

function agreement(label, expected, observed, dots, size) {
  const range = extent([...expected, ...observed]);
  const area = chart({ x: range, y: range, xLabel: "expected by the model", yLabel: "observed", label });
  diagonal(area, range);
  taskDots(area, dots, size);
  return el("figure", null, el("h3", null, label), area.node);
}

async function byTaskFigure(parts) {
  const { observed, expected } = await unpackAll(parts, ["observed", "expected"]);
  const dots = TASKS.labels.map((label, task) => ({
    x: expected[task], y: observed[task], task,
    text: `${label}\nexpected ${number(expected[task])}, observed ${number(observed[task])}`,
  }));
  const figure = agreement("Averages of the tasks", expected, observed, dots, 4);
  figure.append(lazy("As a table", () => longTable("", ["task", "expected", "observed"], TASKS.orders.label,
    (t) => [TASKS.labels[t], number(expected[t]), number(observed[t])], [true, false, false])));
  return figure;
}

async function rowsFigure(rows) {
  const { observed, expected } = await unpackAll(rows, ["observed", "expected"]);
  const dots = rows.task.map((task, i) => ({
    x: expected[i], y: observed[i], task,
    text: `${TASKS.labels[task]}\nexpected ${number(expected[i])}, observed ${number(observed[i])}`,
  }));
  const figure = agreement("Single rows", expected, observed, dots, 2.5);
  figure.append(lazy("As a table", () => longTable("", ["task", "expected", "observed"], dots,
    (dot) => [TASKS.labels[dot.task], number(dot.x), number(dot.y)], [true, false, false])));
  return figure;
}

function binsFigure(bins) {
  const area = chart({
    x: [0, 1], y: [0, 1], xLabel: "probability by the model", yLabel: "share that is 1",
    label: "Rows of similar probability",
  });
  diagonal(area, [0, 1]);
  taskDots(area, bins.map(([n, mean, share]) => ({
    x: mean, y: share,
    text: `${rowCount(n)} of a probability of about ${fixed(mean)}: ${percent(share)} are 1`,
  })), 6);
  return el("figure", null, el("h3", null, "Rows of similar probability"), area.node,
    lazy("As a table", () => table("", ["rows", "probability by the model", "share that is 1"],
      bins.map(([n, mean, share]) => [number(n), fixed(mean), fixed(share)]), [false, false, false])));
}

async function fittedSection(fitted) {
  const notes = fitted.notes || (fitted.note ? [fitted.note] : []);
  const out = [];
  if (fitted.inside !== undefined && fitted.inside !== null) {
    out.push(el("p", null, `Of ${number(fitted.n, 6)} observed values, ${percent(fitted.inside)} lie in the ` +
      "interval that should hold 90% of them. Far fewer would mean that the model is too sure of itself."));
  }
  if (fitted.by_task) {
    out.push(el("p", null, "Dots near the dashed line: the model tells what was seen." + (sharingIsFixed(DATA.sharing)
      ? "" : " Averages of tasks with few rows lie farther from it, because the model trusts them less.")));
    const figures = [await byTaskFigure(fitted.by_task)];
    if (fitted.rows) figures.push(await rowsFigure(fitted.rows));
    if (fitted.bins) figures.push(binsFigure(fitted.bins));
    out.push(el("div", { class: "split" }, figures));
  }
  if (fitted.levels && fitted.levels.length) {
    out.push(table("How often each level was seen, and how often the model expects it",
      ["level", "observed", "expected"],
      fitted.levels.map(([name, seen, expected]) => [name, percent(seen), percent(expected)]),
      [true, false, false]));
  }
  return [...out, ...notes.map((note) => el("p", { class: "quiet" }, note))];
}

function curveFigure(panel, inputs) {
  const numbers = panel.rows.map((row) => row[1]);
  const area = chart({
    x: extent(panel.x, 0), y: extent([...numbers, ...panel.lower, ...panel.upper]), xLabel: inputs[0],
    width: 340, height: 240, label: `Function of ${panel.task} over ${inputs[0]}`,
  });
  const line = (values) => panel.x.map((x, k) => `${area.x(x)} ${area.y(values[k])}`);
  const band = `M${line(panel.upper).join("L")}L${line(panel.lower).reverse().join("L")}Z`;
  area.node.append(svg("path", { class: "soft", d: band }),
    svg("path", { class: "stroke", "stroke-width": 2, d: `M${line(panel.mean).join("L")}` }));
  for (const [x, y] of panel.rows) {
    area.node.append(svg("circle", { class: "point-fill", cx: area.x(x), cy: area.y(y), r: 2.5 }));
  }
  return el("figure", null, el("h3", null, panel.task), area.node,
    lazy("As a table", () => table("", [inputs[0], "expected", "90% interval"], panel.x.map((x, k) =>
      [number(x), number(panel.mean[k]), interval(panel.lower[k], panel.upper[k])]), [false, false, false])));
}

async function surfaceFigure(panel, inputs) {
  const mean = await unpack(panel.mean);
  const area = chart({
    x: panel.across, y: panel.up, xLabel: inputs[0], yLabel: inputs[1], width: 340, height: 300,
    label: `Function of ${panel.task} over ${inputs.join(" and ")}`,
  });
  const values = [...mean, ...panel.rows.map((row) => row[2])];
  const [low, high] = extent(values, 0);
  const layer = svg("g");
  const scale = el("canvas", { width: 256, height: 1, "aria-hidden": "true" });
  const paint = () => {
    paintLegend(scale, false);
    const colours = colourTable(false);
    const colour = (value) => `rgb(${colours[Math.max(0, Math.min(255,
      Math.round((255 * (value - low)) / (high - low || 1))))].join(" ")})`;
    const width = (area.right - area.left) / panel.cells;
    const height = (area.bottom - area.top) / panel.cells;
    layer.replaceChildren(...[...mean].map((value, k) => svg("rect", {
      x: area.left + (k % panel.cells) * width, width: width + 0.5, height: height + 0.5, fill: colour(value),
      y: area.bottom - (Math.floor(k / panel.cells) + 1) * height,
    })), ...panel.rows.map(([x, y, z]) => svg("circle", {
      cx: area.x(x), cy: area.y(y), r: 3, fill: colour(z), stroke: "currentColor", "stroke-width": 0.6,
    }, svg("title", null, number(z)))));
  };
  paint();
  document.addEventListener("themechange", paint);
  area.node.append(layer);
  const at = ([from, to], k) => number(from + (k / (panel.cells - 1)) * (to - from));
  return el("figure", null, el("h3", null, panel.task), area.node,
    el("div", { class: "legend" }, el("span", null, number(low)), scale, el("span", null, number(high))),
    lazy("As a table", () => longTable("", [...inputs, "expected"], [...mean], (value, k) =>
      [at(panel.across, k % panel.cells), at(panel.up, Math.floor(k / panel.cells)), number(value)],
    [false, false, false])));
}

async function curveSection(curves) {
  if (!curves.panels) return paragraphs(curves.note);
  const make = curves.panels.length && curves.panels[0].x ? curveFigure : surfaceFigure;
  const figures = await Promise.all(curves.panels.map((panel) => make(panel, curves.inputs)));
  return [el("p", null, make === curveFigure
    ? "Line and band: the expected response with its 90% interval. Dots: the rows of the task."
    : "Colours: the expected response. Dots: the rows of the task in the colour of what was observed."),
  ...paragraphs(curves.note, true), el("div", { class: "panels" }, figures)];
}
