// Headless Chromium, through each proxy's TLS and HTTP/2: the page, event streams and WebSockets,
// and a server that is away while an EventSource wants to reconnect. browser.py starts the proxies
// and counts the lines.

import { createWriteStream, readFileSync, rmSync } from "node:fs";
import { chromium } from "playwright-core";
import { WAIT_MS, assert, assertEqual, check, counts, kill, start, within } from "../browser/harness.mjs";

const places = JSON.parse(process.argv[2]);
const origins = Object.entries(places.origins);
const CLOSED = 2; // EventSource.CLOSED
const log = createWriteStream(places.log, { flags: "a" });

function startServer() {
  rmSync(places.path, { force: true });
  const [program, ...words] = places.server;
  return start(program, words, "stdout", /^listening$/m, log);
}

let server = await startServer();
const browser = await chromium.launchPersistentContext(places.profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  ignoreHTTPSErrors: true,
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
  timeout: 60_000,
});
// Also long enough for a busy machine.
browser.setDefaultTimeout(50_000);
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, async () => {
    await within(5_000, browser.close(), "the browser's end").catch(() => {});
    process.exit(1);
  });
}

// The number of established connections from this machine's clients to the proxy, from lines of
// proc(5)'s /proc/net/tcp.
function connections(origin) {
  const port = Number(new URL(origin).port).toString(16).toUpperCase().padStart(4, "0");
  const lines = readFileSync("/proc/net/tcp", "utf8").split("\n").map((line) => line.trim().split(/\s+/));
  return lines.filter(([, , remote, state]) => remote === `0100007F:${port}` && state === "01").length;
}

// A page of the proxy's origin that itself does nothing, and the HTTP version of its requests.
async function plainPage(origin) {
  const page = await browser.newPage();
  const protocols = new Map();
  const session = await browser.newCDPSession(page);
  session.on("Network.responseReceived", ({ response }) => {
    protocols.set(new URL(response.url).pathname, response.protocol);
  });
  await session.send("Network.enable");
  await page.goto(`${origin}/api/health`);
  return { page, protocols };
}

async function passes(kind, origin) {
  await check(`${kind} in Chromium: the demo's page over HTTP/2, with its event stream and its WebSocket`, async () => {
    const page = await browser.newPage();
    const complaints = [];
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(`${origin}/`, { waitUntil: "load" });
    await page.waitForFunction(() => /^[1-9]/.test(document.querySelector("#events-count").textContent));
    await page.locator("#ws-toggle").click();
    await page.locator('#ws[data-state="open"]').waitFor();
    await page.locator("#ws-send-text").click();
    await page.locator('#ws-log li[data-kind="echo"][data-identical="true"]').waitFor();
    const protocols = await page.evaluate(() => performance.getEntries().map((e) => e.nextHopProtocol).filter(Boolean));
    assertEqual([...new Set(protocols)], ["h2"], "protocols of the page and its parts");
    assertEqual(complaints, [], "the console");
    await page.close();
    return `${protocols.length} answers`;
  });

  await check(`${kind} in Chromium: eight event streams at a time, which HTTP/1.1 would not have`, async () => {
    const { page, protocols } = await plainPage(origin);
    const openAll = () =>
      page.evaluate(
        () =>
          new Promise((resolve, reject) => {
            const begun = performance.now();
            let open = 0;
            const sources = Array.from({ length: 8 }, () => new EventSource("/api/events"));
            const end = (finish, value) => {
              for (const source of sources) source.close();
              finish(value);
            };
            for (const source of sources) {
              const tick = () => ++open === 8 && end(resolve, performance.now() - begun);
              source.addEventListener("tick", tick, { once: true });
              source.onerror = () => end(reject, new Error("an error of an EventSource"));
            }
          }),
      );
    // Buffered events are late each time; if they are late only once, the machine may be busy.
    let first = await openAll();
    for (let tries = 1; tries < 5 && first >= 1000; tries += 1) first = await openAll();
    assertEqual(protocols.get("/api/events"), "h2", "protocol");
    assert(first < 1000, `the first ticks took ${first} ms`);
    await page.close();
    return `the first tick of the last after ${Math.round(first)} ms`;
  });

  const where = kind === "HAProxy" ? "within" : "beside";
  await check(`${kind} in Chromium: a WebSocket by wss, ${where} the HTTP/2 connection, compressed`, async () => {
    const { page } = await plainPage(origin);
    await page.evaluate(() => fetch("/api/health"));
    const before = connections(origin);
    const echoed = await page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const socket = (window.socket = new WebSocket(`wss://${location.host}/api/ws`));
          socket.onopen = () => socket.send("grüße");
          socket.onmessage = (event) => resolve(event.data);
          socket.onclose = (event) => reject(new Error(`closed with ${event.code}`));
        }),
    );
    const after = connections(origin);
    assertEqual(echoed, "grüße", "the echo");
    // RFC 8441, where the proxy announces it.
    assertEqual(after - before, kind === "HAProxy" ? 0 : 1, `connections, from ${before} to ${after}`);
    const extensions = await page.evaluate(() => window.socket.extensions);
    assert(extensions.startsWith("permessage-deflate"), `extensions: ${extensions}`);
    const code = await page.evaluate(
      () =>
        new Promise((resolve) => {
          window.socket.onclose = (event) => resolve([event.code, event.reason, event.wasClean]);
          window.socket.close(3000, "bye");
        }),
    );
    assertEqual(code, [3000, "bye", true], "the close");
    await page.close();
    return `connections to the proxy: ${before}, then ${after}`;
  });

  await check(`${kind} in Chromium: the page's own origin is admitted, that of another page is not`, async () => {
    const outcomes = [];
    for (const from of [origin, places.unmapped]) {
      const { page } = await plainPage(from);
      const join = (url) =>
        new Promise((resolve) => {
          const socket = new WebSocket(url);
          socket.onopen = () => resolve("open");
          socket.onerror = () => resolve("refused");
        });
      outcomes.push(await page.evaluate(join, `${origin.replace("https:", "wss:")}/api/chat?name=x`));
      await page.close();
    }
    assertEqual(outcomes, ["open", "refused"], "its own, and another's");
  });
}

