"use strict";
// Axes and marks of small charts.

function niceTicks(low, high, about = 5) {
  if (!(high > low)) return [low];
  const raw = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((size) => size >= raw);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) {
    ticks.push(Math.abs(k * step) < 1e-12 * step ? 0 : k * step);
  }
  return ticks;
}

function extent(values, pad = 0.05) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return [0, 1];
  const room = high > low ? pad * (high - low) : 0.5 * Math.abs(high) || 0.5;
  return [low - room, high + room];
}

// A chart with axes: { node, x, y } where x and y place values; log spreads the first axis.
function chart({ x, y, xLabel, yLabel, label, width = 460, height = 300, log = false, ticks = {} }) {
  const frame = { left: 54, right: 24, top: 12, bottom: 42 };
  const turn = log ? Math.log : (value) => value;
  const place = (value, [low, high], from, to) => from + ((value - low) / (high - low || 1)) * (to - from);
  const right = width - frame.right;
  const bottom = height - frame.bottom;
  const px = (value) => place(turn(value), x.map(turn), frame.left, right);
  const py = (value) => place(value, y, bottom, frame.top);
  const node = svg("svg", {
    viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label,
  });
  node.append(svg("path", { class: "axis", d: `M${frame.left} ${frame.top}V${bottom}H${right}` }));
  for (const tick of ticks.x || (log ? logTicks(...x) : niceTicks(...x))) {
    const text = ticks.xText ? ticks.xText(tick) : number(tick);
    node.append(svg("path", { class: "axis", d: `M${px(tick)} ${bottom}v4` }),
      svg("text", { x: px(tick), y: bottom + 17, "text-anchor": "middle" }, text));
  }
  for (const tick of ticks.y || niceTicks(...y)) {
    const text = ticks.yText ? ticks.yText(tick) : number(tick);
    node.append(svg("path", { class: "axis", d: `M${frame.left - 4} ${py(tick)}h4` }),
      svg("text", { x: frame.left - 7, y: py(tick) + 4, "text-anchor": "end" }, text));
  }
  const middle = (frame.top + bottom) / 2;
  node.append(svg("text", { x: (frame.left + right) / 2, y: height - 6, "text-anchor": "middle" }, xLabel),
    svg("text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` },
      yLabel || ""));
  return { node, x: px, y: py, bottom, right, left: frame.left, top: frame.top };
}

function logTicks(low, high) {
  const steps = high / low > 50 ? [1, 3] : [1, 2, 5];
  const ticks = [];
  for (let power = 0; power < 10; power++) {
    for (const step of steps) {
      const tick = step * 10 ** power;
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks.length ? ticks : [low, high];
}

// Dots of tasks: hover tells, a click chooses the task. dots: { x, y, task, text }.
function taskDots(area, dots, size = 4, kind = "fill") {
  const placed = dots.filter((dot) => Number.isFinite(dot.x) && Number.isFinite(dot.y))
    .map((dot) => ({ ...dot, px: area.x(dot.x), py: area.y(dot.y) }));
  const opacity = Math.min(1, Math.max(0.35, 60 / placed.length));
  const layer = svg("g", { opacity });
  for (const dot of placed) layer.append(svg("circle", { class: kind, cx: dot.px, cy: dot.py, r: size }));
  const marks = svg("g");
  area.node.append(layer, marks);
  const nearest = (event) => {
    const box = area.node.getBoundingClientRect();
    const scale = area.node.viewBox.baseVal.width / box.width;
    const at = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let best = null;
    let least = 20 ** 2;
    for (const dot of placed) {
      const away = (dot.px - at[0]) ** 2 + (dot.py - at[1]) ** 2;
      if (away < least) [best, least] = [dot, away];
    }
    return best;
  };
  area.node.addEventListener("pointermove", (event) => {
    const dot = nearest(event);
    if (dot) showTip(dot.text, event.clientX, event.clientY);
    else hideTip();
  });
  area.node.addEventListener("pointerleave", hideTip);
  area.node.addEventListener("click", (event) => {
    const dot = nearest(event);
    if (dot && dot.task !== undefined) chooseTask(dot.task);
  });
  CHOSEN.listeners.push((task) => {
    marks.replaceChildren(...placed.filter((dot) => dot.task === task).map((dot) =>
      svg("circle", { class: "point-stroke", cx: dot.px, cy: dot.py, r: size + 2.5, "stroke-width": 1.7 })));
  });
}

// Bars from nothing to the value, in pairs where there are two series.
function bars(area, rows, classes) {
  const step = rows.length > 1 ? area.x(rows[1][0]) - area.x(rows[0][0]) : 60;
  const width = Math.min(26, (0.8 * step) / classes.length);
  for (const [at, ...values] of rows) {
    values.forEach((value, k) => {
      const left = area.x(at) + (k - classes.length / 2) * width;
      area.node.append(svg("rect", {
        class: classes[k], x: left, width: Math.max(1, width - 1), y: area.y(value || 0),
        height: Math.max(0, area.bottom - area.y(value || 0)),
      }));
    });
  }
}
