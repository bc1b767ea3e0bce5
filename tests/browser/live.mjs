// The live panels: the server's numbers, two pages that chat, and a client whose server is killed.

import path from "node:path";
import { RECONNECT_MS, assert, assertEqual, check } from "./harness.mjs";

const KEYS = [
  "connections",
  "subscribers",
  "requests_per_s",
  "deliveries_per_s",
  "bytes_received_per_s",
  "bytes_sent_per_s",
  "threads",
  "memory_bytes",
];

const rows = (page) =>
  page.locator('#chat-log li[data-kind="message"]').evaluateAll((all) =>
    all.map((row) => [
      row.querySelector(".who").textContent,
      row.querySelector(".said").textContent,
      [...row.querySelectorAll(".way")].map((way) => way.textContent).sort().join(" "),
    ]),
  );

async function enter(page, name) {
  await page.fill("#chat-name", name);
  await page.press("#chat-name", "Enter");
  await page.locator('#chat-state[data-state="in the room"]').waitFor();
}

async function say(page, text) {
  await page.fill("#chat-text", text);
  await page.press("#chat-text", "Enter");
}

// Waits until the page shows this many messages, each received both ways.
const shown = (page, count) => page.waitForFunction(
  (wanted) =>
    [...document.querySelectorAll('#chat-log li[data-kind="message"]')].filter((row) => "sse" in row.dataset && "ws" in row.dataset)
      .length === wanted,
  count,
);

export async function live({ browser, page, origin, watch, state }) {
  await check("/api/stats has the server's numbers as JSON, each second", async () => {
    const samples = await page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const source = new EventSource("/api/stats");
          const samples = [];
          setTimeout(() => reject(new Error(`only ${samples.length} samples in time`)), 15_000);
          source.addEventListener("stats", (event) => {
            samples.push(JSON.parse(event.data));
            if (samples.length < 4) return;
            source.close();
            resolve(samples);
          });
        }),
    );
    for (const sample of samples) assertEqual(Object.keys(sample), ["at", ...KEYS, "latency"], "keys");
    const last = samples.at(-1);
    for (const key of KEYS) assert(Number.isInteger(last[key]) && last[key] >= 0, `${key} is ${last[key]}`);
    // The first one may be old; after it one comes each second.
    const pauses = samples.slice(2).map((sample, i) => sample.at - samples[i + 1].at);
    assert(pauses.every((ms) => ms > 800 && ms < 1500), `not each second: ${pauses} ms apart`);
    assert(last.subscribers >= 2 && last.connections >= 2, `the page and this stream are not counted: ${JSON.stringify(last)}`);
    assert(last.memory_bytes > 500_000, `memory is ${last.memory_bytes}`);
  });

  await check("page: the server's numbers arrive and are drawn, with figures beside", async () => {
    await state("#server-state", "open");
    await page.waitForFunction(() => Number(document.querySelector("#server").dataset.samples) >= 4);
    const tiles = await page.locator("#server-tiles .tile").evaluateAll((all) =>
      all.map((tile) => ({
        key: tile.dataset.key,
        value: tile.querySelector(".value").textContent,
        peak: tile.querySelector(".peak").textContent,
        points: (tile.querySelector(".line").getAttribute("d") ?? "").split("L").length,
        hidden: tile.querySelector("svg").getAttribute("aria-hidden"),
      })),
    );
    assertEqual(tiles.map((tile) => tile.key), KEYS, "tiles");
    for (const { key, value, peak, points, hidden } of tiles) {
      assert(/^[\d.,]+( (B|KiB|MiB))?(\/s)?$/.test(value), `${key} shows ${value}`);
      assert(/^peak \d/.test(peak), `${key} has ${peak}`);
      assert(points >= 3, `${key} has ${points} points`);
      assertEqual(hidden, "true", `${key}: the plot beside its figures is hidden from a screen reader`);
    }
  });

  const other = await browser.newPage();
  watch(other);
  await other.goto(`${origin}/`);

  await check("page: two pages chat, by WebSocket and by event stream", async () => {
    await enter(page, "Ann");
    await enter(other, "Ben 🦀");
    for (const one of [page, other]) {
      await one.waitForFunction(() => {
        const { inRoom, following } = document.querySelector("#chat-people").dataset;
        return inRoom === "2" && following === "2";
      });
    }
    await say(page, "Hello, Ben");
    await shown(other, 1);
    await say(other, "Hello, Ann 👋🏽");
    await shown(page, 2);
    for (const one of [page, other]) {
      assertEqual(await rows(one), [["Ann", "Hello, Ben", "SSE WS"], ["Ben 🦀", "Hello, Ann 👋🏽", "SSE WS"]], "rows");
    }
  });

  await check("page: markup, quotes, emoji and long text are shown as they were said", async () => {
    const texts = ['<b>bold?</b> <img src=x onerror="alert(1)">', '"quotes" \\ and \\u0041 {"a":1}', "👩‍👩‍👧‍👦 日本語 🦀", "x".repeat(500)];
    for (const text of texts) await say(page, text);
    await shown(other, 6);
    await shown(page, 6);
    for (const one of [page, other]) {
      assertEqual((await rows(one)).slice(2).map(([, said]) => said), texts, "said");
      assertEqual(await one.locator("#chat-log b, #chat-log img").count(), 0, "elements made of text");
      const wide = await one.evaluate(() => document.scrollingElement.scrollWidth - window.innerWidth);
      assert(wide <= 0, `${wide} pixels too wide`);
    }
  });

  // Text for the screenshots, and as much again.
  const talk = [
    [other, "One event, encoded once, to every socket."],
    [page, "And if I lose the connection?"],
    [other, "Then your browser comes back with Last-Event-ID, and gets what it missed."],
    [page, "👍"],
  ];
  for (const [i, [one, text]] of talk.entries()) {
    await say(one, text);
    await shown(page, 7 + i);
    await shown(other, 7 + i);
  }

  await check("chat: what is not valid is told to its client alone", async () => {
    const told = await page.evaluate(async () => {
      const talk = (name, payloads) =>
        new Promise((resolve) => {
          const socket = new WebSocket(`ws://${location.host}/api/chat?name=${encodeURIComponent(name)}`);
          const got = [];
          socket.onopen = () => payloads.forEach((payload) => socket.send(payload));
          socket.onmessage = ({ data }) => {
            got.push(JSON.parse(data).error ?? data);
            if (got.length === payloads.length) socket.close();
          };
          socket.onclose = ({ code }) => resolve([got, code]);
        });
      return [await talk("Eve", ["x".repeat(501), "  ", new Uint8Array([1])]), await talk("x".repeat(31), []), await talk("", [])];
    });
    assertEqual(
      told,
      [
        [["a message has 500 characters at most", "a message is not empty", "a message is text"], 1005],
        [["a name has 30 characters at most"], 1008],
        [["a name is missing: /api/chat?name=…"], 1008],
      ],
      "errors and close codes",
    );
    assertEqual((await rows(other)).length, 10, "rows of the other page");
    assertEqual(await page.locator("#chat-problem").isVisible(), false, "a problem is shown where there is none");
  });

  await check("page: Leave leaves, and all see it", async () => {
    await other.click("#chat-toggle");
    await other.locator('#chat-state[data-state="following"]').waitFor();
    await page.waitForFunction(() => document.querySelector("#chat-people").dataset.inRoom === "1");
    await say(page, "Still there?");
    await other.locator('#chat-log li[data-kind="message"]').nth(10).waitFor();
    assertEqual((await rows(other)).at(-1), ["Ann", "Still there?", "SSE"], "the row of one who follows");
    await other.close();
    // The server notices at its sweep of idle subscribers.
    await page.waitForFunction(() => document.querySelector("#chat-people").dataset.following === "1");
  });
}

