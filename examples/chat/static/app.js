"use strict";
// The page of the chat. Everything a person typed is shown through textContent: never as markup.

const $ = (id) => document.getElementById(id);
const SAY_TYPING_EVERY = 1500; // milliseconds between two "I am typing"
const TYPING_LASTS = 3000; // milliseconds after which somebody who typed is thought to have stopped
const AWAY = 20000; // milliseconds that the "drop" button keeps us away, unless it is pressed again
const KEEP = 500; // messages kept in the page

let name = sessionStorage.getItem("name") ?? "";
let room = decodeURIComponent(location.hash.slice(1)) || "lobby";
let rooms = new Map(); // who is where: room → [{id, name}]
let here = null; // names of the people in our room by id; null before the first list
let early = []; // messages of a room that we are just entering
let away = null; // while disconnected: {missed: number of messages that came in late}
let comingBack; // the timer that ends a dropped connection
const typists = new Map(); // id → {name, timer}

// The client comes from the server that it is to talk to.
const path = document.querySelector("script[src$='/socket.io.js']").getAttribute("src").replace(/socket\.io\.js$/, "");
const socket = io({ path, tryAllTransports: true, autoConnect: false, auth: (give) => give({ name }) });

// --- what the server tells us ------------------------------------------------------------------------------------

socket.on("message", (message) => {
  if (message.room !== room) return early.push(message);
  stopTyping(message.id);
  // While a session is recovered, what was missed comes before the connect event.
  if (away) away.missed += 1;
  showMessage({ ...message, missed: away !== null });
});

socket.on("presence", (everybody) => {
  rooms = new Map(Object.entries(everybody));
  showRooms();
  showPeople();
});

// The argument is an object, not a text: while recovery is on, the client takes a text at the end of any event for
// the offset of that event, and a volatile one has none.
socket.on("typing", ({ id, name }) => {
  clearTimeout(typists.get(id)?.timer);
  typists.set(id, { name, timer: setTimeout(stopTyping, TYPING_LASTS, id) });
  showTyping();
});

// --- the connection ----------------------------------------------------------------------------------------------

socket.on("connect", async () => {
  $("door").hidden = true;
  $("chat").hidden = false;
  $("me").textContent = name;
  paintFace($("my-face"), name);
  const missed = away?.missed ?? 0;
  const back = away !== null;
  away = null;
  document.body.dataset.socket = socket.id;
  if (socket.recovered) {
    showStatus("recovered", missed === 1 ? "recovered · 1 missed message" : `recovered · ${missed} missed messages`);
    setTimeout(() => socket.connected && showTransport(), 10000);
  } else {
    if (back) notice("Connected again, as somebody new: what was said in between is lost.");
    showTransport();
    await enterRoom(room);
  }
  $("input").focus();
});

socket.on("disconnect", (reason) => {
  away = { missed: 0 };
  for (const id of [...typists.keys()]) stopTyping(id);
  if (comingBack) showStatus("reconnecting", `away, for ${AWAY / 1000} s at most`);
  else if (socket.active) showStatus("reconnecting", "reconnecting…");
  else showStatus("failed", `disconnected: ${reason}`);
});

socket.on("connect_error", (error) => {
  if (socket.active) {
    showStatus("reconnecting", away ? "reconnecting…" : "connecting…");
    if (!$("door").hidden) $("door-error").textContent = "The server cannot be reached. Trying again…";
  } else {
    // The server refused us and said why.
    $("door").hidden = false;
    $("chat").hidden = true;
    $("door-error").textContent = error.message;
    $("name").focus();
  }
});

socket.io.on("open", () => socket.io.engine.once("upgrade", () => $("status").dataset.state === "connected" && showTransport()));

function showTransport() {
  showStatus("connected", `connected · ${socket.io.engine.transport.name}`);
}

function showStatus(state, text) {
  $("status").dataset.state = state;
  $("status").textContent = text;
}

// --- what we do --------------------------------------------------------------------------------------------------

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  name = $("name").value.trim();
  room = $("first-room").value.trim();
  sessionStorage.setItem("name", name);
  $("door-error").textContent = "";
  socket.connect();
});

$("new-room").addEventListener("submit", (event) => {
  event.preventDefault();
  enterRoom($("room-name").value.trim());
  $("room-name").value = "";
});

$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("input").value.trim();
  if (text === "") return;
  setInput("");
  lastTyping = 0;
  const answer = await ask("message", text);
  if (answer.error) {
    notice(`Not sent: ${answer.error}`, "error");
    if ($("input").value === "") setInput(text);
  }
});

let lastTyping = 0;
$("input").addEventListener("input", () => {
  growInput();
  if ($("input").value !== "" && Date.now() - lastTyping > SAY_TYPING_EVERY) {
    lastTyping = Date.now();
    socket.volatile.emit("typing");
  }
});

$("input").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("composer").requestSubmit();
  }
});

$("drop").addEventListener("click", () => (comingBack ? comeBack() : goAway()));

/** Closes the transport under the client's feet: the server sees a lost connection, not a goodbye. */
function goAway() {
  comingBack = setTimeout(comeBack, AWAY);
  $("drop-text").textContent = "Reconnect";
  $("drop-rest").hidden = true;
  socket.io.reconnection(false);
  socket.io.engine.close();
}

