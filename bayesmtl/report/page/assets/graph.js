"use strict";
// Linked nodes: the wider a line the more probable the link; orange and dashed where negative. A
// tree has its tasks below each other at the right.

const GRAPH_SIDE = 560;
const WIDEST = 6;
const LEAF_HEIGHT = 22;
const ABOUT = {
  learned: "Two nodes are linked where they go together even when all others are known. The wider the " +
    "line, the surer the link; blue is positive, orange and dashed negative.",
  given: "Two tasks are linked where they borrow from each other directly.",
  tree: "The tree was given, not learned. Two tasks have in common what is above the node where they " +
    "part: the further to the right it is, the more they borrow from each other.",
};

const nodeName = (graph, i) => graph.nodes[i] || "a group without a name";

function edgeText(graph, edge) {
  if (graph.leaves) return `${nodeName(graph, edge[1])} belongs to ${nodeName(graph, edge[0])}`;
  const names = `${graph.nodes[edge[0]]} and ${graph.nodes[edge[1]]}`;
  if (edge.length === 2) return `${names}: linked`;
  return `${names}: link with probability ${fixed(edge[2])}, partial correlation ${fixed(edge[3])}` +
    ` (90% interval ${interval(edge[4], edge[5], fixed)})`;
}

function edgeLine(graph, edge, ends) {
  const [i, j, chance = 1, mean = 1] = edge;
  const [x, y] = ends(i);
  const [right, low] = ends(j);
  const line = svg("path", {
    class: `edge ${edge.length === 2 ? "quiet-stroke" : mean < 0 ? "point-stroke" : "stroke"}`,
    d: graph.leaves ? `M ${x} ${y} V ${low} H ${right}` : `M ${x} ${y} L ${right} ${low}`,
    "stroke-width": edge.length === 2 ? 2 : 0.5 + (WIDEST - 0.5) * chance,
    "stroke-dasharray": mean < 0 ? "7 4" : null, "data-ends": `${i} ${j}`,
  }, svg("title", null, edgeText(graph, edge)));
  return line;
}

class GraphView {
  constructor(graph) {
    this.graph = graph;
    this.panel = 0;
    this.least = 0.5;
    const high = graph.leaves ? LEAF_HEIGHT * (graph.leaves + 1) : GRAPH_SIDE;
    this.node = svg("svg", {
      viewBox: `0 0 ${GRAPH_SIDE} ${high}`, width: GRAPH_SIDE, height: high,
      role: "group", "aria-label": "Graph of links; the arrow keys go from node to node",
    });
    this.told = el("div", { class: "readout", "aria-live": "polite" });
    this.place = graph.leaves
      ? (i) => [20 + graph.x[i] * (GRAPH_SIDE - 220), LEAF_HEIGHT * (1 + graph.y[i] * (graph.leaves - 1))]
      : (i) => [graph.x[i], graph.y[i]].map((at) => 60 + at * (GRAPH_SIDE - 120));
    this.inner = new Set(graph.leaves ? graph.panels[0].edges.map((edge) => edge[0]) : []);
    // A node is a button where it has a task to choose.
    this.tasks = graph.nodes.map((name) => (graph.of_tasks ? TASKS.labels.indexOf(name) : -1));
    this.at = 0;
    this.draw();
    CHOSEN.listeners.push(() => this.mark());
  }

  edges() {
    const { edges } = this.graph.panels[this.panel];
    return edges.filter((edge) => edge.length === 2 || edge[2] >= this.least);
  }

  draw() {
    const { graph } = this;
    const many = !graph.leaves && graph.nodes.length > 60;
    const lines = this.edges().map((edge) => edgeLine(graph, edge, this.place));
    this.circles = graph.nodes.map((name, i) => {
      const [x, y] = this.place(i);
      return svg("g", {
        class: "node", tabindex: i === this.at ? 0 : -1, "aria-label": this.describe(i),
        role: this.tasks[i] < 0 ? "img" : "button",
        onfocus: () => this.look(i), onpointerenter: () => this.look(i),
        onclick: () => this.choose(i), onkeydown: (event) => this.press(event, i),
      }, svg("circle", { cx: x, cy: y, r: many || graph.leaves ? 4 : 8 }),
      many ? svg("title", null, name)
        : svg("text", this.beside(i, x, y), shorten(name, 22)));
    });
    this.node.replaceChildren(svg("g", null, lines), svg("g", null, this.circles));
    this.node.onpointerleave = () => this.look(null);
    this.told.textContent = this.summary();
    this.mark();
  }

