// The live stream of the page, and the charts of the server's own numbers. app.js is loaded before
// this file, chat.js after it.
"use strict";

// One connection for the numbers and the chat: a browser opens at most six to a host, for all its
// tabs together.
const live = new EventSource("/api/live");

const WINDOW_MS = 60_000;
const PLOT_WIDTH = 240;
const PLOT_HEIGHT = 56;

const server = { panel: byId("server"), pill: byId("server-state"), samples: [], tiles: [] };

const whole = (count) => count.toLocaleString("en");
const TILES = [
  { key: "connections", label: "Connections", show: whole, hint: "open now" },
  { key: "subscribers", label: "Subscribers", show: whole, hint: "of live events" },
  { key: "requests_per_s", label: "Requests", show: whole, unit: "/s" },
  { key: "deliveries_per_s", label: "Deliveries", show: whole, unit: "/s", hint: "of events" },
  { key: "bytes_received_per_s", label: "Received", show: formatBytes, unit: "/s" },
  { key: "bytes_sent_per_s", label: "Sent", show: formatBytes, unit: "/s" },
  { key: "threads", label: "Threads", show: whole, hint: "busy or spare" },
  { key: "memory_bytes", label: "Memory", show: formatBytes, hint: "in RAM" },
];

function svg(name, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  return node;
}

function makeTile(tile) {
  const box = element("div", "tile");
  box.dataset.key = tile.key;
  const label = element("dt", "", tile.label);
  if (tile.hint) label.append(element("span", "hint-inline", tile.hint));
  const figures = element("dd", "figures");
  const value = element("span", "value", "–");
  const peak = element("span", "peak", "");
  figures.append(value, peak);
  // The figures beside it say what the plot shows.
  const plot = svg("svg", { viewBox: `0 0 ${PLOT_WIDTH} ${PLOT_HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", class: "plot" });
  const area = svg("path", { class: "area" });
  const line = svg("path", { class: "line" });
  plot.append(area, line);
  const picture = element("dd", "picture");
  picture.append(plot);
  box.append(label, figures, picture);
  server.tiles.push({ ...tile, box, value, peak, area, line });
  return box;
}

// Servers that share an engine send their numbers to all pages, each under its name, each second.
// The page adds up the servers that it heard from recently.
const NODE_MS = 3500;
function heardOf(nodes, name, value) {
  const now = Date.now();
  nodes.set(name, { value, heard: now });
  for (const [other, { heard }] of nodes) if (now - heard > NODE_MS) nodes.delete(other);
  return Array.from(nodes.values(), (node) => node.value);
}

function addUp(samples, key) {
  const values = samples.map((sample) => sample[key]).filter((value) => typeof value === "number");
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value);
}

const serverNodes = new Map();
function hearSample(sample) {
  if (sample.node === undefined) return showSample(sample);
  const samples = heardOf(serverNodes, sample.node, sample);
  byId("server-title").textContent = samples.length > 1 ? `These ${samples.length} servers, now` : "This server, now";
  // Drawn once per round, with one of the samples. The servers' clocks differ; the page uses its
  // own.
  if (samples.some((other) => other.node < sample.node)) return;
  const sum = { at: Date.now() };
  for (const { key } of TILES) sum[key] = addUp(samples, key);
  showSample(sum);
}

function showSample(sample) {
  const last = server.samples.at(-1);
  // A sample that is earlier in time comes from another server, or was replayed.
  if (last !== undefined && sample.at <= last.at) server.samples = [];
  server.samples.push(sample);
  server.samples = server.samples.filter((old) => sample.at - old.at <= WINDOW_MS);
  for (const tile of server.tiles) drawTile(tile, sample.at);
  server.panel.dataset.samples = String(Number(server.panel.dataset.samples ?? 0) + 1);
}

function drawTile(tile, now) {
  const points = server.samples.filter((sample) => typeof sample[tile.key] === "number");
  const latest = server.samples.at(-1)[tile.key];
  const unit = tile.unit ?? "";
  tile.value.textContent = typeof latest === "number" ? `${tile.show(latest)}${unit}` : "–";
  if (points.length === 0) return;

  const values = points.map((sample) => sample[tile.key]);
  const most = Math.max(...values);
  tile.peak.textContent = `peak ${tile.show(most)}${unit}`;
  // From zero, so that a small change of a large number looks small.
  const top = Math.max(most * 1.15, 1);
  const at = points.map((sample) => [
    PLOT_WIDTH - ((now - sample.at) / WINDOW_MS) * PLOT_WIDTH,
    PLOT_HEIGHT - (sample[tile.key] / top) * (PLOT_HEIGHT - 3) - 1.5,
  ]);
  const path = at.map(([x, y], i) => `${i === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  tile.line.setAttribute("d", path);
  tile.area.setAttribute("d", `${path}L${at.at(-1)[0].toFixed(1)} ${PLOT_HEIGHT}L${at[0][0].toFixed(1)} ${PLOT_HEIGHT}Z`);
}

// The same words for each panel that the stream fills.
const liveStates = [];
function onLiveState(show) {
  liveStates.push(show);
}
function setLiveState(state) {
  for (const show of liveStates) show(state);
}

onLiveState((state) => showState(server.panel, server.pill, state));
live.addEventListener("open", () => setLiveState("open"));
live.addEventListener("error", () => setLiveState(live.readyState === EventSource.CLOSED ? "closed" : "reconnecting"));
live.addEventListener("stats", (event) => hearSample(JSON.parse(event.data)));
live.addEventListener("reset", () => {
  // Another server, or the page was away too long: the line would join values that do not belong
  // together.
  server.samples = server.samples.slice(-1);
});

byId("server-tiles").append(...TILES.map(makeTile));
