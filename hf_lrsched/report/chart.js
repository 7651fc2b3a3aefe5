"use strict";
// The chart of the report: panels over one axis of updates, the values under the pointer, a cursor for the keyboard,
// and the choices. Plotly draws and zooms; what it would show under the pointer has each line's own nearest update under one
// heading, so the box with the values is the page's own.
// Texts that come from a run reach the page through textContent, and Plotly, which reads some HTML, through plain().
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (id) => document.getElementById(id);
  const chart = element("chart");

  // Okabe and Ito's colours, which stay apart for colour-blind readers, darker on white and lighter on black.
  const light = {
    ground: "#ffffff", text: "#1c2024", quiet: "#5a626b", line: "#c3c9d0", grid: "#e4e7ea",
    shades: ["rgba(90,105,125,0.13)", "rgba(90,105,125,0.04)"], event: "#7a4bb0", star: "#e0a800", training: "#7b848e",
    lr: "#d55e00", lrLast: "#f3bd98",
    runs: ["#0072b2", "#d55e00", "#00795a", "#b0528a", "#3f8fc4", "#a86f00", "#333333"],
  };
  const dark = {
    ground: "#15181c", text: "#e8eaed", quiet: "#a3abb5", line: "#4a525b", grid: "#2a3036",
    shades: ["rgba(170,190,215,0.12)", "rgba(170,190,215,0.03)"], event: "#c59bff", star: "#ffd54a", training: "#9aa3ad",
    lr: "#ff8f4d", lrLast: "#7d4724",
    runs: ["#56b4e9", "#ff8f4d", "#35c99b", "#e79ac8", "#a9c8ff", "#e9b33c", "#e0e0e0"],
  };
  const DASHES = ["solid", "dash", "dot", "dashdot"];
  const MARKERS = ["circle", "square", "triangle-up", "diamond", "x", "cross", "star-triangle-down"];
  const MOST_LISTED = 8; // lines of LRs that the legend and the box of values list
  const MOST_SHADED = 120; // phases in view
  const MARGIN = { l: 62, r: 14, t: 30, b: 44 };
  const NEAR = 8; // pixels within which the pointer is at an evaluation or an event

  const asDark = window.matchMedia("(prefers-color-scheme: dark)");
  let onPaper = false;
  let colours = light;

  const runs = data.runs.map((run, index) => decoded(run, index));
  const many = runs.length > 1;
  const last = Math.max(...runs.map((run) => run.end), 1);
  const whole = [-0.01 * last, 1.01 * last];
  const chosen = {
    metric: data.metric,
    group: "",
    phases: runs.findIndex((run) => run.bands.length),
    log: false,
    cursor: null,
  };
  let range = [...whole];
  let axes = [];

  // ---- the data ----

  function doubles(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    return new Float64Array(bytes.buffer);
  }

  function series(line) {
    return { ...line, x: doubles(line.x), y: doubles(line.y) };
  }

  function mapped(object, change) {
    return new Map(Object.entries(object).map(([key, value]) => [key, change(value)]));
  }

  function decoded(run, index) {
    const made = { ...run, index, shown: true, training: series(run.training), stops: doubles(run.stops) };
    made.metrics = mapped(run.metrics, series);
    made.losses = mapped(run.losses, series);
    made.steps = run.steps.map(series);
    if (run.lr) {
      const x = run.lr.x && doubles(run.lr.x);
      const lines = run.lr.lines.map((line) => ({ groups: line.groups, x: x || doubles(line.x), y: doubles(line.y) }));
      for (const line of lines) line.highest = line.y.reduce((most, value) => Math.max(most, value), 0);
      made.lr = { ...run.lr, x: lines[0].x, lines };
    }
    const ends = [made.done, made.lr ? made.lr.x[made.lr.x.length - 1] : 0, ...made.events.map((event) => event[0])];
    made.end = Math.max(...ends);
    return made;
  }

  /** The place of the last x that is not after a value; -1 where all are. */
  function before(x, value) {
    let low = 0;
    let high = x.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (x[middle] <= value) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The place of the x that is nearest to a value. */
  function nearest(x, value) {
    const place = before(x, value);
    if (place < 0) return 0;
    return place + 1 < x.length && x[place + 1] - value < value - x[place] ? place + 1 : place;
  }

  // ---- words ----

  /** A run's text for Plotly, which takes some tags and entities for more than text. */
  function plain(text, most = 60) {
    const characters = [...String(text).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, " ")];
    const cut = characters.length > most ? [...characters.slice(0, most - 1), "…"] : characters;
    return cut.join("").replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  }

  function number(value) {
    return Number(value).toLocaleString("en-US", { maximumFractionDigits: 0 });
  }

  function short(value) {
    if (value === 0) return "0";
    const size = Math.abs(value);
    const text = size < 1e-3 || size >= 1e6 ? value.toExponential(4) : value.toPrecision(5);
    return text.includes("e") ? text.replace(/\.?0+e\+?/, "e") : text.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
  }

  function metricName(key) {
    const found = data.metrics.find((metric) => metric.key === key);
    return found ? found.name : "";
  }

  function groupsName(line, run) {
    if (run.lr.lines.length === 1) return "LR";
    const [first, ...rest] = line.groups;
    return `LR ${first}` + (rest.length ? ` and ${rest.length} more` : "");
  }

  // ---- what is drawn ----

  function colourOf(run) {
    return colours.runs[run.index % colours.runs.length];
  }

  function dashOf(run) {
    return DASHES[Math.floor(run.index / colours.runs.length) % DASHES.length];
  }

  /** The colour between two, of which `share` is the second. */
  function between(one, other, share) {
    const parts = [1, 3, 5].map((at) => [one, other].map((colour) => parseInt(colour.slice(at, at + 2), 16)));
    const mixed = parts.map(([a, b]) => Math.round(a + (b - a) * share));
    return `#${mixed.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
  }

  function lrColour(place, count) {
    return between(colours.lr, colours.lrLast, count > 1 ? place / (count - 1) : 0);
  }

  /** The panels that there is something for, from above: their share of the height, and their traces. */
  function panels() {
    const shown = runs.filter((run) => run.shown);
    const found = [];
    if (chosen.metric && runs.some((run) => run.metrics.has(chosen.metric))) {
      found.push({ id: "metric", title: metricName(chosen.metric), lines: shown.flatMap(metricLines) });
    }
    if (runs.some((run) => run.training.x.length || run.losses.size)) {
      found.push({ id: "loss", title: "loss", lines: shown.flatMap(lossLines) });
    }
    if (runs.some((run) => run.lr)) {
      found.push({ id: "lr", title: "learning rate used", lines: shown.flatMap(lrLines) });
    }
    if (runs.some((run) => run.steps.length)) {
      found.push({ id: "steps", title: "size of the update / size of the weights", lines: shown.flatMap(stepLines) });
    }
    return found;
  }

  function line(run, name, points, style) {
    return {
      type: "scatter",
      mode: "lines",
      label: name,
      x: points.x,
      y: points.y,
      ...style,
    };
  }

  function metricLines(run) {
    const points = run.metrics.get(chosen.metric);
    if (!points || !points.x.length) return [];
    const colour = colourOf(run);
    const marker = { size: points.x.length > 150 ? 3 : 6, symbol: MARKERS[run.index % MARKERS.length] };
    const style = { mode: "lines+markers", line: { color: colour, width: 2, dash: dashOf(run) }, marker };
    const lines = [line(run, metricName(chosen.metric), points, style)];
    if (points.best) {
      const [x, y] = points.best;
      const star = { symbol: "star", size: 15, color: colours.star, line: { color: colours.text, width: 1 } };
      const which = points.isKept ? "best checkpoint:" : "best";
      const label = `${which} ${metricName(chosen.metric)} ${short(y)} at update ${number(x)}`;
      lines.push(line(run, label, { x: [x], y: [y] }, { mode: "markers", marker: star, cliponaxis: false }));
    }
    return lines;
  }

  function lossLines(run) {
    const lines = [];
    if (run.training.x.length) {
      const style = { line: { color: many ? colourOf(run) : colours.training, width: 1.2, dash: dashOf(run) } };
      if (run.training.x.length === 1) Object.assign(style, { mode: "lines+markers", marker: { size: 5 } });
      lines.push(line(run, "training loss", run.training, { ...style, opacity: many ? 0.65 : 1 }));
    }
    [...run.losses].forEach(([name, points], index) => {
      if (!points.x.length) return;
      const colour = many ? colourOf(run) : colours.runs[(2 + index) % colours.runs.length];
      const marker = { size: points.x.length > 150 ? 3 : 6, symbol: MARKERS[(run.index + index) % MARKERS.length] };
      lines.push(line(run, name, points, { mode: "lines+markers", line: { color: colour, width: 2, dash: "dash" }, marker }));
    });
    return lines;
  }

  function lrLines(run) {
    if (!run.lr) return [];
    const by = wantedLines(run);
    const listed = listedLines(run);
    return by.flatMap((each, place) => {
      const colour = many ? colourOf(run) : lrColour(place, by.length);
      const isListed = listed.includes(each);
      const done = before(each.x, run.done);
      const shape = run.lr.exact && run.lr.every && run.lr.x.length <= 300 ? "vh" : "linear";
      const style = { line: { color: colour, width: isListed ? 2 : 1, dash: dashOf(run), shape } };
      if (!run.lr.exact || run.lr.x.length === 1) Object.assign(style, { mode: "lines+markers", marker: { size: 4 } });
      const part = (first, end) => {
        const [x, y] = [each.x.subarray(first, end), each.y.subarray(first, end)];
        // An LR holds from the update before on, and so does the first one.
        return first || shape !== "vh" ? { x, y } : { x: [x[0] - 1, ...x], y: [y[0], ...y] };
      };
      const lines = [];
      if (done >= 0) lines.push(line(run, groupsName(each, run), part(0, done + 1), style));
      if (done + 1 < each.x.length) {
        const planned = { ...style, line: { ...style.line, dash: "dot", width: 1.2 } };
        lines.push(line(run, `planned ${groupsName(each, run)}`, part(Math.max(done, 0), each.x.length), planned));
      }
      lines.forEach((made) => (made.unlisted = !isListed));
      return lines;
    });
  }

  /** Of the group that is chosen or of all, in the groups' order. */
  function wantedSteps(run) {
    return run.steps.filter((each) => !chosen.group || each.groups.includes(chosen.group));
  }

  function stepName(each, run) {
    return run.steps.length === 1 ? "update / weights" : `update / weights ${each.groups[0]}`;
  }

  function stepLines(run) {
    const wanted = wantedSteps(run);
    return wanted.map((each, place) => {
      const color = many ? colourOf(run) : lrColour(place, wanted.length);
      const isListed = listed(wanted).includes(each);
      const marker = { size: each.x.length > 150 ? 3 : 5, symbol: MARKERS[run.index % MARKERS.length] };
      const style = { mode: "lines+markers", line: { color, width: isListed ? 1.5 : 1, dash: dashOf(run) }, marker };
      return { ...line(run, stepName(each, run), each, style), unlisted: !isListed };
    });
  }

  /** The LRs of the group that is chosen, or of all, the highest first. */
  function wantedLines(run) {
    const wanted = run.lr.lines.filter((each) => !chosen.group || each.groups.includes(chosen.group));
    return wanted.sort((one, other) => other.highest - one.highest);
  }

  /** Of many lines the highest and the lowest, that stand for all. */
  function listedLines(run) {
    return listed(wantedLines(run));
  }

  function listed(wanted) {
    if (many) return wanted.slice(0, 1);
    return wanted.length > MOST_LISTED ? [wanted[0], wanted[wanted.length - 1]] : wanted;
  }

  /** The events of the runs that are shown: a mark in the strip above the panels each, with its text. */
  function eventLines() {
    const colour = (run) => (many ? colourOf(run) : colours.event);
    return runs
      .filter((run) => run.shown && run.events.length)
      .map((run) => ({
        type: "scatter",
        mode: "markers",
        x: run.events.map((event) => event[0]),
        y: run.events.map(() => 0.18),
        label: "events: what changed the learning rate",
        marker: { symbol: "triangle-down", size: 11, color: colour(run) },
        cliponaxis: false,
      }));
  }

  function shapes() {
    const made = [];
    for (const [index, band] of visibleBands().entries()) {
      const [, start, end, place] = band;
      const colour = colours.shades[place % 2];
      made.push(rectangle(start, end, colour));
    }
    for (const run of runs.filter((each) => each.shown)) {
      for (const [step] of run.events) made.push(vertical(step, many ? colourOf(run) : colours.event, "dash", 1.2));
    }
    return made;
  }

  function rectangle(x0, x1, fillcolor) {
    return { type: "rect", xref: "x", yref: "paper", x0, x1, y0: 0, y1: 1, fillcolor, line: { width: 0 }, layer: "below" };
  }

  function vertical(x, color, dash, width) {
    return { type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, line: { color, dash, width }, layer: "above" };
  }

  /** The phases in view: text, start, end and place; none where they are too many to tell apart. */
  function visibleBands() {
    const run = runs[chosen.phases];
    if (!run || !run.shown) return [];
    const found = run.bands.map((band, place) => [...band, place]).filter(([, start, end]) => end > range[0] && start < range[1]);
    return found.length <= MOST_SHADED ? found : [];
  }

  /** The names of the phases, where there is room; every panel's title. */
  function annotations(found) {
    const made = found.map((panel) => ({
      text: plain(panel.title), xref: "paper", yref: "paper", x: 0, xanchor: "left", y: panel.top, yanchor: "bottom",
      showarrow: false, font: { size: 13, color: colours.text }, align: "left", bgcolor: colours.ground, // no event's line crosses it
    }));
    const width = plotWidth();
    const pixels = (update) => pixelOf(update) - MARGIN.l;
    for (const [text, start, end] of visibleBands()) {
      const [left, right] = [Math.max(pixels(start), 0), Math.min(pixels(end), width)];
      const fits = Math.floor((right - left - 8) / 6.7);
      const shown = text.length <= fits ? text : text.replace(/\(.*$/s, "…");
      const upright = shown.length > fits; // within the panel, where its shade is wide enough for a line of text
      if (upright && right - left < 14) continue;
      made.push({
        text: upright ? plain(text, 24) : plain(shown, fits), xref: "paper", yref: "paper", x: (left + right) / 2 / width,
        xanchor: "center", y: upright ? (found.length ? found[0].top : 1) : 1, yanchor: upright ? "top" : "bottom",
        textangle: upright ? -90 : 0, showarrow: false, font: { size: 12, color: colours.quiet },
      });
    }
    return made;
  }

  function layout(found) {
    const height = 90 + found.length * 200;
    const inside = height - MARGIN.t - MARGIN.b;
    const strip = 22 / inside;
    const gap = 34 / inside;
    const each = (1 - strip - gap * found.length) / found.length;
    const made = {
      height,
      margin: { ...MARGIN, autoexpand: false },
      paper_bgcolor: colours.ground,
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colours.text, family: "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif", size: 12 },
      showlegend: false,
      hovermode: false,
      dragmode: window.matchMedia("(pointer: coarse)").matches ? false : "zoom",
      uirevision: "kept",
      xaxis: {
        ...axis(), range: [...range], anchor: "y" + (found.length > 1 ? found.length : ""), title: { text: "update (optimizer step)", standoff: 8 },
        separatethousands: true, exponentformat: "none",
      },
    };
    axes = found.map((panel, index) => {
      const top = 1 - strip - gap * (index + 1) - each * index;
      panel.top = top;
      panel.axis = `y${index ? index + 1 : ""}`;
      const name = `yaxis${index ? index + 1 : ""}`;
      made[name] = { ...axis(), domain: [Math.max(top - each, 0), top], anchor: "x", uirevision: `${chosen.metric} ${chosen.log} ${chosen.group}` };
      if (panel.id === "lr") {
        Object.assign(made[name], { exponentformat: "e", minexponent: 2 });
        const highest = panel.lines.reduce((most, trace) => trace.y.reduce((high, lr) => Math.max(high, lr), most), 0);
        // All ticks would get the exponent of the highest one, as in 0.5e−4.
        if (!chosen.log && highest < 0.01) Object.assign(made[name], { tickformat: ".3~e", labelalias: { "0e+0": "0" } });
        if (chosen.log) Object.assign(made[name], { type: "log", dtick: 1 });
        else made[name].autorangeoptions = { include: 0 }; // and a margin below: a line at 0 is drawn completely
      }
      if (panel.id === "steps") Object.assign(made[name], { type: "log", exponentformat: "e", minexponent: 2, nticks: 5 });
      const values = new Set(panel.lines.flatMap((trace) => [...trace.y]));
      const [value] = values;
      if (values.size === 1 && value && !["lr", "steps"].includes(panel.id)) {
        // Plotly draws 1 above and 1 below a line: an accuracy of 1 would have an axis from 0 to 2.
        made[name].autorangeoptions = { clipmin: value - 0.1 * Math.abs(value), clipmax: value + 0.1 * Math.abs(value) };
      }
      return name;
    });
    const events = `yaxis${found.length + 1}`;
    made[events] = { domain: [1 - strip, 1], range: [0, 1], fixedrange: true, visible: false, anchor: "x" };
    made.annotations = annotations(found);
    made.shapes = shapes();
    return made;
  }

  function axis() {
    return { color: colours.quiet, gridcolor: colours.grid, linecolor: colours.line, showline: true, zeroline: false, ticks: "outside", tickcolor: colours.line, ticklen: 4 };
  }

  function draw() {
    colours = asDark.matches && !onPaper ? dark : light;
    const found = panels();
    const made = layout(found);
    const strip = `y${found.length + 1}`;
    const traces = eventLines().map((trace) => ({ ...trace, yaxis: strip }));
    for (const panel of found) traces.push(...panel.lines.map((trace) => ({ ...trace, yaxis: panel.axis })));
    const settings = { responsive: true, displayModeBar: false, displaylogo: false, doubleClick: false };
    writeLegend(traces);
    placeCursor();
    tellCursor();
    return Plotly.react(chart, traces, made, settings);
  }

  // ---- the legend: plain HTML, which wraps on a small screen ----

  function swatch(trace) {
    const space = "http://www.w3.org/2000/svg"; // a name, nothing is loaded
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("class", "swatch");
    svg.setAttribute("width", "28");
    svg.setAttribute("height", "12");
    svg.setAttribute("aria-hidden", "true");
    const add = (name, attributes) => {
      const part = document.createElementNS(space, name);
      Object.entries(attributes).forEach(([key, value]) => part.setAttribute(key, value));
      svg.append(part);
    };
    const dashes = { dash: "6 3", dot: "2 3", dashdot: "6 3 2 3" };
    if (trace.mode !== "markers") {
      const style = { stroke: trace.line.color, "stroke-width": trace.line.width, "stroke-dasharray": dashes[trace.line.dash] || "none" };
      add("line", { x1: 0, x2: 28, y1: 6, y2: 6, "stroke-opacity": trace.opacity || 1, ...style });
      if (trace.mode === "lines+markers") add("circle", { cx: 14, cy: 6, r: 3, fill: trace.line.color });
    } else if (trace.marker.symbol === "star") {
      add("path", { d: "M14 0l1.8 4.2 4.4.3-3.4 2.9 1.1 4.4L14 9.4l-3.9 2.4 1.1-4.4-3.4-2.9 4.4-.3z", fill: trace.marker.color });
    } else {
      add("path", { d: "M8 1h12l-6 10z", fill: trace.marker.color });
    }
    return svg;
  }

  function writeLegend(traces) {
    const entries = new Map();
    for (const trace of traces) {
      if (trace.label && !trace.unlisted && !entries.has(trace.label)) entries.set(trace.label, trace);
    }
    const hidden = !many && runs[0].lr ? wantedLines(runs[0]).length - listedLines(runs[0]).length : 0;
    const items = [...entries].map(([label, trace]) => item(swatch(trace), label));
    if (hidden) items.push(item(null, `and ${hidden} more between them, of other groups`));
    element("legend").replaceChildren(...(many ? [] : items));
    document.querySelectorAll("#runs label").forEach((label, index) => {
      const style = { line: { color: colourOf(runs[index]), width: 3, dash: dashOf(runs[index]) } };
      label.querySelector("svg").replaceWith(swatch(style));
    });
  }

  function item(symbol, text) {
    const made = document.createElement("li");
    made.append(...(symbol ? [symbol] : []), text);
    return made;
  }

  // ---- zoom ----

  function plotWidth() {
    return Math.max(chart.clientWidth - MARGIN.l - MARGIN.r, 50);
  }

  /** Where an update lies, in pixels from the left of the chart. */
  function pixelOf(update) {
    return MARGIN.l + ((update - range[0]) / (range[1] - range[0])) * plotWidth();
  }

  function show(start, end) {
    const size = Math.min(Math.max(end - start, Math.min(2, whole[1] - whole[0])), whole[1] - whole[0]);
    const first = Math.min(Math.max(start, whole[0]), whole[1] - size);
    range = [first, first + size];
    placeCursor();
    return Plotly.relayout(chart, { "xaxis.range": [...range], ...overlays() });
  }

  /** What depends on the part in view. */
  function overlays() {
    const found = panels();
    found.forEach((panel, index) => (panel.top = chart.layout[axes[index]].domain[1]));
    return { shapes: shapes(), annotations: annotations(found) };
  }

  function zoom(factor) {
    const [start, end] = range;
    const isIn = chosen.cursor !== null && chosen.cursor >= start && chosen.cursor <= end;
    const middle = isIn ? chosen.cursor : (start + end) / 2;
    show(middle - (middle - start) * factor, middle + (end - middle) * factor);
  }

  function pan(share) {
    const by = (range[1] - range[0]) * share;
    show(range[0] + by, range[1] + by);
  }

  function reset() {
    const back = Object.fromEntries(axes.map((name) => [`${name}.autorange`, true]));
    range = [...whole];
    placeCursor();
    Plotly.relayout(chart, { ...back, "xaxis.range": [...range], ...overlays() });
  }

  // ---- what the values are at an update ----

  /** The values of a run at an update: each with its colour, and where another update is the nearest with its place. */
  function valuesAt(run, update) {
    const values = [];
    const tell = (kind, name, points, color) => {
      if (!points || !points.x.length) return;
      const place = nearest(points.x, update);
      const at = points.x[place];
      values.push({ kind, name, color, value: short(points.y[place]), at: at === update ? null : at });
    };
    if (update > run.end) return values;
    tell("metric", metricName(chosen.metric), run.metrics.get(chosen.metric), many ? colourOf(run) : colours.runs[0]);
    [...run.losses].forEach(([name, points], index) => tell(name, name, points, colours.runs[(2 + index) % colours.runs.length]));
    tell("training loss", "training loss", run.training, colours.training);
    const wanted = run.lr ? wantedLines(run) : [];
    for (const each of run.lr ? listedLines(run) : []) {
      const planned = update > run.done ? "planned " : "";
      tell("LR", planned + groupsName(each, run), each, lrColour(wanted.indexOf(each), wanted.length));
    }
    const steps = many ? [] : wantedSteps(run); // on a phone there is no room for one more column
    for (const each of listed(steps)) {
      tell("update / weights", stepName(each, run), each, lrColour(steps.indexOf(each), steps.length));
    }
    return values;
  }

  function withPlace({ value, at }) {
    return at === null ? value : `${value} (update ${number(at)})`;
  }

  function epochOf(run, update) {
    return run.perEpoch ? `epoch ${short(update / run.perEpoch)}` : "";
  }

  function phaseAt(run, update) {
    const found = run.bands.find(([, start, end]) => update > start && update <= end);
    return found ? found[0] : "";
  }

  function eventsAt(run, update) {
    return run.events.filter(([step]) => step === update).map(([, text]) => text);
  }

  // ---- under the pointer ----

  /** The update that the pointer means: an evaluation or an event close by, else one whose LR is drawn. */
  function updateAt(pixel) {
    const wanted = range[0] + ((pixel - MARGIN.l) / plotWidth()) * (range[1] - range[0]);
    const shown = runs.filter((run) => run.shown);
    const places = shown.flatMap((run) => [...run.events.map(([step]) => step), ...nearestOf(run.stops, wanted)]);
    const close = places.filter((place) => Math.abs(pixelOf(place) - pixel) <= NEAR);
    if (close.length) return close.reduce((one, other) => (Math.abs(one - wanted) <= Math.abs(other - wanted) ? one : other));
    const drawn = shown.flatMap((run) => [...nearestOf(run.lr ? run.lr.x : [], wanted), ...nearestOf(run.training.x, wanted)]);
    const best = (one, other) => (Math.abs(one - wanted) <= Math.abs(other - wanted) ? one : other);
    return drawn.length ? drawn.reduce(best) : Math.round(wanted);
  }

  function nearestOf(x, value) {
    return x.length ? [x[nearest(x, value)]] : [];
  }

  function cell(row, text, name) {
    const made = document.createElement("td");
    made.textContent = text;
    if (name) made.className = name;
    row.append(made);
    return made;
  }

  function rowOf(color, name) {
    const row = document.createElement("tr");
    const first = cell(row, name, "name");
    const mark = document.createElement("span");
    mark.className = "mark";
    mark.style.background = color;
    first.prepend(mark);
    return row;
  }

  /** A run's values one below the other; of several runs a row for each. */
  function tipTable(update) {
    const table = document.createElement("table");
    if (!many) {
      for (const entry of valuesAt(runs[0], update)) {
        const row = rowOf(entry.color, entry.name);
        cell(row, withPlace(entry), "value");
        table.append(row);
      }
      return table;
    }
    table.className = "several";
    const shown = runs.filter((run) => run.shown);
    const found = shown.map((run) => valuesAt(run, update));
    const kinds = [...new Set(found.flat().map(({ kind }) => kind))];
    const head = document.createElement("tr");
    ["", ...kinds].forEach((kind) => cell(head, kind === "metric" ? metricName(chosen.metric) : kind, kind ? "value" : ""));
    table.append(head);
    shown.forEach((run, index) => {
      const row = rowOf(colourOf(run), run.name);
      for (const kind of kinds) {
        const entry = found[index].find((each) => each.kind === kind);
        const made = cell(row, entry ? entry.value : "–", "value");
        if (entry && entry.at !== null) {
          const place = document.createElement("small");
          place.textContent = ` at ${number(entry.at)}`;
          made.append(place);
        }
      }
      table.append(row);
    });
    return table;
  }

  function showTip(event) {
    const box = chart.getBoundingClientRect();
    const pixel = event.clientX - box.left;
    const isInside = pixel >= MARGIN.l && pixel <= MARGIN.l + plotWidth() && event.clientY - box.top >= 0;
    if (!isInside || event.buttons) return hideTip();
    const update = updateAt(pixel);
    const tip = element("tip");
    const shown = runs.filter((run) => run.shown);
    const heading = document.createElement("strong");
    heading.textContent = [`update ${number(update)}`, many ? "" : epochOf(runs[0], update), many ? "" : phaseAt(runs[0], update)]
      .filter(Boolean)
      .join(" · ");
    const happened = shown.flatMap((run) => eventsAt(run, update).map((text) => (many ? `${run.name}: ${text}` : text)));
    const notes = happened.map((text) => {
      const note = document.createElement("p");
      note.textContent = text;
      return note;
    });
    tip.replaceChildren(heading, ...notes, tipTable(update));
    tip.hidden = false;
    const place = pixelOf(update);
    const isLeft = place > chart.clientWidth / 2;
    tip.style.maxWidth = `${chart.clientWidth}px`;
    const left = isLeft ? place - tip.offsetWidth - 12 : place + 12;
    tip.style.left = `${Math.min(Math.max(left, 0), Math.max(chart.clientWidth - tip.offsetWidth, 0))}px`;
    // On a small screen the box would cover what it tells of: it stands above or below the finger.
    const over = event.clientY - box.top - tip.offsetHeight - 16;
    tip.style.top = `${Math.max(Math.min(over, box.height - tip.offsetHeight), MARGIN.t - 22)}px`;
    placeLine("pointer", update);
  }

  function hideTip() {
    element("tip").hidden = true;
    element("pointer").hidden = true;
  }

  function placeLine(id, update) {
    const pixel = update === null ? -1 : pixelOf(update);
    const line = element(id);
    line.hidden = pixel < MARGIN.l - 1 || pixel > MARGIN.l + plotWidth() + 1;
    line.style.left = `${pixel}px`;
    line.style.top = `${MARGIN.t}px`;
    line.style.height = `${Math.max(chart.clientHeight - MARGIN.t - MARGIN.b, 0)}px`;
  }

  // ---- the cursor of the keyboard ----

  function placeCursor() {
    hideTip();
    placeLine("cursor", chosen.cursor);
  }

  /** Where the cursor stops: at the evaluations, or the training records where there are none. */
  function stops() {
    const shown = runs.filter((run) => run.shown);
    const evaluated = shown.flatMap((run) => [...run.stops]);
    const all = evaluated.length ? evaluated : shown.flatMap((run) => [...run.training.x]);
    return [...new Set(all)].sort((one, other) => one - other);
  }

  function move(to) {
    const places = stops();
    if (!places.length) return;
    const here = chosen.cursor === null ? -1 : before(places, chosen.cursor);
    const isNew = chosen.cursor === null;
    const target = { first: 0, last: places.length - 1, next: here + 1, previous: isNew ? places.length - 1 : here - 1 }[to];
    chosen.cursor = places[Math.min(Math.max(target, 0), places.length - 1)];
    const size = range[1] - range[0];
    if (chosen.cursor < range[0] || chosen.cursor > range[1]) show(chosen.cursor - size / 2, chosen.cursor + size / 2);
    placeCursor();
    tellCursor();
  }

  function tellCursor() {
    element("readout").textContent = chosen.cursor === null ? "" : readout(chosen.cursor);
  }

  function readout(update) {
    const spoken = (run) => [
      ...valuesAt(run, update).map((each) => `${each.name} ${withPlace(each)}`),
      ...[phaseAt(run, update)].filter(Boolean).map((phase) => `phase ${phase}`),
      ...eventsAt(run, update),
    ];
    const words = (run) => spoken(run).join("; ") || "over";
    if (!many) return `${[`update ${number(update)}`, epochOf(runs[0], update)].filter(Boolean).join(", ")}: ${words(runs[0])}`;
    const shown = runs.filter((run) => run.shown);
    return [`update ${number(update)}`, ...shown.map((run) => `${run.name}: ${words(run)}`)].join("\n");
  }

  // ---- the comparison's columns follow the choice of the metric ----

  function compare() {
    const table = document.querySelector("#comparison table");
    if (!table || !chosen.metric) return;
    const heads = table.querySelectorAll("th");
    heads[1].textContent = `best ${metricName(chosen.metric)}`;
    heads[3].textContent = `last ${metricName(chosen.metric)}`;
    table.querySelectorAll("tbody tr").forEach((row, index) => {
      const points = runs[index].metrics.get(chosen.metric);
      const best = points && points.best;
      row.cells[1].textContent = best ? short(best[1]) : "–";
      row.cells[2].textContent = best ? number(best[0]) : "–";
      row.cells[3].textContent = best ? short(points.last[1]) : "–";
    });
  }

  // ---- the controls ----

  function option(value, text) {
    const made = document.createElement("option");
    made.value = value;
    made.textContent = text;
    return made;
  }

  function prepareControls() {
    const metrics = data.metrics.filter(({ key }) => runs.some((run) => run.metrics.has(key)));
    element("metric").append(...metrics.map(({ key, name }) => option(key, name)));
    if (chosen.metric) element("metric").value = chosen.metric;
    element("metric-label").hidden = metrics.length < 2;
    const groups = [...new Set(runs.flatMap((run) => (run.lr ? run.lr.lines.flatMap((each) => each.groups) : [])))];
    element("groups").append(option("", "all groups"), ...groups.map((name) => option(name, name)));
    element("groups-label").hidden = groups.length < 2;
    const phased = runs.filter((run) => run.bands.length);
    element("phases").append(...phased.map((run) => option(run.index, many ? run.name : "shown")), option(-1, "hidden"));
    element("phases").value = chosen.phases;
    element("phases-label").hidden = !phased.length;
    element("log").parentElement.hidden = !runs.some((run) => run.lr);
    element("runs").hidden = !many;
    for (const run of many ? runs : []) {
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.checked = true;
      box.addEventListener("change", () => {
        run.shown = box.checked;
        draw();
      });
      label.append(box, document.createElementNS("http://www.w3.org/2000/svg", "svg"), run.name);
      element("runs").append(label);
    }
    const on = (id, event, action) => element(id).addEventListener(event, action);
    on("metric", "change", () => {
      chosen.metric = element("metric").value;
      compare();
      draw();
    });
    on("groups", "change", () => {
      chosen.group = element("groups").value;
      draw();
    });
    on("phases", "change", () => {
      chosen.phases = Number(element("phases").value);
      draw();
    });
    on("log", "change", () => {
      chosen.log = element("log").checked;
      draw();
    });
    on("in", "click", () => zoom(0.5));
    on("out", "click", () => zoom(2));
    on("back", "click", () => pan(-0.5));
    on("forth", "click", () => pan(0.5));
    on("reset", "click", reset);
    on("save", "click", () => {
      const filename = document.title.replace(/[^\w.-]+/g, "_").slice(0, 80);
      Plotly.downloadImage(chart, { format: "png", filename, width: 1200, height: chart.layout.height, scale: 2 });
    });
    const keys = {
      ArrowLeft: () => move("previous"),
      ArrowRight: () => move("next"),
      Home: () => move("first"),
      End: () => move("last"),
      "+": () => zoom(0.5),
      "=": () => zoom(0.5),
      "-": () => zoom(2),
      0: reset,
    };
    on("chart", "pointermove", (event) => event.pointerType === "mouse" && showTip(event));
    on("chart", "pointerleave", (event) => event.pointerType === "mouse" && hideTip());
    on("chart", "click", showTip); // of a finger: a tap, not a swipe
    on("chart", "keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
      event.preventDefault();
      keys[event.key]();
    });
  }

  /** After a drag or a double click: the names of the phases find their new places. */
  function followZoom(change) {
    const moved = ["xaxis.range[0]", "xaxis.range", "xaxis.autorange"].some((key) => key in change);
    if (!moved || "shapes" in change) return;
    range = [...chart.layout.xaxis.range];
    placeCursor();
    Plotly.relayout(chart, overlays());
  }

  function onPrint(isPaper) {
    onPaper = isPaper;
    document.querySelectorAll("details").forEach((details) => {
      if (isPaper) details.dataset.was = details.open;
      details.open = isPaper || details.dataset.was === "true";
    });
    draw();
  }

  element("interactive").hidden = false;
  prepareControls();
  draw().then(() => {
    chart.on("plotly_relayout", followZoom);
    chart.on("plotly_doubleclick", reset);
  });
  asDark.addEventListener("change", draw);
  new ResizeObserver(() => {
    placeCursor();
    if (chart.layout && chart.clientWidth) Plotly.relayout(chart, { annotations: overlays().annotations });
  }).observe(chart);
  window.addEventListener("beforeprint", () => onPrint(true));
  window.addEventListener("afterprint", () => onPrint(false));
})();