  mark() {
    this.circles.forEach((circle, i) => {
      if (this.tasks[i] >= 0) circle.setAttribute("aria-pressed", String(this.tasks[i] === CHOSEN.task));
    });
  }

  beside(i, x, y) {
    if (!this.graph.leaves) return { x, y: y - 13, "text-anchor": "middle" };
    return this.inner.has(i) ? { x: x + 7, y: y - 5 } : { x: x + 10, y: y + 5 };
  }

  summary() {
    if (this.graph.leaves) return "Point at a node to see what belongs to it.";
    const shown = this.edges().length;
    if (!shown) return "No link is so probable: choose a lower level to see the most probable ones.";
    return `${shown} ${shown === 1 ? "link is" : "links are"} drawn. Point at a node to see its own.`;
  }

  describe(i) {
    if (this.graph.leaves) return this.descent(i);
    const own = this.edges().filter((edge) => edge[0] === i || edge[1] === i);
    const others = own.map((edge) => this.graph.nodes[edge[0] === i ? edge[1] : edge[0]]);
    if (!others.length) return `${this.graph.nodes[i]}: no link`;
    return `${this.graph.nodes[i]}: linked with ${others.slice(0, 8).join(", ")}` +
      (others.length > 8 ? ` and ${others.length - 8} more` : "");
  }

  descent(i) {
    const { graph } = this;
    const below = this.edges().filter((edge) => edge[0] === i).map((edge) => nodeName(graph, edge[1]));
    const above = this.edges().filter((edge) => edge[1] === i).map((edge) => nodeName(graph, edge[0]));
    const parts = above.length ? [`belongs to ${above[0]}`] : ["the root, common to all"];
    if (below.length) {
      const more = below.length > 8 ? ` and ${below.length - 8} more` : "";
      parts.push(`to it belong ${below.slice(0, 8).join(", ")}${more}`);
    }
    return `${nodeName(graph, i)}: ${parts.join("; ")}`;
  }

  look(i) {
    for (const line of this.node.querySelectorAll(".edge")) {
      const own = i === null || line.dataset.ends.split(" ").includes(String(i));
      line.classList.toggle("faded", !own);
    }
    this.told.textContent = i === null ? this.summary() : this.describe(i);
  }

  choose(i) {
    if (this.tasks[i] >= 0) chooseTask(this.tasks[i]);
  }

  press(event, i) {
    const n = this.graph.nodes.length;
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    if (event.key in steps) {
      event.preventDefault();
      this.at = (i + steps[event.key] + n) % n;
      this.circles.forEach((circle, k) => circle.setAttribute("tabindex", k === this.at ? 0 : -1));
      this.circles[this.at].focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.choose(i);
    }
  }
}

function graphTable(view) {
  const { graph } = view;
  if (graph.leaves) {
    return table("Who belongs to whom", ["", "belongs to"],
      graph.panels[0].edges.map(([above, below]) => [nodeName(graph, below), nodeName(graph, above)]),
      [true, true]);
  }
  const row = (edge) => [graph.nodes[edge[0]], graph.nodes[edge[1]], fixed(edge[2]), fixed(edge[3]),
    interval(edge[4], edge[5], fixed)].slice(0, width);
  const columns = ["", "linked with", "probability", "partial correlation", "90% interval"];
  const width = graph.learned ? 5 : 2;
  return longTable(graph.learned ? "The most probable links first" : "", columns.slice(0, width),
    graph.panels[view.panel].edges, row, [true, true, false, false, false], 300);
}

function graphSection(graph) {
  if (!graph.nodes.length) return paragraphs(graph.note);
  const view = new GraphView(graph);
  const controls = el("div", { class: "controls" });
  const links = el("div");
  const refresh = () => renew(links, "The links as a table", () => graphTable(view));
  if (graph.panels.length > 1) {
    controls.append(choice("Task", graph.panels.map((panel, k) => [k, panel.title]), (value) => {
      view.panel = Number(value);
      view.draw();
      refresh();
    }).node);
  }
  if (graph.learned) {
    const levels = [0.5, 0.1, 0.25, 0.75, 0.9, 0.95];
    controls.append(choice("Links at least so probable", levels.map((p) => [p, percent(p)]), (value) => {
      view.least = Number(value);
      view.draw();
    }).node);
  }
  refresh();
  const kind = graph.leaves ? "tree" : graph.learned ? "learned" : "given";
  return [...paragraphs(`${ABOUT[kind]} ${graph.note}`), controls,
    el("figure", null, view.node, view.told), links];
}
