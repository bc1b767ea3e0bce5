// The demo page: ticks by EventSource, and a console for the WebSocket echo. live.js and chat.js
// use the functions at the top of this file. All text from the network goes into the page by
// textContent only.
"use strict";

const byId = (id) => document.getElementById(id);

function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// Local time to the millisecond: 14:03:27.045.
function clock() {
  const now = new Date();
  const two = (n) => String(n).padStart(2, "0");
  const time = `${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`;
  return `${time}.${String(now.getMilliseconds()).padStart(3, "0")}`;
}

function formatBytes(count) {
  if (count < 1024) return `${count} B`;
  const unit = count < 1024 * 1024 ? ["KiB", 1024] : ["MiB", 1024 * 1024];
  return `${Number((count / unit[1]).toFixed(2))} ${unit[0]}`;
}

// The newest row comes first; beyond `limit` the oldest row is removed.
function prepend(log, row, limit) {
  log.prepend(row);
  while (log.childElementCount > limit) log.lastElementChild.remove();
}

function showState(panel, pill, state) {
  panel.dataset.state = state;
  pill.dataset.state = state;
  if (pill.textContent !== state) pill.textContent = state;
}

// ---- Live events -------------------------------------------------------------------------------

const TICK_ROWS = 50;
const SPARK_BARS = 40;
const LATE_MS = 1500;

const events = {
  panel: byId("events"),
  pill: byId("events-state"),
  toggle: byId("events-toggle"),
  count: byId("events-count"),
  log: byId("events-log"),
  source: null,
  opened: false,
  lastAt: null,
  received: 0,
  reconnections: 0,
  intervals: [],
};

function setEventsState(state) {
  showState(events.panel, events.pill, state);
  events.toggle.textContent = events.source ? "Stop" : "Start";
}

function startEvents() {
  const source = new EventSource("/api/events");
  events.source = source;
  events.opened = false;
  events.lastAt = null;
  setEventsState("connecting");

  source.addEventListener("open", () => {
    if (events.opened) {
      events.reconnections += 1;
      byId("events-reconnections").textContent = String(events.reconnections);
    }
    events.opened = true;
    setEventsState("open");
  });

  source.addEventListener("tick", (event) => showTick(event.data));

  source.addEventListener("error", () => {
    // CONNECTING: the stream broke, and the browser will try again. CLOSED: the answer was not an
    // event stream.
    if (source.readyState === EventSource.CLOSED) {
      events.source = null;
      setEventsState("closed");
    } else {
      setEventsState(events.opened ? "reconnecting" : "connecting");
    }
  });
}

function stopEvents() {
  events.source.close();
  events.source = null;
  setEventsState("closed");
}

function showTick(data) {
  const now = performance.now();
  const interval = events.lastAt === null ? null : now - events.lastAt;
  events.lastAt = now;
  events.received += 1;

  events.count.textContent = data;
  events.count.dataset.beat = String(events.received % 2);
  byId("events-received").textContent = String(events.received);

  const row = element("li");
  row.dataset.value = data;
  row.append(element("time", "", clock()));
  if (interval !== null) {
    const text = `${(interval / 1000).toFixed(3)} s`;
    byId("events-interval").textContent = text;
    row.append(element("span", interval > LATE_MS ? "gap" : "", `+${text}`));
    drawInterval(interval);
  }
  row.append(element("span", "value", data));
  prepend(events.log, row, TICK_ROWS);
}

// One bar for each interval, full height at 3 s: a steady second is a third, and a reconnection is
// easy to see.
function drawInterval(interval) {
  events.intervals.push(interval);
  if (events.intervals.length > SPARK_BARS) events.intervals.shift();
  const step = 240 / SPARK_BARS;
  const first = SPARK_BARS - events.intervals.length;
  const bars = events.intervals.map((ms, index) => {
    const height = 40 * Math.min(1, ms / 3000);
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    bar.setAttribute("x", String((first + index) * step + 1));
    bar.setAttribute("y", String(40 - height));
    bar.setAttribute("width", String(step - 2));
    bar.setAttribute("height", String(height));
    if (ms > LATE_MS) bar.setAttribute("class", "late");
    return bar;
  });
  byId("events-spark").replaceChildren(...bars);
}