// The server is killed in the middle of the stream. Restarted, it knows nothing of the past, and
// must tell the client so.
export async function lostAndTold({ page, out, state, down, killServer, startServer }) {
  await check("killed mid-stream and started clean: the client sees a reset, once, and goes on", async () => {
    await page.evaluate(() => {
      const source = new EventSource("/api/live");
      window.probe = { source, events: [] };
      for (const type of ["stats", "chat", "people", "reset"]) {
        source.addEventListener(type, (event) => window.probe.events.push([type, event.lastEventId, event.data]));
      }
    });
    if ((await page.locator("#chat-toggle").textContent()) === "Join") await enter(page, "Ann");
    const resetsBefore = await page.locator('#chat-log li[data-kind="reset"]').count();
    await say(page, "before the crash");
    await page.waitForFunction(() => window.probe.events.filter(([type]) => type === "stats").length >= 2);
    await page.waitForFunction(() => window.probe.events.some(([type, , data]) => type === "chat" && data.includes("before the crash")));
    const before = await page.evaluate(() => window.probe.events.length);

    down(true);
    await killServer();
    await state("#server-state", "reconnecting");
    await state("#chat-state", "reconnecting");
    await startServer();
    await state("#server-state", "open", RECONNECT_MS);
    await state("#chat-state", "in the room", RECONNECT_MS);
    down(false);

    await page.waitForFunction(() => window.probe.events.some(([type]) => type === "reset"), null, { timeout: RECONNECT_MS });
    await say(page, "after the crash");
    await page.waitForFunction(() => window.probe.events.some(([type, , data]) => type === "chat" && data.includes("after the crash")));
    const events = await page.evaluate(() => {
      window.probe.source.close();
      return window.probe.events;
    });
    const number = (id) => id.split("-").map(Number);
    const behind = ([a, b], [c, d]) => a > c || (a === c && b > d);
    const order = events.every(
      ([, id], i) => i === 0 || id === events[i - 1][1] || behind(number(id), number(events[i - 1][1])),
    );
    assert(order, `ids go back: ${JSON.stringify(events.map(([type, id]) => [type, id]))}`);
    const resets = events.map(([type], i) => (type === "reset" ? i : -1)).filter((i) => i >= 0);
    assertEqual(resets.length, 1, "resets");
    assert(resets[0] >= before, "the reset came before the crash");
    const said = events.filter(([type]) => type === "chat").map(([, , data]) => JSON.parse(data).text);
    assertEqual(said, ["before the crash", "after the crash"], "what was said");
    const shown = await page.locator('#chat-log li[data-kind="reset"]').count();
    assertEqual(shown - resetsBefore, 1, "rows that tell of it");
    await page.locator("#chat").screenshot({ path: path.join(out, "reset.png"), animations: "disabled" });
    return `last id before ${events[before - 1][1]}, the reset's ${events[resets[0]][1]}`;
  });
}
