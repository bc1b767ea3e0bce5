// Drives the demo in headless Chromium: first the APIs, then the page's own controls, then the
// parts in the other files. Each check prints a line; the last line counts them. Every wait has a
// deadline.

import { randomBytes } from "node:crypto";
import { createWriteStream, rmSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { eventSource } from "./event_source.mjs";
import { files } from "./files.mjs";
import { RECONNECT_MS, WAIT_MS, assert, assertEqual, check, counts, kill, start, within } from "./harness.mjs";
import { live, lostAndTold } from "./live.mjs";
import { look } from "./look.mjs";
import { sseTable } from "./sse_table.mjs";
import { tables } from "./tables.mjs";
import { transfer } from "./transfer.mjs";
import { twoNodes } from "./two_nodes.mjs";

const { values: args } = parseArgs({
  options: {
    server: { type: "string" },
    chromium: { type: "string" },
    profile: { type: "string" },
    out: { type: "string" },
    examples: { type: "string" },
    files: { type: "string" },
  },
});

// ---- The server ---------------------------------------------------------------------------------

const log = createWriteStream(path.join(args.out, "server.log"));
let server = null;

// Resolves once the demo has printed its address.
function demo(port, ...options) {
  const said = /akurai-server listening on http:\/\/127\.0\.0\.1:(\d+)\s/;
  return start(args.server, ["--addr", `127.0.0.1:${port}`, ...options], "stderr", said, log);
}

async function startServer(port) {
  server = await demo(port);
  return Number(server.match[1]);
}

const killServer = () => kill(server);

process.on("uncaughtException", (error) => {
  console.log(`not ok - ${error.stack}`);
  console.log(`${counts.passed} passed, ${counts.failed + 1} failed`);
  process.exit(1);
});
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, async () => {
    await within(5_000, browser?.close() ?? Promise.resolve(), "the browser's end").catch(() => {});
    process.exit(1);
  });
}

// ---- The browser --------------------------------------------------------------------------------

let browser = null;
const port = await startServer(0);
const origin = `http://127.0.0.1:${port}`;

