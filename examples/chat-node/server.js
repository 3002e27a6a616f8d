"use strict";
// The chat example on the official server: the same events and the same page, so that page and browser test can be
// judged without Sala. Settings: PORT (default 3000; 0 is any free port).

const fs = require("fs");
const http = require("http");
const path = require("path");
const { Server } = require("socket.io");
const { listen, stopOnSigterm } = require("../reference/support.js");

const PAGES = path.join(__dirname, "../../examples/chat/static");
const TYPES = { "/index.html": "text/html", "/app.js": "text/javascript", "/style.css": "text/css" };

const site = http.createServer((request, response) => {
  const page = request.url === "/" ? "/index.html" : request.url;
  if (!TYPES[page]) return response.writeHead(404).end("not found");
  response.writeHead(200, { "Content-Type": `${TYPES[page]}; charset=utf-8` }).end(fs.readFileSync(path.join(PAGES, page)));
});
const io = new Server(site, { connectionStateRecovery: {} });

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

stopOnSigterm(() => io.close());
listen(site, process.env.PORT ?? 3000);
