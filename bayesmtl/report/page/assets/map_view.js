"use strict";
// The map on a canvas: pointer, arrow keys, zoom, labels where there is room.

class TaskMap {
  constructor(maps) {
    this.maps = maps;
    this.n = TASKS.labels.length;
    this.longest = Math.max(...TASKS.labels.map((label) => label.length));
    this.orderName = orderOptions().some(([name]) => name === "cluster") ? "cluster"
      : TASKS.orders.similarity ? "similarity" : "label";
    this.surely = false;
    this.focus = [this.n > 1 ? 1 : 0, 0]; // row and column in the order
    this.view = { row: 0, column: 0, span: this.n };
    this.canvas = el("canvas", {
      class: "map", tabindex: 0, role: "application", "aria-roledescription": "map of pairs of tasks",
      "aria-describedby": "map-help map-readout",
    });
    this.readout = el("p", { id: "map-readout", class: "readout", "aria-live": "polite" });
    this.title = el("h3", null);
    this.about = el("p", { class: "quiet" });
    this.scale = el("canvas", { width: 256, height: 1, "aria-hidden": "true" });
    this.ends = [el("span"), el("span")];
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    CHOSEN.listeners.push(() => this.draw());
    document.addEventListener("themechange", () => this.reading && this.repaint());
  }

  get order() {
    return TASKS.orders[this.orderName];
  }

  async show(kind) {
    this.reading = await readKind(kind);
    this.title.textContent = kind.title;
    this.about.textContent = kind.about;
    // Without intervals nothing is certain: the estimate is all there is.
    this.certainty.disabled = !kind.lower;
    this.certainty.value = kind.lower && this.surely ? "sure" : "mean";
    this.canvas.setAttribute("aria-label", `${kind.title}: every pair of ${this.n} tasks`);
    this.repaint();
  }

  repaint() {
    const { kind } = this.reading;
    this.picture = paintPairs(this.reading, this.order, this.surely);
    paintLegend(this.scale, kind.signed);
    this.ends[0].textContent = fixed(kind.signed ? -1 : 0);
    this.ends[1].textContent = fixed(kind.signed ? 1 : kind.top) + (kind.distance ? " or more" : "");
    this.draw();
    this.tell();
  }

  setOrder(name) {
    const pair = this.focus.map((k) => this.order[k]);
    this.orderName = name;
    this.focus = pair.map((task) => this.order.indexOf(task));
    this.reveal();
    this.repaint();
  }

  // Sizes in CSS pixels: margin of labels, side of the map, side of a cell.
  layout() {
    const width = this.canvas.clientWidth || 600;
    const room = Math.min(130, Math.round(width * 0.24), 14 + 7 * this.longest);
    const labelled = (width - room) / this.view.span >= 11;
    const margin = labelled ? room : 4;
    return { width, labelled, margin, side: width - margin - 2, cell: (width - margin - 2) / this.view.span };
  }

