// How EventSource reacts to statuses, redirects, cookies and other origins, as the guide's page
// about authorising describes. The server is Node's, since it must give answers that ours never
// gives. Then the example `ticket`.

import { readFileSync } from "node:fs";
import http from "node:http";
import { RECONNECT_MS, WAIT_MS, assert, assertEqual, check, kill, start } from "./harness.mjs";
import { balancer } from "./two_nodes.mjs";

const STREAM = "retry: 100\nid: 1\ndata: hi\n\n";

// A server that answers as the query says: `status`, `to` (Location), `www`, `acao`, `acac`. With
// `first`, the first request gets a stream that ends.
function answering(seen) {
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, "http://any");
    const ask = (name) => url.searchParams.get(name);
    if (url.pathname === "/") {
      const cookies = ["lax=1; SameSite=Lax", "none=1; SameSite=None; Secure"].map((cookie) => `${cookie}; Path=/`);
      response.writeHead(200, { "Content-Type": "text/html", "Set-Cookie": cookies });
      return response.end("<!doctype html><link rel=icon href=data:,><title>Answers</title>");
    }
    const { cookie = "", origin = "", "last-event-id": id = "" } = request.headers;
    seen.push({ path: url.pathname, key: ask("key"), method: request.method, cookie, origin: origin !== "", id });
    const head = { "Content-Type": ask("type") ?? "text/event-stream" };
    if (ask("to")) head.Location = ask("to");
    if (ask("www")) head["WWW-Authenticate"] = ask("www");
    if (ask("acao")) head["Access-Control-Allow-Origin"] = ask("acao") === "own" ? origin : ask("acao");
    if (ask("acac")) head["Access-Control-Allow-Credentials"] = "true";
    const before = seen.filter(({ key }) => key === ask("key")).length - 1;
    if (ask("cut") && before % 2 === 1) return request.socket.destroy();
    if ((ask("first") && before === 0) || url.pathname === "/brief") {
      response.writeHead(200, head);
      return response.end(STREAM);
    }
    const status = Number(ask("status") ?? 200);
    response.writeHead(status, head);
    status === 200 ? response.write(STREAM) : response.end();
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