events.toggle.addEventListener("click", () => (events.source ? stopEvents() : startEvents()));

// ---- WebSocket console -------------------------------------------------------------------------

const LOG_ROWS = 200;
const PREVIEW_CHARS = 300;
const PENDING_MESSAGES = 64;
const PENDING_BYTES = 64 * 1024 * 1024;
const REASON_BYTES = 123; // A close frame holds 125 bytes, two of them the code (RFC 6455 §5.5.1).

const utf8 = new TextEncoder();

const ws = {
  panel: byId("ws"),
  pill: byId("ws-state"),
  toggle: byId("ws-toggle"),
  controls: byId("ws-controls"),
  log: byId("ws-log"),
  problem: byId("ws-problem"),
  url: `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/api/ws`,
  socket: null,
  pending: [], // Sent and not yet echoed, oldest first: an echo answers in order.
  pendingBytes: 0,
};

function setWsState(state) {
  const open = state === "open";
  const hadFocus = ws.controls.contains(document.activeElement);
  showState(ws.panel, ws.pill, state);
  ws.controls.disabled = !open;
  ws.toggle.textContent = { closed: "Connect", connecting: "Cancel", open: "Disconnect", closing: "Closing" }[state];
  ws.toggle.classList.toggle("primary", state === "closed");
  // A disabled control loses the focus. The keyboard focus moves to the button that connects again.
  if (!open && hadFocus) ws.toggle.focus();
}

function complain(text) {
  ws.problem.textContent = text;
  ws.problem.hidden = text === "";
}

function logRow(kind, what, facts) {
  const row = element("li");
  row.dataset.kind = kind;
  row.append(element("time", "", clock()), element("span", "kind", kind), element("span", "what", what));
  const cell = element("span", "facts");
  cell.append(...facts);
  row.append(cell);
  prepend(ws.log, row, LOG_ROWS);
  return row;
}

function connect() {
  complain("");
  const socket = new WebSocket(ws.url);
  socket.binaryType = "arraybuffer";
  ws.socket = socket;
  ws.pending = [];
  ws.pendingBytes = 0;
  setWsState("connecting");
  const started = performance.now();

  socket.addEventListener("open", () => {
    setWsState("open");
    logRow("open", ws.url, [formatMs(performance.now() - started)]);
  });
  socket.addEventListener("message", (event) => showEcho(event.data));
  socket.addEventListener("error", () => logRow("error", "the connection failed; the close event tells more", []));
  socket.addEventListener("close", (event) => {
    ws.socket = null;
    setWsState("closed");
    showClose(event);
  });
}

function formatMs(ms) {
  return ms < 10 ? `${ms.toFixed(2)} ms` : `${ms.toFixed(1)} ms`;
}

function preview(text) {
  // A code point takes one or two units of a string.
  const points = Array.from(text.slice(0, 2 * PREVIEW_CHARS + 2));
  return points.length > PREVIEW_CHARS ? `${points.slice(0, PREVIEW_CHARS).join("")}…` : text;
}

