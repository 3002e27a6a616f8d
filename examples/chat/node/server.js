"use strict";
// The chat example on the official server: the same events, the same page. With REDIS it shares one cluster with other
// servers over Redis Streams, Sala's `sala serve --redis` among them.
//
// Settings: PORT (default 3000; 0 is any free port), REDIS (such as redis://127.0.0.1:6379; none: alone).

const fs = require("fs");
const http = require("http");
const path = require("path");
const { Server } = require("socket.io");

const PAGES = path.join(__dirname, "../static");
const TYPES = { "/index.html": "text/html", "/app.js": "text/javascript", "/style.css": "text/css" };

const site = http.createServer((request, response) => {
  const page = request.url === "/" ? "/index.html" : request.url;
  if (!TYPES[page]) return response.writeHead(404).end("not found");
  response.writeHead(200, { "Content-Type": `${TYPES[page]}; charset=utf-8` }).end(fs.readFileSync(path.join(PAGES, page)));
});
const io = new Server(site, { connectionStateRecovery: {} });

/** Joins the cluster. */
async function join(url) {
  const { createClient } = require("redis");
  const { createAdapter } = require("@socket.io/redis-streams-adapter");
  const client = createClient({ url });
  client.on("error", (error) => console.error(`redis: ${error.message}`));
  await client.connect();
  io.adapter(createAdapter(client));
}

/** A text without its outer blanks, if it has 1 to `max` characters. */
function clean(text, max) {
  const trimmed = typeof text === "string" ? text.trim() : "";
  return trimmed && [...trimmed].length <= max ? trimmed : undefined;
}

/** Tells everybody who is where. */
async function presence() {
  const rooms = new Map();
  for (const { id, data } of await io.fetchSockets()) {
    if (data.room) rooms.set(data.room, [...(rooms.get(data.room) ?? []), { id, name: data.name }]);
  }
  io.emit("presence", Object.fromEntries(rooms));
}

io.use((socket, next) => {
  socket.data.name = clean(socket.handshake.auth.name, 24);
  next(socket.data.name ? undefined : new Error("A name has 1 to 24 characters."));
});

io.on("connection", (socket) => {
  presence();
  socket.on("join", (wanted, ack) => {
    const room = clean(wanted, 32);
    if (!room) return ack({ error: "The name of a room has 1 to 32 characters." });
    // The prefix keeps people out of the rooms that are named by socket ids.
    if (socket.data.room) socket.leave(`#${socket.data.room}`);
    socket.join(`#${room}`);
    socket.data.room = room;
    presence();
    ack({ room });
  });
  socket.on("message", (said, ack) => {
    const { room, name } = socket.data;
    const text = clean(said, 2000);
    if (!text || !room) return ack({ error: "A message has 1 to 2000 characters." });
    io.to(`#${room}`).emit("message", { id: socket.id, name, room, text, time: Date.now() });
    ack({});
  });
  socket.on("typing", () => {
    const { room, name } = socket.data;
    if (room) socket.volatile.to(`#${room}`).emit("typing", { id: socket.id, name });
  });
  socket.on("disconnect", presence);
});

async function main() {
  if (process.env.REDIS) await join(process.env.REDIS);
  site.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
    console.log(`listening on http://127.0.0.1:${site.address().port}`);
  });
}

process.on("SIGTERM", () => io.close(() => process.exit(0)));
main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
