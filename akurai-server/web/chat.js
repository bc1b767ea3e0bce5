// The chat room: the page follows it by its event stream, and speaks by WebSocket. live.js is
// loaded before this file. While the page is in the room, each message arrives both ways; each row
// shows by which it came.
"use strict";

const CHAT_ROWS = 200;
const REJOIN_MS = 1000;
const WHO_TINTS = 6;

const chat = {
  panel: byId("chat"),
  pill: byId("chat-state"),
  people: byId("chat-people"),
  box: byId("chat-box"),
  log: byId("chat-log"),
  problem: byId("chat-problem"),
  name: byId("chat-name"),
  text: byId("chat-text"),
  toggle: byId("chat-toggle"),
  talk: byId("chat-talk"),
  socket: null,
  wanted: false, // Whether the reader wants to be in the room, whatever the network does.
  stream: "connecting",
};

function showChatState() {
  const joined = chat.socket !== null && chat.socket.readyState === WebSocket.OPEN;
  const hadFocus = chat.talk.contains(document.activeElement);
  showState(chat.panel, chat.pill, chat.stream !== "open" ? chat.stream : joined ? "in the room" : "following");
  chat.talk.disabled = !joined;
  chat.name.disabled = chat.wanted;
  chat.toggle.textContent = chat.wanted ? "Leave" : "Join";
  chat.toggle.classList.toggle("primary", !chat.wanted);
  // A disabled control loses the focus.
  if (!joined && hadFocus) chat.toggle.focus();
}

function chatComplain(text) {
  chat.problem.textContent = text;
  chat.problem.hidden = text === "";
}

// The newest row comes last, as in a conversation. If the reader has scrolled back, the log does
// not scroll.
let atEnd = true;
function keepAtEnd() {
  if (atEnd) chat.box.scrollTop = chat.box.scrollHeight;
}
chat.box.addEventListener("scroll", () => {
  atEnd = chat.box.scrollHeight - chat.box.scrollTop - chat.box.clientHeight < 40;
});
const resized = new ResizeObserver(keepAtEnd);
resized.observe(chat.box);
resized.observe(chat.log);

function appendRow(row) {
  chat.log.append(row);
  while (chat.log.childElementCount > CHAT_ROWS) chat.log.firstElementChild.remove();
  keepAtEnd();
}

function note(kind, text) {
  const row = element("li", "note-row", text);
  row.dataset.kind = kind;
  appendRow(row);
}

// The same name has the same colour on every page.
function tint(name) {
  let sum = 0;
  for (const point of name) sum = (sum * 31 + point.codePointAt(0)) % 9973;
  return `who who-${sum % WHO_TINTS}`;
}

function showMessage(json, way) {
  // It may have arrived the other way already: both ways carry the same text.
  const twin = Array.from(chat.log.children).find((row) => row.dataset.json === json && !(way in row.dataset));
  if (twin !== undefined) {
    twin.dataset[way] = "";
    twin.querySelector(".ways").append(element("span", "way", way.toUpperCase()));
    return;
  }
  const message = JSON.parse(json);
  const row = element("li");
  row.dataset.kind = "message";
  row.dataset.json = json;
  row.dataset[way] = "";
  const time = element("time", "", new Date(message.at).toTimeString().slice(0, 8));
  const ways = element("span", "ways");
  ways.append(element("span", "way", way.toUpperCase()));
  row.append(element("span", tint(message.name), message.name), element("span", "said", message.text), ways, time);
  appendRow(row);
}

function join() {
  const url = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/api/chat?name=${encodeURIComponent(chat.name.value.trim())}`;
  const socket = new WebSocket(url);
  chat.socket = socket;
  showChatState();
  socket.addEventListener("open", () => {
    chatComplain("");
    showChatState();
    if (document.activeElement === chat.toggle || document.activeElement === document.body) chat.text.focus();
  });
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (message.error === undefined) showMessage(data, "ws");
    else chatComplain(`The server says: ${message.error}.`);
  });
  socket.addEventListener("close", (event) => {
    if (chat.socket !== socket) return;
    chat.socket = null;
    // 1008: the server refuses this client. Another attempt would not help.
    if (event.code === 1008) chat.wanted = false;
    else if (chat.wanted && chat.stream === "open") rejoinSoon();
    showChatState();
  });
}

function rejoinSoon() {
  setTimeout(() => {
    if (chat.wanted && chat.socket === null && chat.stream === "open") join();
  }, REJOIN_MS);
}

byId("chat-join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  chatComplain("");
  if (chat.wanted) {
    const socket = chat.socket;
    chat.wanted = false;
    chat.socket = null;
    socket?.close(1000);
    showChatState();
    return;
  }
  if (chat.name.value.trim() === "") {
    chatComplain("Choose a name first.");
    chat.name.focus();
    return;
  }
  chat.wanted = true;
  join();
});

byId("chat-text-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (chat.text.value.trim() === "") return;
  chatComplain("");
  chat.socket.send(chat.text.value);
  chat.text.value = "";
});

live.addEventListener("chat", (event) => showMessage(event.data, "sse"));
// The number of people, for each server of the engine. Without an engine there is one count, which
// has no name.
const peopleNodes = new Map();
live.addEventListener("people", (event) => {
  const people = JSON.parse(event.data);
  const everywhere = heardOf(peopleNodes, people.node, people);
  const [inRoom, following] = [addUp(everywhere, "in_room"), addUp(everywhere, "following")];
  chat.people.textContent = `${inRoom} joined · ${following} on the event stream`;
  chat.people.dataset.inRoom = String(inRoom);
  chat.people.dataset.following = String(following);
});
live.addEventListener("reset", () => note("reset", "Messages may be missing here: the server was started again, or this page was away for too long."));
onLiveState((state) => {
  chat.stream = state;
  // The room is back as soon as the stream is.
  if (state === "open" && chat.wanted && chat.socket === null) join();
  showChatState();
});
showChatState();
