// Keeps an open page up to date and draws its chart. The page says all of it without this, too.
"use strict";

const EVERY_MS = 2000;
const CHART_EVERY_MS = 30000;
const main = document.getElementById("main");
const live = document.getElementById("live");
const shown = new Map();
let chart = null;
let figures = null;

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function replace(part) {
  const old = document.getElementById(part.id);
  const said = part.outerHTML;
  if (!old || shown.get(part.id) === said) return;
  // What is being used by keyboard, or read in an opened table, is not taken from under anybody's hands.
  if (old.contains(document.activeElement) && document.activeElement !== document.body) return;
  shown.set(part.id, said);
  for (const details of part.querySelectorAll("details")) {
    const before = [...old.querySelectorAll("details")][[...part.querySelectorAll("details")].indexOf(details)];
    if (before) details.open = before.open;
  }
  const drawn = old.querySelector("#chart");
  const place = part.querySelector("#chart");
  if (drawn && place) place.replaceWith(drawn);
  for (const picture of part.querySelectorAll(".picture img")) {
    const before = [...old.querySelectorAll(".picture img")].find((one) => one.getAttribute("src") === picture.getAttribute("src"));
    if (before) picture.replaceWith(before);
  }
  old.replaceWith(part);
}

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/live", { signal: AbortSignal.timeout(8000) });
    if (!answer.ok) throw new Error(String(answer.status));
    const parts = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of [...parts.body.children]) replace(document.adoptNode(part));
    live.textContent = "live";
    live.className = "on";
    const word = document.querySelector("#verdict .word strong");
    if (word) document.title = `${word.textContent} · ${document.getElementById("host").textContent} · Acusight agent`;
  } catch {
    live.textContent = "the page's process does not answer";
    live.className = "off";
  }
}

function bandsPlugin() {
  return {
    hooks: {
      drawClear: [(plot) => {
        const { left, top, width, height } = plot.bbox;
        plot.ctx.save();
        for (const band of figures.bands) {
          const from = Math.max(left, plot.valToPos(band.from, "x", true));
          const to = Math.min(left + width, plot.valToPos(band.to, "x", true));
          plot.ctx.fillStyle = style(band.what === "agent not running" ? "--band-down" : "--band");
          if (to > from) plot.ctx.fillRect(from, top, to - from, height);
        }
        plot.ctx.restore();
      }],
    },
  };
}

function legend() {
  const names = [...new Set(figures.bands.map((band) => band.what))];
  const list = document.createElement("p");
  list.className = "note bands";
  list.textContent = names.length ? `Shaded: ${names.join(", ")}.` : "Nothing was out of order.";
  return list;
}

function draw() {
  const place = document.getElementById("chart");
  if (!place || !figures || typeof uPlot === "undefined") return;
  place.hidden = false;
  if (!figures.times.length) {
    place.textContent = "The first figures come within a minute.";
    return;
  }
  const axis = { stroke: style("--quiet"), grid: { stroke: style("--line"), width: 1 }, ticks: { stroke: style("--line"), width: 1 } };
  const now = figures.now;
  const two = (number) => String(number).padStart(2, "0");
  const clock = (seconds) => { const at = new Date(seconds * 1000); return `${two(at.getHours())}:${two(at.getMinutes())}`; };
  const options = {
    width: place.clientWidth,
    height: 240,
    padding: [12, 8, 0, 0],
    scales: { x: { range: [now - 21600, now] }, y: { range: (_, __, most) => [0, Math.max(5, most * 1.1)] }, rate: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
    series: [
      { label: "Time", value: (_, seconds) => (seconds === null ? "-" : clock(seconds)) },
      { label: "Waiting", stroke: style("--accent"), fill: style("--accent-soft"), width: 2, points: { show: false } },
      { label: "Delivered a minute", scale: "rate", stroke: style("--second"), width: 2, points: { show: false } },
    ],
    axes: [
      { ...axis, values: (_, moments) => moments.map(clock) },
      { ...axis, label: "waiting", labelSize: 18, size: 56 },
      { ...axis, scale: "rate", side: 1, label: "delivered a minute", labelSize: 18, size: 56, grid: { show: false } },
    ],
    plugins: [bandsPlugin()],
  };
  if (chart) chart.destroy();
  place.replaceChildren();
  chart = new uPlot(options, [figures.times, figures.waiting, figures.delivered_min], place);
  place.append(legend());
}

async function chartAgain() {
  const place = document.getElementById("chart");
  if (document.hidden || !place) return;
  try {
    const answer = await fetch(place.dataset.source, { signal: AbortSignal.timeout(8000) });
    if (!answer.ok) return;
    figures = await answer.json();
    figures.now = Date.now() / 1000;
    draw();
  } catch {
    // The next round tries again; `refresh` says that nobody answers.
  }
}

for (const part of main.children) shown.set(part.id, part.outerHTML);
setInterval(refresh, EVERY_MS);
setInterval(chartAgain, CHART_EVERY_MS);
document.addEventListener("visibilitychange", () => { refresh(); chartAgain(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
let resized = 0;
addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(draw, 150); });
refresh();
chartAgain();