function comeBack() {
  clearTimeout(comingBack);
  comingBack = undefined;
  $("drop-text").textContent = "Drop";
  $("drop-rest").hidden = false;
  showStatus("reconnecting", "reconnecting…");
  socket.io.reconnection(true);
  socket.connect();
}

$("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));

async function enterRoom(wanted) {
  const answer = await ask("join", wanted);
  if (answer.error) return notice(answer.error, "error");
  room = answer.room;
  here = null;
  location.hash = encodeURIComponent(room);
  document.title = `#${room} · Sala chat`;
  $("room").textContent = room;
  $("messages").replaceChildren();
  for (const id of [...typists.keys()]) stopTyping(id);
  notice(`You are in #${room}. Say hello.`);
  $("input").placeholder = `Write to #${room}`;
  showRooms();
  showPeople();
  for (const message of early) if (message.room === room) showMessage(message);
  early = [];
  $("input").focus();
}

/** Sends an event and waits for its acknowledgement: what the server answered, or {error}. */
async function ask(event, value) {
  try {
    return (await socket.timeout(8000).emitWithAck(event, value)) ?? {};
  } catch {
    return { error: "the server did not confirm it in time" };
  }
}

// --- what we show ------------------------------------------------------------------------------------------------

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Appends to the messages and stays at their end unless the reader has scrolled up. */
function append(item) {
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  list.append(item);
  while (list.childElementCount > KEEP) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
  else $("newest").hidden = false;
}

function showMessage({ id, name, text, time, missed }) {
  const previous = $("messages").lastElementChild;
  const again = previous?.dataset.by === id && time - Number(previous.dataset.time) < 180000;
  const mine = id === socket.id;
  const item = element("li", `message${mine ? " mine" : ""}${again ? " again" : ""}${missed ? " missed" : ""}`);
  item.dataset.by = id;
  item.dataset.time = time;
  const face = paintFace(element("span", "face"), name);
  face.setAttribute("aria-hidden", "true");
  const at = new Date(time);
  const clock = element("time", "", at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  clock.dateTime = at.toISOString();
  const by = element("span", "by");
  by.append(element("span", "who", name), clock);
  item.append(face, by, element("span", "text", text));
  append(item);
  if (mine) $("messages").scrollTop = $("messages").scrollHeight;
}

function notice(text, kind = "") {
  append(element("li", `notice ${kind}`.trim(), text));
}

function showRooms() {
  const names = [...new Set([...rooms.keys(), "lobby", room])].sort((a, b) => a.localeCompare(b));
  $("rooms").replaceChildren(...names.map((wanted) => {
    const button = element("button");
    button.type = "button";
    button.dataset.room = wanted;
    button.append(element("span", "label", wanted), element("span", "count", rooms.get(wanted)?.length ?? 0));
    if (wanted === room) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => wanted !== room && enterRoom(wanted));
    const item = element("li");
    item.append(button);
    return item;
  }));
}

function showPeople() {
  const people = rooms.get(room) ?? [];
  const now = new Map(people.map((person) => [person.id, person.name]));
  if (here) {
    for (const [id, name] of now) if (!here.has(id) && id !== socket.id) notice(`${name} came in.`);
    for (const [id, name] of here) if (!now.has(id) && id !== socket.id) notice(`${name} left.`);
  }
  here = now;
  $("count").textContent = people.length;
  const sorted = [...people].sort((a, b) => a.name.localeCompare(b.name));
  $("users").replaceChildren(...sorted.map(({ id, name }) => {
    const item = element("li");
    const face = paintFace(element("span", "face"), name);
    face.setAttribute("aria-hidden", "true");
    item.append(face, element("span", "label", name));
    if (id === socket.id) item.append(element("span", "you", "you"));
    return item;
  }));
}

function stopTyping(id) {
  clearTimeout(typists.get(id)?.timer);
  if (typists.delete(id)) showTyping();
}

function showTyping() {
  const names = [...typists.values()].map((typist) => typist.name);
  const who = names.length > 3 ? "Several people" : names.join(", ");
  $("typing").textContent = names.length === 0 ? "" : `${who} ${names.length === 1 ? "is" : "are"} typing…`;
}

function paintFace(face, name) {
  let hue = 0;
  for (const letter of name) hue = (hue * 31 + letter.codePointAt(0) * 137) % 360;
  face.style.setProperty("--hue", hue);
  face.textContent = ([...name][0] ?? "?").toUpperCase();
  return face;
}

function setInput(text) {
  $("input").value = text;
  growInput();
}

function growInput() {
  $("input").style.height = "auto";
  $("input").style.height = `${$("input").scrollHeight}px`;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
}

$("newest").addEventListener("click", () => ($("messages").scrollTop = $("messages").scrollHeight));
$("messages").addEventListener("scroll", () => {
  const list = $("messages");
  if (list.scrollHeight - list.scrollTop - list.clientHeight < 60) $("newest").hidden = true;
});

document.documentElement.dataset.theme =
  localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
$("name").value = name;
$("first-room").value = room;
