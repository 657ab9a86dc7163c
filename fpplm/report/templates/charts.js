// Draws each <figure data-chart="KIND"> from the table that data-table names, so that chart and table cannot differ.
// A table's columns have names (data-k). A cell's number is its data-v or its text; data-low and data-high bound it.
"use strict";

const COLORS = ["rgb(var(--accent))", "rgb(var(--second))", "var(--soft)"];
const names = (figure) => figure.dataset.y.split(",");

function number(cell) {
  const text = (cell.dataset.v ?? cell.textContent).trim();
  return text === "" || isNaN(text) ? null : Number(text);
}

function read(table) {
  const keys = [...table.tHead.rows[0].cells].map((cell) => cell.dataset.k);
  return [...table.tBodies[0].rows].map((row, index) => {
    const found = { index: index + 1, date: row.dataset.date, production: "production" in row.dataset };
    [...row.cells].forEach((cell, column) => {
      const key = keys[column];
      if (!key) return;
      found[key] = number(cell);
      found[`${key}_text`] = cell.textContent.trim();
      if ("low" in cell.dataset) {
        found[`${key}_low`] = Number(cell.dataset.low);
        found[`${key}_high`] = Number(cell.dataset.high);
      }
    });
    return found;
  });
}

function exact(value) {
  if (value === null || value === undefined) return "–";
  return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(5)));
}

function withInterval(row, key) {
  const value = exact(row[key]);
  return `${key}_low` in row ? `${value} [${exact(row[`${key}_low`])}, ${exact(row[`${key}_high`])}]` : value;
}

// One row for each point: x, y, low, high, series, label. `label` is what the tip shows.
function points(rows, keys, place, label) {
  return keys.flatMap((key) =>
    rows.filter((row) => row[key] !== null && row[key] !== undefined && place(row) !== null).map((row) => ({
      x: place(row), y: row[key], low: row[`${key}_low`], high: row[`${key}_high`],
      series: key, production: row.production, label: label(row, key),
    })),
  );
}

const color = (keys) => ({ domain: keys, range: COLORS.slice(0, keys.length) });
const grid = (ticks) => ({ stroke: "var(--line)", strokeOpacity: 1, ticks });
const whole = (values) => (values.length > 8 ? undefined : values);

const KINDS = {
  // Values of categories with their intervals, one below the other.
  range(rows, figure) {
    const key = figure.dataset.x;
    const known = rows.filter((row) => row[key] !== null);
    const data = known.map((row) => ({
      x: row[key], y: row.name_text, low: row[`${key}_low`] ?? row[key], high: row[`${key}_high`] ?? row[key],
      label: `${row.name_text}: ${withInterval(row, key)}\n${exact(row.support)} gold mentions`,
    }));
    const wide = Math.min(150, 24 + 7 * Math.max(...data.map((row) => row.y.length)));
    return {
      data,
      height: 44 + 30 * data.length, marginLeft: wide, marginRight: 52,
      x: { domain: [0, 1], grid: false, label: null, ticks: 5 },
      y: { domain: data.map((row) => row.y), label: null, tickSize: 0, tickFormat: (name) => (name.length > 18 ? name.slice(0, 17) + "…" : name) },
      marks: [
        Plot.gridX(grid(5)),
        Plot.link(data, { x1: "low", x2: "high", y1: "y", y2: "y", stroke: COLORS[0], strokeOpacity: 0.35, strokeWidth: 7, strokeLinecap: "round" }),
        Plot.dot(data, { x: "x", y: "y", r: 5, fill: COLORS[0] }),
        Plot.text(data, { x: 1, y: "y", text: (row) => row.x.toFixed(3), textAnchor: "start", dx: 10, fill: "var(--ink)" }),
      ],
    };
  },
  // Numbers of one model after another.
  trend(rows, figure) {
    const keys = names(figure);
    const title = (row, key) => `${row.name_text}${row.production ? " (in production)" : ""}, ${row.date}\n${key} ${withInterval(row, key)}`;
    const data = points(rows, [...keys].reverse(), (row) => row.index, title);  // the first one is drawn last, on top
    const intervals = data.filter((row) => row.low !== undefined);
    const shown = rows.length > 6 ? rows.filter((_, n) => n % Math.ceil(rows.length / 6) === 0) : rows;
    const byIndex = new Map(rows.map((row) => [row.index, row.name_text]));
    return {
      data, color: color(keys),
      x: { domain: [0.7, rows.length + 0.3], label: null, ticks: shown.map((row) => row.index), tickFormat: (n) => (byIndex.get(n) ?? "").replace(/\.0\.0$/, "").slice(0, 8) },
      y: { label: null, nice: true, zero: !intervals.length, ticks: 5 },
      marks: [
        Plot.gridY(grid(5)),
        Plot.ruleX(intervals, { x: "x", y1: "low", y2: "high", stroke: "series", strokeOpacity: 0.35, strokeWidth: 5, strokeLinecap: "round" }),
        Plot.line(data, { x: "x", y: "y", stroke: "series", strokeWidth: 2 }),
        Plot.dot(data, { x: "x", y: "y", fill: "series", r: 4 }),
        Plot.dot(data.filter((row) => row.production), { x: "x", y: "y", fill: "series", symbol: "square", r: 7 }),
      ],
    };
  },
  // One value by step, without dots.
  curve(rows, figure) {
    const [key] = names(figure);
    const data = points(rows, [key], (row) => row[figure.dataset.x], (row) => `step ${exact(row.step)}\n${exact(row[key])}`);
    return {
      data, height: 170,
      x: { label: null, ticks: 4 }, y: { label: null, zero: true, ticks: 4, nice: true, tickFormat: "~g" },
      marks: [Plot.gridY(grid(4)), Plot.line(data, { x: "x", y: "y", stroke: COLORS[0], strokeWidth: 1.8 })],
    };
  },
  // One value by epoch, the first of the highest marked.
  best(rows, figure) {
    const [key] = names(figure);
    const data = points(rows, [key], (row) => row[figure.dataset.x], (row) => `epoch ${exact(row.epoch)}\n${exact(row[key])}`);
    const top = data.reduce((a, b) => (b.y > a.y ? b : a), data[0]);
    return {
      data, height: 170, insetTop: 16,
      x: { label: null, ticks: whole(data.map((row) => row.x)), tickFormat: "d" }, y: { label: null, ticks: 4, nice: true },
      marks: [
        Plot.gridY(grid(4)),
        Plot.line(data, { x: "x", y: "y", stroke: COLORS[0], strokeWidth: 2 }),
        Plot.dot(data, { x: "x", y: "y", fill: COLORS[0], r: 3 }),
        Plot.dot([top], { x: "x", y: "y", r: 6, fill: "var(--card)", stroke: "rgb(var(--good))", strokeWidth: 3 }),
        Plot.text([top], { x: "x", y: "y", text: (row) => `best ${row.y.toFixed(3)}`, dy: -14, textAnchor: "end", dx: 8, fontWeight: 600 }),
      ],
    };
  },
  // Share of right entities by their score, beside the diagonal.
  reliability(rows) {
    const data = points(rows, ["right"], (row) => row.score, (row) =>
      `scores ${row.bin_text}, mean ${exact(row.score)}\nright ${withInterval(row, "right")}\n${exact(row.spans)} entities`);
    return {
      data, height: 260,
      x: { domain: [0, 1], label: "score", labelArrow: false, ticks: 5 }, y: { domain: [0, 1], label: null, ticks: 5 },
      marks: [
        Plot.gridX(grid(5)), Plot.gridY(grid(5)),
        Plot.line([[0, 0], [1, 1]], { stroke: "var(--soft)", strokeDasharray: "4 4" }),
        Plot.ruleX(data, { x: "x", y1: "low", y2: "high", stroke: COLORS[0], strokeOpacity: 0.35, strokeWidth: 6, strokeLinecap: "round" }),
        Plot.line(data, { x: "x", y: "y", stroke: COLORS[0], strokeWidth: 1.5 }),
        Plot.dot(data, { x: "x", y: "y", fill: COLORS[0], r: 4.5 }),
      ],
    };
  },
  // Several shares by a bound.
  lines(rows, figure) {
    const keys = names(figure);
    const x = figure.dataset.x;
    const data = points(rows, keys, (row) => row[x], (row, key) => `score at least ${exact(row[x])}: ${exact(row.spans)} entities\n${key === "f1" ? "F1" : key} ${exact(row[key])}`);
    return {
      data, height: 260, color: color(keys),
      x: { domain: [0, 1], label: "score at least", labelArrow: false, ticks: 5 }, y: { domain: [0, 1], label: null, ticks: 5 },
      marks: [
        Plot.gridX(grid(5)), Plot.gridY(grid(5)),
        Plot.line(data, { x: "x", y: "y", stroke: "series", strokeWidth: 2 }),
        Plot.dot(data, { x: "x", y: "y", fill: "series", r: 3.5 }),
      ],
    };
  },
};

