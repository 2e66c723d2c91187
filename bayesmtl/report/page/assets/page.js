"use strict";
// Clusters, diagnostics and the model; then everything is put together.

function numberFigure(number) {
  const top = 1.05 * Math.max(...number.flatMap(([, posterior, prior]) => [posterior, prior]));
  const last = number[number.length - 1][0];
  const area = chart({
    x: [number[0][0] - 0.7, last + 0.7], y: [0, top], xLabel: "number of clusters", yLabel: "probability", height: 240,
    ticks: { x: niceTicks(number[0][0], last, 8).filter(Number.isInteger) }, label: "Number of clusters",
  });
  bars(area, number, ["fill", "quiet-fill"]);
  return el("figure", null, el("h3", null, "How many clusters"), area.node,
    el("figcaption", null, "Blue: after the data. Grey: before them. Where both agree, the data say little."),
    lazy("As a table", () => table("", ["clusters", "after the data", "before them"],
      number.map(([size, ...chances]) => [String(size), ...chances.map(percent)]), [false, false, false])));
}

function membersCell(block) {
  const shown = block.members.slice(0, 6).map((task) => taskButton(task));
  const rest = block.members.slice(6);
  const cell = el("div", null, shown.flatMap((button) => [button, " "]));
  if (block.size > shown.length) {
    cell.append(rest.length ? lazy(`${block.size - shown.length} more`, () =>
      el("div", null, rest.flatMap((task) => [taskButton(task), " "]))) : ` and ${block.size - shown.length} more`);
  }
  return cell;
}

function clusterSection(clusters) {
  const rows = clusters.blocks.map((block) => [block.letter, number(block.size), percent(block.membership), membersCell(block)]);
  const out = [el("p", null, "The clusters are those of the grouping that is closest to all draws. Membership says how " +
    "surely the tasks belong to theirs; their letters mean nothing beyond this page."),
  numberFigure(clusters.number),
  table("", ["cluster", "tasks", "membership", "members, the surest first"], rows, [true, false, false, true])];
  if (clusters.n_blocks > rows.length) {
    out.push(el("p", { class: "quiet" }, `The ${rows.length} largest of ${clusters.n_blocks} clusters.`));
  }
  if (clusters.features.length) {
    out.push(table("Average weights of the clusters, with 90% intervals", ["cluster", ...clusters.features],
      clusters.blocks.map((block) => [block.letter, ...block.weights.map(([mean, low, high]) =>
        `${number(mean)} (${interval(low, high)})`)]), [true, ...clusters.features.map(() => false)]));
  }
  return out;
}

function diagnosticSection(found) {
  const mark = (text, bad) => el("span", { class: bad ? "bad" : null }, text);
  const enough = Math.max(400, 100 * found.chains);
  const rows = found.table.map((row) => [row.variable, number(row.quantities),
    mark(row.r_hat === null ? "–" : row.r_hat.toFixed(3), !(row.r_hat < 1.01)),
    mark(number(row.ess_bulk && Math.floor(row.ess_bulk)), !(row.ess_bulk >= enough)),
    mark(number(row.ess_tail && Math.floor(row.ess_tail)), !(row.ess_tail >= enough)), row.worst]);
  const trouble = found.divergences === null ? [] : [el("p", null, found.divergences
    ? `${number(found.divergences)} divergent transitions: parts of the posterior may be missing.`
    : "No divergent transitions.")];
  return [el("p", null, `${found.chains} chains of ${number(found.draws)} draws. R-hat compares the chains and should be ` +
    `below 1.01. ESS is how many independent draws they are worth, and should be at least ${enough}. ` +
    "What falls short is marked."), ...trouble,
  table("The worst first", ["quantity", "how many", "R-hat", "bulk ESS", "tail ESS", "worst"], rows,
    [true, false, false, false, false, true]),
  found.left_out ? el("p", { class: "quiet" }, `${found.left_out} more variables are better than these.`) : null];
}

function modelSection(model) {
  return [el("p", null, "How the model says that the data came about, with its priors."), el("pre", null, model.story),
    el("dl", null, model.facts.flatMap(([name, text]) => [el("dt", null, name), el("dd", null, text)]))];
}

const PARTS = [
  ["summary", "In short", summarySection],
  ["sharing", "Sharing", sharingSection],
  ["maps", "How the tasks relate", mapSection],
  ["graph", DATA.graph && DATA.graph.leaves ? "Tree" : "Graph", graphSection],
  ["clusters", "Clusters", clusterSection],
  ["curves", "Functions", curveSection],
  ["weights", "Weights", weightSection],
  ["fitted", "Predictions and data", fittedSection],
  ["diagnostics", "Diagnostics", diagnosticSection],
  ["model", "Model", modelSection],
];

async function build() {
  const main = document.getElementById("main");
  const contents = document.getElementById("contents");
  const shown = PARTS.filter(([name]) => DATA[name]);
  const sections = shown.map(([name, title]) => {
    contents.append(el("a", { href: `#${name}` }, title));
    const section = el("section", { id: name, "aria-labelledby": `${name}-title` },
      el("h2", { id: `${name}-title` }, title));
    main.append(section);
    return section;
  });
  for (const [k, [name, , make]] of shown.entries()) {
    sections[k].append(...(await make(DATA[name])).filter(Boolean));
  }
  if (TASKS.labels.length) chooseTask((TASKS.orders.cluster || TASKS.orders.similarity || TASKS.orders.label)[0]);
  document.body.dataset.ready = "true";
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  document.getElementById("theme").textContent = theme === "dark" ? "Light theme" : "Dark theme";
  COLOURS.clear();
  document.dispatchEvent(new Event("themechange"));
}

function startTheme() {
  const button = document.getElementById("theme");
  button.addEventListener("click", () => setTheme(isDark() ? "light" : "dark"));
  button.textContent = isDark() ? "Light theme" : "Dark theme";
  // Paper is light: maps are painted for it, and then as they were.
  let before = null;
  addEventListener("beforeprint", () => {
    before = isDark() ? "dark" : null;
    if (before) setTheme("light");
  });
  addEventListener("afterprint", () => before && setTheme(before));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) =>
    setTheme(event.matches ? "dark" : "light"));
}

startTheme();
build();
