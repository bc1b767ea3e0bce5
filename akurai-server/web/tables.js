// Two tables of the server's panel: how long answers took, and the connections that are open.
// live.js is loaded before this file.
"use strict";

// ---- How long answers took ---------------------------------------------------------------------

const latency = { line: byId("latency-line"), body: byId("latency-rows"), rows: [] };

// A bucket's upper bound, in microseconds; null is none.
function formatBound(micros) {
  if (micros === null) return "longer";
  if (micros < 1000) return `${micros} µs`;
  return micros < 1_000_000 ? `${micros / 1000} ms` : `${micros / 1_000_000} s`;
}

function makeBucket([bound]) {
  const row = element("tr");
  const label = element("th", "", formatBound(bound));
  label.scope = "row";
  const [cell, span, bar, count] = [element("td"), element("div", "span"), element("div", "bar-of"), element("span")];
  span.append(bar, count);
  cell.append(span);
  row.append(label, cell);
  latency.body.append(row);
  return { bar, count };
}

// The bound within which this part of the answers was made.
function within(buckets, all, part) {
  let sum = 0;
  const [bound] = buckets.find(([, count]) => (sum += count) >= all * part);
  return bound === null ? "longer than 10 s" : `at most ${formatBound(bound)}`;
}

function showLatency(buckets) {
  if (latency.rows.length !== buckets.length) {
    latency.body.replaceChildren();
    latency.rows = buckets.map(makeBucket);
  }
  const most = Math.max(...buckets.map(([, count]) => count));
  buckets.forEach(([, count], i) => {
    const { bar, count: label } = latency.rows[i];
    // The number needs room beside the longest bar.
    bar.style.width = count === 0 ? "0" : `max(2px, ${((count / most) * 75).toFixed(2)}%)`;
    label.textContent = whole(count);
    label.className = count === 0 ? "none" : "";
  });
  const all = buckets.reduce((sum, [, count]) => sum + count, 0);
  if (all === 0) return;
  latency.line.textContent = `Half took ${within(buckets, all, 0.5)}, 99 of 100 ${within(buckets, all, 0.99)}.`;
}

const latencyNodes = new Map();
live.addEventListener("stats", (event) => {
  const sample = JSON.parse(event.data);
  if (!sample.latency) return; // a server of an older version
  const heard = heardOf(latencyNodes, sample.node, sample.latency);
  const [first, ...others] = heard.filter((buckets) => buckets.length === sample.latency.length);
  showLatency(first.map(([bound, count], i) => [bound, others.reduce((sum, other) => sum + other[i][1], count)]));
});

// ---- The open connections ----------------------------------------------------------------------

const LISTED = 50;
const KINDS = { idle: "HTTP, waiting", request: "HTTP, answering", closing: "HTTP, closing" };

const connections = { line: byId("connections-line"), body: byId("connections-rows"), rows: new Map() };

function formatAge(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

function showCells(row, texts) {
  while (row.childElementCount < texts.length) row.append(element("td"));
  texts.forEach((text, i) => {
    if (row.children[i].textContent !== text) row.children[i].textContent = text;
  });
}

// A connection keeps its row, so that a screen reader or a selection keeps its place.
function showConnections(open, newest, where) {
  const keys = new Set(newest.map((one) => one.key));
  for (const [key, row] of connections.rows) if (!keys.has(key)) row.remove();
  const rows = new Map();
  newest.forEach((one, i) => {
    const row = connections.rows.get(one.key) ?? element("tr");
    rows.set(one.key, row);
    row.dataset.kind = one.kind;
    const kind = KINDS[one.kind] ?? one.kind;
    showCells(row, [String(one.id), kind, formatAge(one.age_s), formatBytes(one.received), formatBytes(one.sent)]);
    if (connections.body.children[i] !== row) connections.body.insertBefore(row, connections.body.children[i] ?? null);
  });
  connections.rows = rows;
  const which = open > newest.length ? `The newest ${newest.length} of ${whole(open)}` : `All ${whole(open)}`;
  connections.line.textContent = `${which}${where}, the newest first. Addresses are left out: any visitor sees this list.`;
}

const connectionNodes = new Map();
live.addEventListener("connections", (event) => {
  const list = JSON.parse(event.data);
  const everywhere = heardOf(connectionNodes, list.node, list);
  const newest = everywhere.flatMap(({ node, newest }) => newest.map((one) => ({ ...one, key: `${node} ${one.id}` })));
  newest.sort((one, other) => one.age_s - other.age_s);
  // A server of several lists its connections only while somebody looks at them through it.
  const servers = everywhere.length === 1 ? "the server that shows" : `the ${everywhere.length} servers that show`;
  const where = list.node === undefined ? "" : ` of ${servers} this page`;
  showConnections(addUp(everywhere, "open"), newest.slice(0, LISTED), where);
});