// The guide page's code for a web page, found by its heading.
function snippet(heading, server) {
  const guide = readFileSync(new URL("../../akurai-server/docs/authorising.md", import.meta.url), "utf8");
  const [, code] = guide.slice(guide.indexOf(`\n# ${heading}\n`)).split(/^```(?:js)?\n/m).slice(0, 2);
  return code.replaceAll("https://live.example.net", server);
}

// Runs that code in the page, with the values that it needs; `told` records what it did.
async function run(page, code, token) {
  await page.evaluate(
    ({ code, token }) => {
      window.told = [];
      const tell = (what) => (data) => told.push(data === undefined ? what : `${what} ${data}`);
      const names = ["start", "token", "show", "loadAgain", "logIn"];
      const own = ["", token, tell("show"), tell("loadAgain"), tell("logIn")];
      window.addEventListener("unhandledrejection", ({ reason }) => told.push(`unhandled: ${reason}`));
      new Function(...names, `${code}\nfollow();`)(...own);
    },
    { code, token },
  );
}

// The record of what the code did, once its last entry is this.
async function told(page, last) {
  const is = (last) => window.told.at(-1) === last && window.told;
  return (await page.waitForFunction(is, last, { timeout: RECONNECT_MS })).jsonValue();
}

// Answers to each path in turn, and repeats the last answer: a status and text, or null to cut the
// connection after the head.
function inTurn(answers) {
  const asked = [];
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, "http://any");
    const name = url.pathname;
    if (!(name in answers)) return response.writeHead(200, { "Content-Type": "text/html" }).end("<!doctype html><link rel=icon href=data:,>");
    const head = { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "Authorization", "Cache-Control": "no-store" };
    if (request.method === "OPTIONS") return response.writeHead(204, head).end();
    asked.push(`${name}${url.search}`);
    const answer = answers[name].length > 1 ? answers[name].shift() : answers[name][0];
    if (answer === null) {
      response.writeHead(200, { ...head, "Content-Length": 9 }).write("x");
      return setTimeout(() => response.destroy(), 50);
    }
    const [status, text] = answer;
    const type = name === "/events" ? "text/event-stream" : "text/plain";
    response.writeHead(status, { ...head, "Content-Type": type }).end(text);
  });
  server.asked = asked;
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

// Runs in the page: opens an EventSource, and returns what came until it is closed, or has opened
// or broken off this many times.
function observe({ url, options, opens, still, deadline }) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(url, options);
    const told = { opens: 0, away: 0, closed: 0 };
    const end = () => {
      const state = source.readyState;
      source.close();
      resolve({ ...told, state });
    };
    setTimeout(still ? end : () => reject(new Error(`${url}: ${JSON.stringify(told)}`)), still ?? deadline);
    source.onopen = () => (told.opens += 1) === opens && end();
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) {
        told.closed += 1;
        end();
      } else told.away += 1;
    };
  });
}

export async function eventSource({ browser, program, log, own }) {
  const seen = [];
  const [server, other] = [await answering(seen), await answering(seen)];
  const [port, otherPort] = [server.address().port, other.address().port];
  // These checks expect errors in the console, so nobody watches this page's console.
  const page = await browser.newPage();
  const [home, sameSite, otherSite] = [`127.0.0.1:${port}`, `127.0.0.1:${otherPort}`, `localhost:${port}`];
  [home, sameSite, otherSite].forEach(own);
  await page.goto(`http://${otherSite}/`);
  await page.goto(`http://${home}/`);
  let last = 0;
  // The events that came, and the requests that they needed.
  const open = async (address, { options, opens = 0, still } = {}) => {
    last += 1;
    const url = address.replace("KEY", last);
    const told = await page.evaluate(observe, { url, options, opens, still, deadline: WAIT_MS });
    return { ...told, asked: seen.filter(({ key }) => key === String(last)) };
  };
  const refused = { opens: 0, away: 0, closed: 1, state: 2 };
  const only = ({ opens, away, closed, state }) => ({ opens, away, closed, state });

  await check("EventSource: a status other than 200 ends it with one error, whichever it is, at first and on return", async () => {
    for (const status of [204, 205, 400, 401, 403, 404, 410, 429, 500, 502, 503, 504]) {
      const first = await open(`/x?key=KEY&status=${status}`);
      assertEqual(only(first), refused, `${status} at first`);
      const back = await open(`/x?key=KEY&first=1&status=${status}`);
      assertEqual(only(back), { opens: 1, away: 1, closed: 1, state: 2 }, `${status} on return`);
      assertEqual([first.asked.length, back.asked.length], [1, 2], "requests");
      assertEqual(back.asked[1].id, "1", "Last-Event-ID");
    }
    assertEqual(only(await open("/x?key=KEY&type=text/html")), refused, "200 of another type");
    assertEqual(only(await open(`/x?key=KEY&status=401&www=Bearer`)), refused, "401 with Bearer");
  });
  await check("EventSource: 401 with Basic tells the page nothing, since the browser asks for a password", async () => {
    const told = await open("/x?key=KEY&status=401&www=Basic", { still: 1000 });
    assertEqual(only(told), { opens: 0, away: 0, closed: 0, state: 0 }, "what came");
  });
  await check("EventSource: a connection that breaks is tried again", async () => {
    const told = await open("/brief?key=KEY&cut=1", { opens: 2 });
    assertEqual([told.opens, told.closed, told.state], [2, 0, 1], "opened, closed, state");
  });
  await check("EventSource: a redirect is followed, and the return goes to where it led", async () => {
    for (const status of [301, 302, 303, 307, 308]) {
      const to = encodeURIComponent(`/brief?key=${last + 1}`);
      const { asked } = await open(`/from?key=KEY&status=${status}&to=${to}`, { opens: 3 });
      assertEqual(asked.map(({ path }) => path).slice(0, 4), ["/from", "/brief", "/brief", "/brief"], `${status}`);
    }
    assertEqual(only(await open("/x?key=KEY&status=303&to=/")), refused, "303 to a page");
  });
  // In this browser's settings other sites get no cookie; other browsers send cookies with
  // SameSite=None.
  await check("EventSource: cookies go to its own origin always, to another with withCredentials, to another site not here", async () => {
    const cookies = async (url, options) => (await open(url, { options, opens: 1 })).asked[0].cookie;
    const credentials = { withCredentials: true };
    const both = "lax=1; none=1";
    assertEqual(await cookies("/x?key=KEY"), both, "own origin");
    const allowed = "x?key=KEY&acao=own&acac=1";
    assertEqual(await cookies(`http://${sameSite}/${allowed}`), "", "another origin of the site");
    assertEqual(await cookies(`http://${sameSite}/${allowed}`, credentials), both, "the same, withCredentials");
    assertEqual(await cookies(`http://${otherSite}/${allowed}`, credentials), "", "another site");
  });
  await check("EventSource: what another origin must answer to be read", async () => {
    const plain = [["", false], ["&acao=*", true], ["&acao=own", true]];
    const withCredentials = [["", false], ["&acao=*&acac=1", false], ["&acao=own", false], ["&acao=own&acac=1", true]];
    for (const [fields, options] of [[plain, {}], [withCredentials, { withCredentials: true }]]) {
      for (const [query, opened] of fields) {
        const told = await open(`http://${sameSite}/x?key=KEY${query}`, { options, opens: 1 });
        assertEqual([told.opens, told.closed], opened ? [1, 0] : [0, 1], `${query || "nothing"} ${JSON.stringify(options)}`);
        assert(told.asked[0].origin, "it has an Origin");
      }
    }
    const back = await open(`http://${sameSite}/brief?key=KEY&acao=own&acac=1`, { options: { withCredentials: true }, opens: 2 });
    assertEqual(back.asked.map(({ method, id }) => [method, id]).slice(0, 2), [["GET", ""], ["GET", "1"]], "no preflight");
  });

  await check("guide: the page's code for tickets notes the place of each event, and outlasts a cut and a server in trouble", async () => {
    const brief = (text) => [200, `retry: 10\n${text}\n\n`];
    const server = await inTurn({
      "/ticket": [null, [503, ""], [200, "t1"], [200, "t2"], [200, "t3"], [401, ""]],
      "/events": [brief("id: 1\ndata: one"), [401, ""], brief("id: 5\nevent: reset\ndata: lost"), [401, ""], brief("data: two"), [401, ""]],
    });
    const elsewhere = await browser.newPage();
    try {
      const host = `127.0.0.1:${server.address().port}`;
      own(host);
      await elsewhere.goto(`http://${otherSite}/`);
      await run(elsewhere, snippet("By ticket", `http://${host}`), "any");
      assertEqual(await told(elsewhere, "logIn"), ["show one", "loadAgain lost", "show two", "logIn"], "what the page did");
      const opened = server.asked.filter((asked) => asked.startsWith("/events"));
      const expected = [["t1", ""], ["t2", "1"], ["t3", "5"]].map(([ticket, at]) => `/events?ticket=${ticket}&last_event_id=${at}`);
      assertEqual(opened, expected.flatMap((one) => [one, one]), "what was asked");
    } finally {
      await elsewhere.close();
      server.closeAllConnections();
      server.close();
    }
  });
  await check("guide: the page's code for a session asks again after trouble, and logs in after 401", async () => {
    const server = await inTurn({
      "/events": [[200, "retry: 10\nid: 1\ndata: one\n\n"], [503, ""], [200, "retry: 10\nid: 2\ndata: two\n\n"], [503, ""]],
      "/session": [[401, ""]],
    });
    const elsewhere = await browser.newPage();
    try {
      const host = `127.0.0.1:${server.address().port}`;
      own(host);
      await elsewhere.goto(`http://${host}/`);
      let asked = 0;
      await elsewhere.route("**/session", (route) => ((asked += 1) === 1 ? route.abort() : route.continue()));
      await run(elsewhere, snippet("What to answer", ""), "");
      await elsewhere.waitForURL("**/login");
      assertEqual(asked, 2, "how often it asked for the session");
      const opened = server.asked.filter((asked) => asked.startsWith("/events"));
      assertEqual(opened, ["", "", "1", "1"].map((at) => `/events?last_event_id=${at}`), "what was asked");
    } finally {
      await elsewhere.close();
      server.closeAllConnections();
      server.close();
    }
  });

  await check("ticket: by cookie, by tickets one after the other, from another origin, and until the session ends", async () => {
    const example = await start(program, ["127.0.0.1:0", `http://${sameSite}`, `http://${otherSite}`], "stdout", /^http:\/\/127\.0\.0\.1:(\d+)\n/, log);
    const front = await balancer();
    front.target = Number(example.match[1]);
    const address = `127.0.0.1:${front.address().port}`;
    own(address);
    const says = (text) => page.waitForFunction((text) => document.querySelector("pre").textContent === text, text);
    try {
      await page.goto(`http://${address}/`);
      await says("refused");
      await page.fill("input[name=user]", "Ann");
      await page.click("form[action='/login'] button");
      await says("hello, Ann: /events");

      // Another origin of the same site, with the same cookie.
      const elsewhere = await browser.newPage();
      await elsewhere.goto(`http://${sameSite}/`);
      const hello = await elsewhere.evaluate(
        (url) =>
          new Promise((resolve) => {
            const source = new EventSource(url, { withCredentials: true });
            source.addEventListener("hello", ({ data }) => resolve(data) || source.close());
            source.onerror = () => resolve(`state ${source.readyState}`);
          }),
        `http://${address}/events`,
      );
      await elsewhere.close();
      assertEqual(hello, "Ann", "from another origin");

      // A page of another site, with the guide's code, which sends no cookie.
      const stranger = await browser.newPage();
      await stranger.goto(`http://${otherSite}/`);
      const { value } = (await page.context().cookies()).find(({ name }) => name === "session");
      const code = snippet("By ticket", `http://${address}`).replace('on("message", show)', 'on("hello", show)');
      await run(stranger, code, value);
      await told(stranger, "show Ann");
      await stranger.close();

      // A ticket works only once, so the reconnection after a cut needs another one.
      await page.click("#once");
      const another = async (before) => {
        const ticket = await page.waitForFunction((before) => {
          const [, ticket] = document.querySelector("pre").textContent.split("ticket=");
          return ticket !== before && ticket;
        }, before);
        return ticket.jsonValue();
      };
      const ticket = await another(undefined);
      front.cut();
      await another(ticket);

      // While the server gives tickets and refuses streams, the page asks once a second at most.
      await page.route("**/events?*", (route) => route.fulfill({ status: 503 }));
      await page.evaluate(() => {
        const fetch = window.fetch;
        window.asked = [];
        window.fetch = (...args) => asked.push(performance.now()) && fetch(...args);
      });
      front.cut();
      const asked = await page.waitForFunction(() => window.asked.length >= 3 && window.asked);
      const [first, second, third] = await asked.jsonValue();
      assert(second - first > 990 && third - second > 990, `asked at ${[first, second, third]}`);
      await page.unroute("**/events?*");

      await page.evaluate(() => fetch("/logout", { method: "POST" }));
      await says("refused");
    } finally {
      front.cut();
      front.close();
      await kill(example);
    }
  });
  await page.close();
  for (const one of [server, other]) {
    one.closeAllConnections();
    one.close();
  }
}