rmSync(args.profile, { recursive: true, force: true });
browser = await chromium.launchPersistentContext(args.profile, {
  executablePath: args.chromium,
  headless: true,
  args: [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
  viewport: { width: 1280, height: 900 },
  colorScheme: "light",
  timeout: 60_000,
});
browser.setDefaultTimeout(WAIT_MS);

// The browser may report failed loads only while the server is down.
let serverIsDown = false;
const complaints = [];
const foreign = [];
const hosts = new Set([`127.0.0.1:${port}`]);

function watch(page) {
  page.on("console", (message) => {
    if (!["error", "warning"].includes(message.type())) return;
    const expected = serverIsDown && /net::ERR_|WebSocket connection to/.test(message.text());
    // If a page names no icon, as plain text cannot, the browser asks for this one, which need not
    // exist.
    const icon = new URL(message.location().url || "about:blank").pathname === "/favicon.ico";
    if (!expected && !icon) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("websocket", (socket) => noteHost(socket.url()));
}
function noteHost(address) {
  const url = new URL(address);
  if (!["data:", "blob:", "about:"].includes(url.protocol) && !hosts.has(url.host)) foreign.push(address);
}
browser.on("request", (request) => noteHost(request.url()));

const page = browser.pages()[0] ?? (await browser.newPage());
watch(page);

const text = (selector) => page.locator(selector).textContent();
const state = (selector, wanted, timeout = WAIT_MS) =>
  page.locator(`${selector}[data-state="${wanted}"]`).waitFor({ timeout });
// The console's log shows its newest row first.
const newestRow = (kind) => page.locator(`#ws-log li[data-kind="${kind}"]`).first();

async function echoed(action) {
  const before = await page.locator('#ws-log li[data-kind="echo"]').count();
  await action();
  await page.locator('#ws-log li[data-kind="echo"]').nth(before).waitFor();
  const row = newestRow("echo");
  return {
    identical: await row.getAttribute("data-identical"),
    type: await row.getAttribute("data-type"),
    bytes: Number(await row.getAttribute("data-bytes")),
    ms: Number(await row.getAttribute("data-ms")),
    text: await row.textContent(),
  };
}

// ---- The page and the APIs ----------------------------------------------------------------------

await check("the page loads, with its style and script", async () => {
  const seen = new Map();
  page.on("response", (response) => seen.set(new URL(response.url()).pathname, response));
  const response = await page.goto(`${origin}/`, { waitUntil: "load" });
  assertEqual(response.status(), 200, "status of /");
  for (const [name, type] of [["/", "text/html"], ["/style.css", "text/css"], ["/app.js", "text/javascript"]]) {
    const part = seen.get(name);
    assert(part, `${name} was not asked for`);
    assertEqual(part.status(), 200, `status of ${name}`);
    const contentType = part.headers()["content-type"] ?? "";
    assert(contentType.startsWith(type), `content type of ${name}: ${contentType}`);
  }
});

await check("EventSource delivers three ticks: 1, 2, 3", async () => {
  const ticks = await page.evaluate(
    (deadline) =>
      new Promise((resolve, reject) => {
        const source = new EventSource("/api/events");
        const started = performance.now();
        const ticks = [];
        const end = (settle, value) => {
          source.close();
          settle(value);
        };
        setTimeout(() => end(reject, new Error(`only ${ticks.length} ticks in time`)), deadline);
        source.addEventListener("tick", (event) => {
          ticks.push({ data: event.data, ms: Math.round(performance.now() - started) });
          if (ticks.length === 3) end(resolve, ticks);
        });
      }),
    WAIT_MS,
  );
  assertEqual(ticks.map((tick) => tick.data), ["1", "2", "3"], "data");
  assert(ticks[2].ms - ticks[0].ms >= 1500, `three ticks within ${ticks[2].ms - ticks[0].ms} ms: too fast`);
  return `after ${ticks.map((tick) => tick.ms).join(", ")} ms`;
});

// Runs in the page: opens a socket, sends each payload and awaits its echo, closes, and returns
// what came. A payload is { text }, or { bytes: count } with a pattern that equals no shift of
// itself.
function converse({ payloads, code, reason, deadline }) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${location.host}/api/ws`);
    socket.binaryType = "arraybuffer";
    const results = [];
    let [next, extensions] = [0, null];
    let sent;
    setTimeout(() => reject(new Error(`only ${results.length} echoes in time`)), deadline);

    const step = () => {
      if (next === payloads.length) {
        if (code === undefined) socket.close();
        else socket.close(code, reason);
        return;
      }
      const payload = payloads[next];
      if (payload.text !== undefined) {
        sent = payload.text;
      } else {
        sent = new Uint8Array(payload.bytes);
        let seed = 0x9e3779b9;
        for (let i = 0; i < sent.length; i += 1) {
          seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
          sent[i] = seed >>> 24;
        }
      }
      next += 1;
      socket.send(sent);
    };
    socket.onopen = () => {
      extensions = socket.extensions;
      step();
    };
    socket.onmessage = ({ data }) => {
      if (typeof sent === "string") {
        results.push({ same: data === sent, length: data.length });
      } else {
        const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : null;
        const same = bytes !== null && bytes.length === sent.length && bytes.every((byte, i) => byte === sent[i]);
        results.push({ same, length: bytes?.length ?? -1 });
      }
      step();
    };
    socket.onclose = (event) =>
      resolve({ results, extensions, code: event.code, reason: event.reason, wasClean: event.wasClean });
  });
}

await check("WebSocket echoes text with emoji", async () => {
  const payloads = ["Grüße 👋🏽", "👩‍👩‍👧‍👦 日本語 🦀", "\u0000\ufeff\u2028\u{10ffff}", "🦀".repeat(20_000)].map((text) => ({ text }));
  const told = await page.evaluate(converse, { payloads, deadline: WAIT_MS });
  assertEqual(told.results.map((result) => result.same), payloads.map(() => true), "identical");
});

await check("WebSocket negotiates permessage-deflate, and echoes text of 3 and of 1,048,576 characters", async () => {
  const line = "GET /api/events HTTP/1.1 Grüße 🦀\n";
  const payloads = [{ text: "abc" }, { text: line.repeat(40_000).slice(0, 1024 * 1024) }, { bytes: 100_000 }];
  const told = await page.evaluate(converse, { payloads, deadline: WAIT_MS });
  assertEqual(told.results.map((result) => result.same), [true, true, true], "identical");
  assertEqual(told.extensions.split("; ")[0], "permessage-deflate", "extensions");
  return told.extensions;
});

await check("WebSocket echoes 1 MiB of binary, byte for byte", async () => {
  const told = await page.evaluate(converse, { payloads: [{ bytes: 1024 * 1024 }], deadline: WAIT_MS });
  assertEqual(told.results, [{ same: true, length: 1024 * 1024 }], "echo");
});

await check("WebSocket echoes binary at the lengths where the frame head changes", async () => {
  const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537];
  const payloads = lengths.map((bytes) => ({ bytes }));
  const told = await page.evaluate(converse, { payloads: [...payloads, { text: "" }], deadline: WAIT_MS });
  assertEqual(told.results.map((result) => result.same), [...lengths, ""].map(() => true), "identical");
  assertEqual(told.results.map((result) => result.length), [...lengths, 0], "length");
});

await check("close(3000, 'bye') ends clean with 3000", async () => {
  const told = await page.evaluate(converse, {
    payloads: [{ text: "hi" }],
    code: 3000,
    reason: "bye",
    deadline: WAIT_MS,
  });
  assertEqual([told.wasClean, told.code, told.reason], [true, 3000, "bye"], "wasClean, code, reason");
});

await check("close() without a code ends clean with 1005", async () => {
  const told = await page.evaluate(converse, { payloads: [], deadline: WAIT_MS });
  assertEqual([told.wasClean, told.code, told.reason], [true, 1005, ""], "wasClean, code, reason");
});

// ---- The page's own controls --------------------------------------------------------------------

await check("page: ticks are shown, with the state open", async () => {
  await state("#events-state", "open");
  await page.locator("#events-log li").nth(2).waitFor();
  const rows = await page.locator("#events-log li").evaluateAll((all) => all.map((row) => Number(row.dataset.value)));
  assert(rows.every((value, i) => i === 0 || value === rows[i - 1] - 1), `rows out of order: ${rows}`);
  assertEqual(await text("#events-reconnections"), "0", "reconnections");
  assert(Number(await text("#events-count")) >= 3, "the large count is behind");
});

await check("page: Stop closes the stream, Start opens it again", async () => {
  await page.click("#events-toggle");
  await state("#events-state", "closed");
  assertEqual(await text("#events-toggle"), "Start", "the button");
  await page.click("#events-toggle");
  await state("#events-state", "open");
  await page.locator("#events-log li").first().and(page.locator('[data-value="1"]')).waitFor();
});

await check("page: the console connects, by keyboard", async () => {
  assertEqual(await page.isDisabled("#ws-text"), true, "text field disabled before");
  await page.focus("#ws-toggle");
  await page.keyboard.press("Enter");
  await state("#ws-state", "open");
  assertEqual(await page.isDisabled("#ws-text"), false, "text field disabled after");
  assertEqual(await text("#ws-toggle"), "Disconnect", "the button");
});

await check("page: text is sent by Enter and its echo shown", async () => {
  const message = "<b>Grüße</b> 👋🏽 🦀";
  await page.fill("#ws-text", message);
  const echo = await echoed(() => page.press("#ws-text", "Enter"));
  assertEqual([echo.identical, echo.type], ["true", "text"], "identical, type");
  assertEqual(echo.bytes, Buffer.byteLength(message), "bytes");
  assert(echo.text.includes(message), `the row does not show the text as it is: ${echo.text}`);
  return `${echo.ms.toFixed(2)} ms`;
});

await check("page: a file is sent through the file input and its echo is identical", async () => {
  const buffer = randomBytes(300_001);
  await page.setInputFiles("#ws-file", { name: "sample.bin", mimeType: "application/octet-stream", buffer });
  const echo = await echoed(() => page.click("#ws-send-file"));
  assertEqual([echo.identical, echo.type, echo.bytes], ["true", "binary", buffer.length], "identical, type, bytes");
  assert((await newestRow("sent").textContent()).includes("sample.bin"), "the sent row does not name the file");
  return `${echo.ms.toFixed(2)} ms`;
});

await check("page: 1 MiB of random bytes comes back identical", async () => {
  const echo = await echoed(() => page.click("#ws-send-random"));
  assertEqual([echo.identical, echo.type, echo.bytes], ["true", "binary", 1024 * 1024], "identical, type, bytes");
  return `${echo.ms.toFixed(2)} ms`;
});

await check("page: a close code that a browser may not send is refused with a sentence", async () => {
  await page.fill("#ws-code", "1001");
  await page.click("#ws-close");
  assert((await text("#ws-problem")).includes("3000 to 4999"), "no sentence");
  await page.fill("#ws-code", "3000");
  await page.fill("#ws-reason", "é".repeat(62));
  await page.click("#ws-close");
  assert((await text("#ws-problem")).includes("124 bytes"), "no sentence about the reason");
  await state("#ws-state", "open");
});

await check("page: Close with 3000 and 'bye' shows a clean close event", async () => {
  await page.fill("#ws-code", "3000");
  await page.fill("#ws-reason", "bye");
  await page.click("#ws-close");
  await state("#ws-state", "closed");
  const row = newestRow("close");
  const shown = await row.evaluate(({ dataset }) => [dataset.code, dataset.reason, dataset.clean]);
  assertEqual(shown, ["3000", "bye", "true"], "code, reason, clean");
  assertEqual(await page.evaluate(() => document.activeElement.id), "ws-toggle", "focus after the close");
});

await check("page: every panel shows the Rust that serves it", async () => {
  const without = await page.locator("main .panel").evaluateAll((all) =>
    all.filter((panel) => !panel.querySelector("details pre code")?.textContent.includes("(")).map((panel) => panel.id));
  assertEqual(without, [], "without source");
});

await check("page: every control has a name", async () => {
  const nameless = await page.locator("input, button").evaluateAll((all) =>
    all
      .filter((node) => !(node.labels?.length || node.ariaLabel || (node.tagName === "BUTTON" && node.textContent.trim())))
      .map((node) => node.id || node.outerHTML),
  );
  assertEqual(nameless, [], "without a name");
});

const context = { browser, page, origin, out: args.out, watch, state, log, down: (is) => (serverIsDown = is), own: (host) => hosts.add(host) };
await live(context);
await tables(context);
await transfer(context);
await look(context);

await check("screenshots: light, dark, phone", async () => {
  await page.click("#ws-toggle");
  await state("#ws-state", "open");
  await page.fill("#ws-text", "Hello, Akurai 👋");
  await echoed(() => page.click("#ws-send-text"));
  await page.locator("#events-log li").nth(9).waitFor();
  await page.mouse.move(0, 0);
  await page.evaluate(() => document.activeElement.blur());
  const shots = [
    ["light", "light", 1280, 900],
    ["dark", "dark", 1280, 900],
    ["phone", "light", 390, 844],
    ["phone-dark", "dark", 390, 844],
  ];
  for (const [name, colorScheme, width, height] of shots) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: path.join(args.out, `${name}.png`), fullPage: true, animations: "disabled", timeout: WAIT_MS });
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
});

await check("page: the console's log keeps 200 rows", async () => {
  for (let i = 0; i < 110; i += 1) {
    await page.fill("#ws-text", `message ${i}`);
    await page.press("#ws-text", "Enter");
  }
  const last = page.locator('#ws-log li[data-kind="echo"]', { hasText: "message 109" });
  await last.waitFor();
  assertEqual(await page.locator("#ws-log li").count(), 200, "rows");
  assertEqual(await page.locator('#ws-log li[data-identical="false"]').count(), 0, "echoes that differ");
});

// ---- The server goes and comes back -------------------------------------------------------------

await check("EventSource reconnects after the server was killed and started again", async () => {
  await page.evaluate(() => {
    const source = new EventSource("/api/events");
    window.probe = { opens: 0, errors: 0, ticks: [], source };
    source.onopen = () => (window.probe.opens += 1);
    source.onerror = () => (window.probe.errors += 1);
    source.addEventListener("tick", (event) => window.probe.ticks.push([window.probe.opens, event.data]));
  });
  await page.waitForFunction(() => window.probe.ticks.length >= 2);

  serverIsDown = true;
  await killServer();
  await page.waitForFunction(() => window.probe.errors >= 1);
  await state("#events-state", "reconnecting");
  await state("#ws-state", "closed");
  await startServer(port);

  await page.waitForFunction(() => window.probe.opens === 2 && window.probe.ticks.at(-1)[0] === 2, null, {
    timeout: RECONNECT_MS,
  });
  const first = await page.evaluate(() => {
    window.probe.source.close();
    return window.probe.ticks.find(([opens]) => opens === 2)[1];
  });
  assertEqual(first, "1", "the first tick of the new stream");
});

await check("page: it counts the reconnection and shows ticks again", async () => {
  await state("#events-state", "open", RECONNECT_MS);
  serverIsDown = false;
  assertEqual(await text("#events-reconnections"), "1", "reconnections");
  const received = Number(await text("#events-received"));
  await page.waitForFunction((before) => Number(document.querySelector("#events-received").textContent) > before, received);
});

await check("page: the killed connection shows as 1006, not clean; the console connects again", async () => {
  const shown = await newestRow("close").evaluate(({ dataset }) => [dataset.code, dataset.clean]);
  assertEqual(shown, ["1006", "false"], "code, clean");
  await page.click("#ws-clear");
  await page.click("#ws-toggle");
  await state("#ws-state", "open");
  await page.fill("#ws-text", "back again");
  const echo = await echoed(() => page.click("#ws-send-text"));
  assertEqual(echo.identical, "true", "identical");
  await page.click("#ws-toggle");
  await state("#ws-state", "closed");
});

await lostAndTold({ ...context, killServer, startServer: () => startServer(port) });
const example = (name) => ({ ...context, program: path.join(args.examples, name) });
await sseTable(example("sse_table"));
await twoNodes(example("two_nodes"));
await eventSource(example("ticket"));
await files({ ...context, demo, directory: args.files });

await check("no error or warning in the console", async () => assertEqual(complaints, [], "console"));
await check("no request to another host", async () => assertEqual(foreign, [], "requests"));

await within(WAIT_MS, browser.close(), "the browser's end").catch((error) => console.log(String(error)));
await killServer();
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exit(counts.failed === 0 && counts.passed > 0 ? 0 : 1);
