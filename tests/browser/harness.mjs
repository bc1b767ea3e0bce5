// Code that the checks share: running and counting a check, starting and ending programs.

import { spawn } from "node:child_process";

export const WAIT_MS = 15_000;
// A reconnection waits for the browser's own retry time, 3 s, perhaps several times.
export const RECONNECT_MS = 40_000;

export const counts = { passed: 0, failed: 0 };

export async function check(name, body) {
  try {
    const note = await within(60_000, body(), name);
    counts.passed += 1;
    console.log(`ok - ${name}${note ? ` (${note})` : ""}`);
  } catch (error) {
    counts.failed += 1;
    console.log(`not ok - ${name}`);
    console.log(String(error.stack ?? error).replace(/^/gm, "    "));
  }
}

export function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export function assert(condition, message) {
  if (!condition) throw new Error(message);
}

export function assertEqual(actual, expected, what) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  assert(a === e, `${what}: expected ${e}, got ${a}`);
}

const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

// Starts a program, and resolves with it once `pattern` occurs in its output on `stream`.
export async function start(program, args, stream, pattern, log) {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  running.add(child);
  const exited = new Promise((resolve) => child.once("exit", resolve));
  exited.then(() => running.delete(child));
  let text = "";
  const found = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => reject(new Error(`${program} ended (${code ?? signal}): ${text}`)));
    for (const name of ["stdout", "stderr"]) {
      child[name].setEncoding("utf8");
      child[name].on("data", (chunk) => {
        log.write(chunk);
        if (name !== stream || text === null) return;
        text += chunk;
        const match = pattern.exec(text);
        if (match) {
          text = null;
          resolve(match);
        }
      });
    }
  });
  const match = await within(WAIT_MS, found, `what ${program} says`);
  return { child, exited, match };
}

// Like a crash: the program tells nobody.
export async function kill({ child, exited }) {
  child.kill("SIGKILL");
  await within(WAIT_MS, exited, "a program's end");
}
