// Headless Chromium over TLS: the page's requests, event streams and WebSockets.

import { chromium } from "playwright-core";
import { WAIT_MS, assertEqual, check, counts, within } from "../browser/harness.mjs";

const { origin, plain, chromium: executablePath, profile, layer } = JSON.parse(process.argv[2]);
const browser = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  // The run's CA is not the browser's.
  ignoreHTTPSErrors: true,
  args: [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
  timeout: 60_000,
});
browser.setDefaultTimeout(50_000);
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, async () => {
    await within(5_000, browser.close(), "the browser's end").catch(() => {});
    process.exit(1);
  });
}
const page = await browser.newPage();
await page.goto(`${origin}/`);

await check(`${layer}, Chromium: requests and an upload`, async () => {
  const got = await page.evaluate(async () => {
    const body = new Uint8Array(3_000_000).map((_, at) => at % 251);
    const answer = await fetch("/echo", { method: "POST", body });
    const echoed = new Uint8Array(await answer.arrayBuffer());
    const same = echoed.length === body.length && echoed.every((byte, at) => byte === body[at]);
    const texts = await Promise.all(Array.from({ length: 20 }, async () => (await fetch("/tls")).text()));
    const entries = performance.getEntriesByType("resource").map((entry) => entry.nextHopProtocol);
    return { same, texts: [...new Set(texts)].length, secure: isSecureContext, protocols: [...new Set(entries)] };
  });
  assertEqual(got, { same: true, texts: 1, secure: true, protocols: ["http/1.1"] }, "what the page saw");
});

await check(`${layer}, Chromium: an EventSource whose stream ends, and which comes again`, async () => {
  const ticks = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const [source, seen] = [new EventSource("/ticks"), []];
        source.addEventListener("tick", (event) => {
          seen.push(event.data);
          if (seen.length < 10) return;
          source.close();
          resolve(seen);
        });
      }),
  );
  assertEqual(ticks, ["1", "2", "3", "4", "5", "1", "2", "3", "4", "5"], "ticks");
});

await check(`${layer}, Chromium: a parked EventSource gets each push`, async () => {
  await page.evaluate(
    () =>
      new Promise((resolve) => {
        window.news = [];
        window.source = new EventSource("/news");
        source.addEventListener("news", (event) => news.push(event.data));
        source.onopen = resolve;
      }),
  );
  for (let n = 1; n <= 10; n += 1) {
    await fetch(`${plain}/news`, { method: "POST", body: `push ${n}` });
    await page.waitForFunction((n) => window.news.length === n, n);
  }
  const news = await page.evaluate(() => {
    source.close();
    return news;
  });
  assertEqual(news, Array.from({ length: 10 }, (_, n) => `push ${n + 1}`), "news");
});

await check(`${layer}, Chromium: wss:// echoes 1 MB, while ten threads send, and closes cleanly`, async () => {
  const got = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const socket = new WebSocket(`${location.origin.replace("https", "wss")}/ws/senders`);
        const long = "0123456789".repeat(100_000);
        let [count, echoed] = [0, 0];
        socket.onopen = () => {
          socket.send("100 1000");
          for (let n = 0; n < 5; n += 1) socket.send(long);
        };
        socket.onmessage = ({ data }) => {
          if (data === long) echoed += 1;
          else if (/^\d 1?\d?\d ([a-z])\1{500,999}$/.test(data)) count += 1;
          if (echoed === 5 && count === 1000) socket.close(4000, "that is all");
        };
        socket.onclose = ({ code, reason, wasClean }) => resolve({ count, echoed, code, reason, wasClean });
      }),
  );
  const right = { count: 1000, echoed: 5, code: 4000, reason: "that is all", wasClean: true };
  assertEqual(got, right, "what the page saw");
});

await within(WAIT_MS, browser.close(), "the browser's end");
process.exit(counts.failed ? 1 : 0);