function hex(bytes) {
  const head = Array.from(bytes.subarray(0, 6), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return bytes.length > 6 ? `${head} …` : head;
}

// Returns whether the message went out. `payload` is a string or a Uint8Array.
function send(payload, label) {
  complain("");
  if (!ws.socket || ws.socket.readyState !== WebSocket.OPEN) {
    complain("Not connected.");
    return false;
  }
  const bytes = typeof payload === "string" ? utf8.encode(payload).length : payload.length;
  if (ws.pending.length >= PENDING_MESSAGES || ws.pendingBytes + bytes > PENDING_BYTES) {
    complain(`Still waiting for ${ws.pending.length} echoes; send again when they are back.`);
    return false;
  }
  const message = { payload, bytes, sentAt: null };
  const socket = ws.socket;
  ws.pending.push(message);
  ws.pendingBytes += bytes;
  logRow("sent", label, [formatBytes(bytes)]).dataset.bytes = String(bytes);
  afterPaint(() => {
    message.sentAt = performance.now();
    socket.send(payload);
  });
  return true;
}

// Delays a send until the page has drawn the click and the new row. Drawing takes longer than an
// echo over loopback, and would count in the echo's round-trip time.
function afterPaint(action) {
  requestAnimationFrame(() => setTimeout(action));
}

function showEcho(data) {
  const now = performance.now();
  const isText = typeof data === "string";
  const payload = isText ? data : new Uint8Array(data);
  const bytes = isText ? utf8.encode(data).length : payload.length;
  const what = isText ? preview(data) : hex(payload);

  if (ws.pending.length === 0 || ws.pending[0].sentAt === null) {
    logRow("echo", what, [`${formatBytes(bytes)} · nothing was sent for it`]);
    return;
  }
  const sent = ws.pending.shift();
  ws.pendingBytes -= sent.bytes;
  const same = identical(sent.payload, payload);
  const verdict = element("span", same ? "same" : "differs", same ? "identical" : "differs");
  const row = logRow("echo", what, [`${formatBytes(bytes)} · `, verdict, ` · ${formatMs(now - sent.sentAt)}`]);
  row.dataset.bytes = String(bytes);
  row.dataset.type = isText ? "text" : "binary";
  row.dataset.identical = String(same);
  row.dataset.ms = String(now - sent.sentAt);
}

function identical(a, b) {
  if (typeof a === "string" || typeof b === "string") return a === b;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i += 1) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}

function showClose(event) {
  const reason = event.reason === "" ? "no reason" : `reason “${event.reason}”`;
  const missing = ws.pending.length === 0 ? "" : ` · without their echo: ${ws.pending.length}`;
  const clean = event.wasClean ? "clean" : "not clean";
  const row = logRow("close", `code ${event.code} · ${reason}${missing}`, [clean]);
  row.dataset.code = String(event.code);
  row.dataset.reason = event.reason;
  row.dataset.clean = String(event.wasClean);
  ws.pending = [];
  ws.pendingBytes = 0;
}

function closeSocket(code, reason) {
  complain("");
  if (!(code === 1000 || (code >= 3000 && code <= 4999)) || !Number.isInteger(code)) {
    complain("The code must be 1000 or from 3000 to 4999: a browser sends no other.");
    byId("ws-code").focus();
    return;
  }
  const bytes = utf8.encode(reason).length;
  if (bytes > REASON_BYTES) {
    complain(`The reason is ${bytes} bytes long; a close frame has room for ${REASON_BYTES}.`);
    byId("ws-reason").focus();
    return;
  }
  shut(code, reason);
}

// Waits like `send`, so that no close overtakes a message.
function shut(code, reason) {
  const socket = ws.socket;
  setWsState("closing");
  afterPaint(() => socket.close(code, reason));
}

ws.toggle.addEventListener("click", () => {
  if (ws.socket) shut(1000, "");
  else connect();
});

byId("ws-text-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = byId("ws-text");
  if (send(input.value, preview(input.value))) input.select();
});

byId("ws-file-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = byId("ws-file").files[0];
  if (file === undefined) {
    complain("Choose a file first.");
    byId("ws-file").focus();
    return;
  }
  if (file.size > PENDING_BYTES) {
    complain(`${file.name} has ${formatBytes(file.size)}; this page sends up to ${formatBytes(PENDING_BYTES)}.`);
    return;
  }
  try {
    send(new Uint8Array(await file.arrayBuffer()), file.name);
  } catch (error) {
    complain(`${file.name} cannot be read: ${error.message}`);
  }
});

byId("ws-send-random").addEventListener("click", () => {
  const bytes = new Uint8Array(1024 * 1024);
  // The browser fills at most 64 KiB at a time.
  for (let at = 0; at < bytes.length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  send(bytes, "random bytes");
});

byId("ws-close-form").addEventListener("submit", (event) => {
  event.preventDefault();
  closeSocket(Number(byId("ws-code").value.trim() || NaN), byId("ws-reason").value);
});

byId("ws-clear").addEventListener("click", () => ws.log.replaceChildren());

// ---- Start -------------------------------------------------------------------------------------

byId("ws-url").textContent = ws.url;
for (const node of document.querySelectorAll(".origin")) node.textContent = location.origin;
startEvents();
