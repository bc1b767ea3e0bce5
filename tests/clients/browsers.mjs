// Firefox by WebDriver BiDi, Chromium by its DevTools protocol, each over its own WebSocket.
// Nothing else watches the page, and nothing copies the page's uploads.

import { createWriteStream, mkdirSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import WebSocket from "ws";
import { WAIT_MS, start, within } from "../browser/harness.mjs";

// The browser sends no requests of its own.
const PREFERENCES = {
  "app.normandy.enabled": false,
  "app.update.disabledForTesting": true,
  "browser.region.network.url": "",
  "browser.safebrowsing.downloads.enabled": false,
  "browser.safebrowsing.malware.enabled": false,
  "browser.safebrowsing.phishing.enabled": false,
  "browser.search.update": false,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.healthreport.uploadEnabled": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "dom.push.connection.enabled": false,
  "extensions.update.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "network.proxy.type": 0,
  "toolkit.telemetry.enabled": false,
};

const SWITCHES = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--no-proxy-server",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// The page's script has run.
const READY = "window.attempt !== undefined";

// Requests and their answers, by number.
class Session {
  constructor(socket) {
    this.socket = socket;
    this.last = 0;
    this.waiting = new Map();
    socket.on("message", (data) => this.answered(JSON.parse(data)));
    socket.on("close", () => {
      for (const { reject } of this.waiting.values()) reject(new Error("the browser ended"));
    });
  }

  answered(message) {
    const waiting = this.waiting.get(message.id);
    if (!waiting) return; // An event.
    this.waiting.delete(message.id);
    if (message.error) waiting.reject(new Error(JSON.stringify(message)));
    else waiting.resolve(message.result);
  }

  ask(method, params, others) {
    const id = (this.last += 1);
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ id, method, params, ...others }));
    });
  }
}

async function launch(program, profile, words, says, path) {
  const log = createWriteStream(`${profile}/browser.log`);
  const { child, exited, match } = await start(program, words, "stderr", says, log);
  const socket = new WebSocket(`${match[1]}${path}`, { maxPayload: 1 << 30 });
  const opened = new Promise((open, reject) => {
    socket.once("open", open);
    socket.once("error", reject);
  });
  await within(WAIT_MS, opened, "the browser's WebSocket");
  const session = new Session(socket);
  const close = async (method) => {
    session.ask(method, {}).catch(() => {});
    await within(WAIT_MS, exited, "the browser's end").catch(() => child.kill("SIGKILL"));
  };
  return { session, close };
}

// The page's answer to an expression, once the requested page is there.
async function ready(evaluate) {
  const isReady = async () => {
    while (!(await evaluate(READY).catch(() => false))) await sleep(20);
  };
  await within(WAIT_MS, isReady(), "the page");
  return async (job) => {
    const attempt = `window.attempt(${JSON.stringify(job)}).then(JSON.stringify)`;
    return JSON.parse(await evaluate(attempt));
  };
}

async function startFirefox(program, profile) {
  const set = ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`;
  writeFileSync(`${profile}/user.js`, Object.entries(PREFERENCES).map(set).join(""));
  const words = ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port=0"];
  const says = /WebDriver BiDi listening on (ws:\/\/\S+)/;
  const { session, close } = await launch(program, profile, words, says, "/session");
  await within(WAIT_MS, session.ask("session.new", { capabilities: {} }), "a session");
  return {
    close: () => close("browser.close"),
    open: async (url) => {
      const { context } = await session.ask("browsingContext.create", { type: "tab" });
      await session.ask("browsingContext.navigate", { context, url, wait: "complete" });
      return ready(async (expression) => {
        const params = { expression, target: { context }, awaitPromise: true };
        const answer = await session.ask("script.evaluate", params);
        if (answer.type !== "success") throw new Error(answer.exceptionDetails.text);
        return answer.result.value;
      });
    },
  };
}

async function startChromium(program, profile) {
  const words = [...SWITCHES, `--user-data-dir=${profile}`, "--remote-debugging-port=0"];
  const says = /DevTools listening on (ws:\/\/\S+)/;
  const { session, close } = await launch(program, profile, words, says, "");
  return {
    close: () => close("Browser.close"),
    open: async (url) => {
      const { targetId } = await session.ask("Target.createTarget", { url });
      const { sessionId } = await session.ask("Target.attachToTarget", { targetId, flatten: true });
      return ready(async (expression) => {
        const params = { expression, awaitPromise: true, returnByValue: true };
        const answer = await session.ask("Runtime.evaluate", params, { sessionId });
        if (answer.exceptionDetails) throw new Error(answer.exceptionDetails.text);
        return answer.result.value;
      });
    },
  };
}

export function startBrowser(kind, program, profile) {
  mkdirSync(profile, { recursive: true });
  return (kind === "firefox" ? startFirefox : startChromium)(program, profile);
}