  draw() {
    if (!this.picture) return;
    const { width, labelled, margin, side, cell } = this.layout();
    const ratio = devicePixelRatio || 1;
    const size = Math.round(width * ratio);
    if (this.canvas.width !== size) this.canvas.width = this.canvas.height = size;
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, width);
    context.imageSmoothingEnabled = cell * ratio < 1;
    const { row, column, span } = this.view;
    context.drawImage(this.picture, column, row, span, span, margin, margin, side, side);
    if (labelled) this.drawLabels(context, margin, cell);
    this.drawChosen(context, margin, cell, side);
    const [r, c] = this.focus;
    if (r < row || r >= row + span || c < column || c >= column + span) return;
    context.strokeStyle = themeColour("ink");
    context.lineWidth = 2;
    const grown = Math.max(cell, 6);
    const nudge = (grown - cell) / 2;
    context.strokeRect(margin + (c - column) * cell - nudge, margin + (r - row) * cell - nudge, grown, grown);
  }

  drawLabels(context, margin, cell) {
    const { row, column, span } = this.view;
    const font = Math.min(13, Math.max(9, cell * 0.8));
    const most = Math.floor((margin - 8) / (font * 0.55));
    context.font = `${font}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    for (let k = 0; k < span; k++) {
      const at = margin + (k + 0.5) * cell;
      context.fillStyle = themeColour(row + k === this.focus[0] ? "ink" : "quiet");
      context.textAlign = "right";
      context.fillText(shorten(TASKS.labels[this.order[row + k]], most), margin - 5, at);
      context.save();
      context.fillStyle = themeColour(column + k === this.focus[1] ? "ink" : "quiet");
      context.translate(at, margin - 5);
      context.rotate(-Math.PI / 2);
      context.textAlign = "left";
      context.fillText(shorten(TASKS.labels[this.order[column + k]], most), 0, 0);
      context.restore();
    }
  }

  // Row and column of the task that is looked at.
  drawChosen(context, margin, cell, side) {
    if (CHOSEN.task === null) return;
    const place = this.order.indexOf(CHOSEN.task);
    context.strokeStyle = themeColour("point");
    context.lineWidth = 1.5;
    const band = Math.max(cell, 3);
    const along = [["row", (at) => [margin, at, side, band]], ["column", (at) => [at, margin, band, side]]];
    for (const [axis, box] of along) {
      const k = place - this.view[axis];
      if (k >= 0 && k < this.view.span) context.strokeRect(...box(margin + k * cell));
    }
  }

  tell() {
    const [r, c] = this.focus.map((k) => this.order[k]);
    this.readout.textContent = pairText(this.reading, r, c);
  }

  moveTo(row, column) {
    const keep = (k) => Math.max(0, Math.min(this.n - 1, k));
    this.focus = [keep(row), keep(column)];
    this.reveal();
    this.draw();
    this.tell();
  }

  reveal() {
    const { view } = this;
    ["row", "column"].forEach((axis, k) => {
      const at = this.focus[k];
      if (at < view[axis]) view[axis] = at;
      if (at >= view[axis] + view.span) view[axis] = at - view.span + 1;
    });
  }

  zoom(factor) {
    const span = Math.max(Math.min(8, this.n), Math.min(this.n, Math.round(this.view.span * factor)));
    const start = (k) => Math.max(0, Math.min(this.n - span, this.focus[k] - Math.floor(span / 2)));
    this.view = { row: start(0), column: start(1), span };
    this.draw();
  }

  cellAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const { margin, cell } = this.layout();
    const [column, row] = [event.clientX - box.left, event.clientY - box.top]
      .map((at) => Math.floor((at - margin) / cell));
    const clip = (k) => k >= 0 && k < this.view.span;
    // A label stands for its task.
    if (clip(row) && column < 0) return [row + this.view.row, row + this.view.row];
    if (clip(column) && row < 0) return [column + this.view.column, column + this.view.column];
    return clip(row) && clip(column) ? [row + this.view.row, column + this.view.column] : null;
  }

  listen() {
    this.canvas.addEventListener("pointermove", (event) => {
      const cell = this.reading && this.cellAt(event);
      if (!cell) return hideTip();
      this.moveTo(...cell);
      showTip(this.readout.textContent.replace(": ", ":\n"), event.clientX, event.clientY);
    });
    this.canvas.addEventListener("pointerleave", hideTip);
    this.canvas.addEventListener("click", (event) => {
      const cell = this.reading && this.cellAt(event);
      if (!cell) return;
      this.moveTo(...cell);
      chooseTask(this.order[cell[0]]);
    });
    this.canvas.addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    if (!this.reading || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 10 : 1;
    const [row, column] = this.focus;
    const actions = {
      ArrowUp: () => this.moveTo(row - step, column),
      ArrowDown: () => this.moveTo(row + step, column),
      ArrowLeft: () => this.moveTo(row, column - step),
      ArrowRight: () => this.moveTo(row, column + step),
      Home: () => this.moveTo(row, 0),
      End: () => this.moveTo(row, this.n - 1),
      Enter: () => chooseTask(this.order[row]),
      " ": () => chooseTask(this.order[row]),
      "+": () => this.zoom(0.5),
      "-": () => this.zoom(2),
      0: () => this.zoom(this.n),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  }
}