// Arrow keys show the tips of one point after another, as a pointer does.
function stepThrough(svg, data) {
  const x = svg.scale("x"), y = svg.scale("y");
  let at = -1;
  const show = (index) => {
    at = (index + data.length) % data.length;
    const box = svg.getBoundingClientRect(), size = box.width / svg.viewBox.baseVal.width;
    const middle = (scale) => (scale.bandwidth ?? 0) / 2;
    const clientX = box.left + size * (x.apply(data[at].x) + middle(x)), clientY = box.top + size * (y.apply(data[at].y) + middle(y));
    svg.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, pointerType: "mouse", bubbles: true }));
  };
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); show(at < 0 && step < 0 ? data.length - 1 : at + step); }
    if (event.key === "Escape") svg.dispatchEvent(new PointerEvent("pointerleave"));
  });
  svg.addEventListener("blur", () => { at = -1; svg.dispatchEvent(new PointerEvent("pointerleave")); });
}

function draw(figure) {
  const table = document.getElementById(figure.dataset.table);
  const { data, marks, ...options } = KINDS[figure.dataset.chart](read(table), figure);
  figure.querySelector("svg, .missing")?.remove();
  if (!data.length) {
    figure.append(Object.assign(document.createElement("p"), { className: "missing", textContent: "no value to draw" }));
    return;
  }
  const tip = Plot.tip(data, Plot.pointer({ x: "x", y: "y", title: "label", fontSize: 13, fontVariant: "tabular-nums", fill: "var(--card)", stroke: "var(--soft)", className: "tip", ariaLabel: null }));
  const svg = Plot.plot({ width: Math.max(240, figure.clientWidth), height: 210, marginTop: 18, marginBottom: 32, marginLeft: 44, marginRight: 14, className: "plot", ...options, marks: [...marks, tip] });
  for (const part of svg.querySelectorAll("[aria-label]")) {  // a drawing has one name, its own
    part.dataset.part = part.getAttribute("aria-label");
    part.removeAttribute("aria-label");
  }
  svg.setAttribute("role", "img");
  svg.setAttribute("tabindex", "0");
  svg.setAttribute("aria-label", `${figure.dataset.title}: ${data.length} points; arrow keys show their values, and the table behind has them all`);
  stepThrough(svg, data);
  figure.append(svg);
}

const figures = document.querySelectorAll("figure[data-chart]");
figures.forEach(draw);
document.querySelectorAll("details.behind").forEach((table) => { table.open = false; });

let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== width) { width = innerWidth; figures.forEach(draw); }
});