async function watchStreams(origin) {
  const { page } = await plainPage(origin);
  await page.evaluate(() => {
    window.seen = {};
    for (const [path, name] of [["/api/events", "tick"], ["/api/stats", "stats"]]) {
      const source = new EventSource(path);
      const seen = (window.seen[path] = { source, events: 0, errors: 0 });
      source.addEventListener(name, () => (seen.events += 1));
      source.onerror = () => (seen.errors += 1);
    }
  });
  const look = () =>
    page.evaluate(() =>
      Object.values(window.seen).map(({ source, events, errors }) => ({ state: source.readyState, events, errors })),
    );
  // Waits until this holds for each of them.
  const all = (condition) =>
    page.waitForFunction((text) => Object.values(window.seen).every(new Function("s", `return ${text}`)), condition);
  await all("s.events > 0");
  return { page, look, all };
}

for (const [kind, origin] of origins) await passes(kind, origin);

const watched = await Promise.all(origins.map(async ([kind, origin]) => ({ kind, ...(await watchStreams(origin)) })));
const unmapped = await watchStreams(places.unmapped);
await kill(server);
const away = watched.map(({ kind, look, all }) =>
  check(`${kind} in Chromium: an EventSource that finds no server, again and again, goes on trying`, async () => {
    await all("s.errors >= 3");
    const seen = await look();
    assert(seen.every(({ state }) => state !== CLOSED), JSON.stringify(seen));
    return `errors: ${seen.map(({ errors }) => errors).join(", ")}`;
  }),
);
away.push(
  check("nginx without error_page in Chromium: an EventSource gives up at 502", async () => {
    await unmapped.all(`s.source.readyState === ${CLOSED}`);
  }),
);
await Promise.all(away);
server = await startServer();
await Promise.all(
  watched.map(({ kind, page, look, all }) =>
    check(`${kind} in Chromium: and has its events when the server is back`, async () => {
      await page.evaluate(() => Object.values(window.seen).forEach((seen) => (seen.events = 0)));
      const begun = performance.now();
      await all("s.events >= 2");
      const seen = await look();
      assert(seen.every(({ state }) => state === 1), JSON.stringify(seen));
      return `${((performance.now() - begun) / 1000).toFixed(1)} s`;
    }),
  ),
);

await within(WAIT_MS, browser.close(), "the browser's end");
await kill(server);
process.exit(counts.failed ? 1 : 0);
