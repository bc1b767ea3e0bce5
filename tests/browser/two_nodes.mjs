// An EventSource that moves from one node of an engine to another misses no event and gets none
// twice.

import net from "node:net";
import { assert, assertEqual, check, kill, start, within } from "./harness.mjs";

// A balancer in front of the nodes: it connects clients to the port that is set, and can cut
// connections at any byte.
export function balancer() {
  const pairs = new Set();
  const server = net.createServer((client) => {
    const node = net.connect(server.target, "127.0.0.1");
    const pair = { client, node };
    pairs.add(pair);
    const end = () => {
      client.destroy();
      node.destroy();
      pairs.delete(pair);
    };
    for (const [from, to] of [[client, node], [node, client]]) {
      from.on("data", (chunk) => to.write(chunk));
      from.on("end", () => to.end());
      from.on("error", end);
      from.on("close", end);
    }
  });
  // Half of the bytes under way are lost, as in a crash.
  server.cut = () => {
    for (const { client, node } of pairs) {
      node.destroy();
      client.resetAndDestroy();
    }
  };
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

export async function twoNodes({ browser, program, log, watch, own, down }) {
  await check("two nodes: an EventSource moves between them without a loss, three ways", async () => {
    const nodes = await start(program, [], "stdout", /^(\d+) (\d+)\n/, log);
    const [first, second] = nodes.match.slice(1).map(Number);
    const front = await balancer();
    front.target = first;
    const page = await browser.newPage();
    watch(page);
    own(`127.0.0.1:${front.address().port}`);
    try {
      await page.goto(`http://127.0.0.1:${front.address().port}/`);
      await page.evaluate(() => {
        window.probe = { got: [], resets: 0, opens: 0, errors: 0, from: [] };
        const source = new EventSource("/events");
        window.probe.source = source;
        source.onopen = () => {
          window.probe.opens += 1;
          window.probe.from.push(window.probe.got.length);
        };
        source.onerror = () => (window.probe.errors += 1);
        source.onmessage = (event) => window.probe.got.push([event.lastEventId, event.data]);
        source.addEventListener("reset", () => (window.probe.resets += 1));
      });
      const grown = (opens) =>
        page.waitForFunction(
          (wanted) => window.probe.opens === wanted && window.probe.got.length - window.probe.from.at(-1) >= 200,
          opens,
          { timeout: 30_000 },
        );
      await grown(1);
      down(true);
      // Cut in the middle of the stream: the client moves to the other node, and later back to the
      // first.
      front.target = second;
      front.cut();
      await grown(2);
      front.target = first;
      front.cut();
      await grown(3);
      // The first node shuts down: its stream ends, and the client continues at the second.
      front.target = second;
      nodes.child.stdin.write("stop\n");
      await grown(4);
      down(false);

      const { got, resets, opens } = await page.evaluate(() => {
        const { got, resets, opens } = window.probe;
        window.probe.source.close();
        return { got, resets, opens };
      });
      const answer = await fetch(`http://127.0.0.1:${second}/published`);
      const published = await answer.json();
      assert(await refuses(first), "the first node still listens");
      const begin = published.findIndex(([id]) => id === got[0][0]);
      assertEqual(got, published.slice(begin, begin + got.length), "received, and published from the first received on");
      assertEqual(new Set(got.map(([id]) => id)).size, got.length, "different ids");
      assertEqual(resets, 0, "resets");
      return `${got.length} events over ${opens} connections, in order, none twice, none lost`;
    } finally {
      down(false);
      await page.close();
      front.cut();
      front.close();
      await kill(nodes);
    }
  });
}

function refuses(port) {
  const attempt = new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("connect", () => resolve(false) || socket.destroy());
    socket.on("error", () => resolve(true));
  });
  return within(5_000, attempt, "an answer from the port");
}
