"use strict";
// The parts of the report, each a list of nodes.

function summarySection(summary) {
  if (summary.note) return paragraphs(summary.note);
  const sentences = summary.sentences.flatMap(([title, text]) =>
    [el("dt", null, title), el("dd", null, paragraphs(upperFirst(text)))]);
  const tables = summary.tables.map(([title, cells]) =>
    table(title, cells.columns, cells.rows, cells.words));
  return [el("dl", null, sentences), el("div", { class: "tables" }, tables)];
}

function upperFirst(text) {
  if (text.startsWith("sd ")) return `Standard deviation ${text.slice(3)}`;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function gaugeFigure([mean, low, high], histogram, full) {
  const area = chart({
    x: [0, 1], y: [0, 1.05 * Math.max(...histogram)], xLabel: `0: separate estimates – 1: ${full}`,
    ticks: { y: [] }, width: 460, height: 220,
    label: `Sharing ${fixed(mean)}, 90% interval ${interval(low, high, fixed)}`,
  });
  const width = (area.right - area.left) / histogram.length;
  const draws = histogram.reduce((total, count) => total + count, 0);
  histogram.forEach((count, k) => area.node.append(svg("rect", {
    class: "soft", x: area.left + k * width, y: area.y(count), width: width - 0.5,
    height: area.bottom - area.y(count),
  })));
  area.node.append(
    svg("path", { class: "stroke", "stroke-width": 5, d: `M${area.x(low)} ${area.bottom}H${area.x(high)}` }),
    svg("circle", { class: "point-fill", cx: area.x(mean), cy: area.bottom, r: 6 }));
  return el("figure", null, el("h3", null, `How much the tasks share: ${fixed(mean)}`), area.node,
    el("figcaption", null, `Dot: mean. Thick line: 90% interval, ${interval(low, high, fixed)}.`),
    lazy("As a table", () => table("", ["sharing", "share of the draws"], histogram.map((count, k) =>
      [interval(k / histogram.length, (k + 1) / histogram.length, fixed), percent(count / draws)]), [false, false])));
}

function sharingIsFixed(sharing) {
  return Boolean(sharing && sharing.interval) && sharing.interval[2] - sharing.interval[1] < 1e-6;
}

function borrowingFigure() {
  const { rows, borrowing, labels } = TASKS;
  const low = Math.max(1, Math.min(...rows));
  const high = Math.max(...rows);
  const equal = low === high;
  const order = labels.map((_, task) => task).sort((a, b) => borrowing[a] - borrowing[b]);
  const rank = new Map(order.map((task, k) => [task, k + 1]));
  const area = chart({
    ...(equal ? { x: [0, labels.length + 1], xLabel: `tasks in order (each has ${rowCount(high)})` }
      : { x: [low / 1.2, high * 1.2], log: true, xLabel: "rows of the task" }), y: [0, 1],
    yLabel: "share from other tasks", ticks: { yText: percent }, height: 260,
    label: "Borrowing of each task by its number of rows",
  });
  taskDots(area, labels.map((label, task) => ({
    x: equal ? rank.get(task) : Math.max(rows[task], low), y: borrowing[task], task,
    text: `${label}: ${rowCount(rows[task])},\n${percent(borrowing[task])} of its estimate from other tasks`,
  })));
  return el("figure", null, el("h3", null, "How much each task borrows from the others"), area.node,
    lazy("As a table", () => longTable("", ["task", "rows", "share from other tasks"], TASKS.orders.label,
      (t) => [labels[t], number(rows[t]), percent(borrowing[t])], [true, false, false])));
}

function sharingSection(sharing) {
  const figures = [];
  if (sharing.interval) {
    const told = `Sharing is ${fixed(sharing.interval[0])} by the choice of the relation.`;
    if (sharingIsFixed(sharing)) figures.push(el("p", null, told));
    else figures.push(gaugeFigure(sharing.interval, sharing.histogram, sharing.full));
  }
  if (TASKS.borrowing && TASKS.rows) figures.push(borrowingFigure());
  const parts = sharing.parts ? [table("What the weights are made of", ["part", "share", "90% interval"],
    sharing.parts.map(([name, mean, low, high]) => [name, percent(mean), interval(low, high, percent)]),
    [true, false, false])] : [];
  return [...paragraphs(sharing.note), el("p", null, "Sharing is the part of what the features explain that tasks have " +
    `in common.${sharingIsFixed(sharing) ? "" : " Tasks with few rows borrow more than tasks with many."}`),
  el("div", { class: "split" }, figures), ...parts];
}

function mapControls(map, maps, onkind, onorder) {
  const kinds = maps.kinds.map((kind, k) => [k, kind.title]);
  const order = choice("Order by", orderOptions(), (value) => {
    map.setOrder(value);
    onorder();
  });
  order.list.id = "map-order";
  order.list.value = map.orderName;
  const sure = choice("Show", [["mean", "the estimate"], ["sure", "only what is certain"]], (value) => {
    map.surely = value === "sure";
    map.repaint();
  });
  map.certainty = sure.list;
  const zoom = [["+", "Zoom in", 0.5], ["−", "Zoom out", 2], ["All", "Show all tasks", 1e6]].map(([text, label, factor]) =>
    el("button", { type: "button", "aria-label": label, onclick: () => map.zoom(factor) }, text));
  return el("div", { class: "controls" },
    kinds.length > 1 ? choice("Measure", kinds, (value) => onkind(maps.kinds[value])).node : null,
    order.node, sure.node, map.n > 8 ? el("span", { class: "zoom" }, zoom) : null);
}

function pairsTable(map) {
  const { reading, n } = map;
  const rows = map.order.map((i) => {
    if (n <= 16) return [TASKS.labels[i], ...map.order.map((j) => (i === j ? "·" : fixed(reading.at(i, j).mean)))];
    const near = neighboursOf(reading, i).slice(0, 3);
    return [TASKS.labels[i], ...near.map((row) => `${TASKS.labels[row.task]}: ${valueText(reading.kind, row)}`)];
  });
  const columns = n <= 16 ? map.order.map((i) => TASKS.labels[i]) : ["nearest", "second", "third"];
  return table(`${reading.kind.title}${n <= 16 ? "" : ": the nearest tasks of each"}`, ["task", ...columns], rows,
    [true, ...columns.map(() => n > 16)]);
}

async function mapSection(maps) {
  const panel = new TaskPanel();
  if (!maps.kinds.length) {
    if (maps.nearest) panel.use(maps.nearest, await storedNeighbours(maps.nearest));
    else await panel.render();
    return [...paragraphs(maps.note), el("div", { class: "controls" }, taskSearch()), panel.node];
  }
  const map = new TaskMap(maps);
  const tables = el("div");
  const refresh = () => renew(tables, "The map as a table", () => pairsTable(map));
  const onkind = async (kind) => {
    await map.show(kind);
    panel.use(kind, (task) => neighboursOf(map.reading, task));
    panel.source.all = true;
    refresh();
  };
  const controls = mapControls(map, maps, onkind, refresh);
  onkind(maps.kinds[0]);
  const help = el("p", { id: "map-help", class: "quiet print-less" }, "Each square is a pair of tasks. Point at it, or move with " +
    "the arrow keys (Shift: ten at a time); click or press Enter to look at the task of the row. Plus and minus zoom.");
  return [el("div", { class: "map-split" },
    el("div", null, map.title, map.about, controls, map.readout,
      el("figure", null, map.canvas), el("div", { class: "legend" }, map.ends[0], map.scale, map.ends[1]),
      help, tables),
    el("div", null, el("div", { class: "controls" }, taskSearch()), panel.node)),
  ...paragraphs(maps.note, true)];
}
