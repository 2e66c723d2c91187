"use strict";
// One task: its facts, its nearest tasks, its weights.

const NEAREST = 8;

// The panel of the task that is chosen. neighbours(task) gives rows, the nearest first.
class TaskPanel {
  constructor() {
    this.node = el("div", { id: "task", "aria-live": "polite" });
    this.source = null;
    CHOSEN.listeners.push(() => this.render());
  }

  // Where neighbours come from, and what they are measured by.
  use(kind, neighbours) {
    this.source = { kind, neighbours };
    this.render();
  }

  async render() {
    const task = CHOSEN.task;
    if (task === null) {
      this.node.replaceChildren(el("p", { class: "quiet" },
        "Choose a task to see its nearest tasks and its weights."));
      return;
    }
    const weights = await taskWeights(task);
    if (task !== CHOSEN.task) return;
    this.node.replaceChildren(el("h3", null, TASKS.labels[task]), el("p", null, taskFacts(task)),
      ...this.neighbourTable(task), ...(weights ? [weights] : []));
  }

  neighbourTable(task) {
    if (!this.source) return [];
    const { kind, neighbours } = this.source;
    const rows = neighbours(task);
    const width = !kind.lower ? 2 : kind.signed ? 4 : 3;
    const shown = (some) => some.map((row) => [taskButton(row.task), fixed(row.mean),
      interval(row.lower, row.upper, fixed), chance(row.p)].slice(0, width));
    const columns = ["task", "mean", "90% interval", "P(> 0)"].slice(0, width);
    const words = [true, false, false, false];
    const nodes = [table(`Nearest by: ${kind.title.toLowerCase()}`, columns,
      shown(rows.slice(0, NEAREST)), words)];
    const apart = rows.slice(NEAREST).slice(-3).reverse();
    if (apart.length && this.source.all) {
      nodes.push(lazy("Farthest tasks", () => table("", columns, shown(apart), words)));
    }
    return nodes;
  }
}

function taskButton(task) {
  return el("button", { type: "button", class: "link", onclick: () => chooseTask(task) },
    TASKS.labels[task]);
}

function taskFacts(task) {
  const facts = [];
  if (TASKS.rows) facts.push(rowCount(TASKS.rows[task]));
  if (TASKS.borrowing && TASKS.borrowing[task] !== null) {
    facts.push(`${percent(TASKS.borrowing[task])} of its estimate comes from other tasks`);
  }
  if (TASKS.cluster && DATA.clusters) {
    const sure = DATA.clusters.sure[task];
    facts.push(`cluster ${letters(TASKS.cluster[task])} (membership ${percent(sure)})`);
  }
  return facts.join("; ");
}

async function taskWeights(task) {
  const features = (DATA.weights && DATA.weights.features) || [];
  if (!features.length) return null;
  const rows = [];
  let alone = false;
  for (const feature of features) {
    const parts = await unpackAll(feature, ["mean", "low", "high", "alone"]);
    alone = alone || Boolean(parts.alone);
    rows.push([feature.name, number(parts.mean[task]), interval(parts.low[task], parts.high[task]),
      parts.alone ? number(parts.alone[task]) : "–"]);
  }
  const columns = ["", "with sharing", "90% interval", "its rows alone"];
  return table("Weights", alone ? columns : columns.slice(0, 3),
    alone ? rows : rows.map((row) => row.slice(0, 3)), [true, false, false, false]);
}

// A search box that chooses a task by its label.
function taskSearch() {
  const named = TASKS.labels.map((label, task) => [label, task]);
  // Typed without its outer spaces a label is found too, unless that is the label of another task.
  const places = new Map([...named.map(([label, task]) => [label.trim(), task]), ...named]);
  const list = el("datalist", { id: "task-labels" },
    TASKS.labels.slice(0, 5000).map((label) => el("option", { value: label })));
  const input = el("input", {
    type: "search", list: "task-labels", id: "task-search", autocomplete: "off",
    placeholder: "name of a task",
    onchange: () => {
      const task = places.get(input.value) ?? places.get(input.value.trim());
      input.setAttribute("aria-invalid", String(task === undefined));
      if (task !== undefined) chooseTask(task);
    },
  });
  CHOSEN.listeners.push((task) => {
    input.value = TASKS.labels[task];
    input.setAttribute("aria-invalid", "false");
  });
  return el("label", null, "Look at a task", input, list);
}
