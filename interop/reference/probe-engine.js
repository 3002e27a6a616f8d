"use strict";
// An Engine.IO server whose every event is reported and whose every action is commanded by a test.
const { Server, listen: listenAlone } = require("engine.io");
const { listen, stopOnSigterm, fromJson, describe, report, serveCommands } = require("./support");
const options = require("./options");

const config = options.read();
config.given.engine = true;
const alone = config.given.standalone ? listenAlone(0, config.plain) : null;
const server = alone ? alone.httpServer : options.httpServer(config);
const engine = alone ?? new Server(config.plain);
if (!alone) engine.attach(server, config.plain);
options.hook(engine, config);

const TRACEABLE = ["packet", "packetCreate", "flush", "drain", "heartbeat", "upgrading", "upgrade"];
const sockets = new Map();

function detail(name, value) {
  if (name === "packet" || name === "packetCreate") return { packet: value };
  if (name === "upgrading" || name === "upgrade") return { transport: value.name };
  if (name === "flush") return { packets: value.map((packet) => packet.type) };
  return {};
}

engine.on("connection", (socket) => {
  sockets.set(socket.id, socket);
  report("open", {
    id: socket.id,
    protocol: socket.protocol,
    address: socket.remoteAddress,
    transport: socket.transport.name,
    url: socket.request.url,
    query: socket.request._query,
    headers: socket.request.headers,
    state: socket.readyState,
  });
  for (const name of TRACEABLE.filter((name) => config.reports.has(name))) {
    socket.on(name, (value) => report(name, { id: socket.id, ...detail(name, value) }));
  }
  socket.on("data", (data) => {
    report("data", { id: socket.id, data: data ?? "" });
    if (config.given.echo) socket.send(data);
  });
  socket.on("close", (reason, description) => {
    report("close", {
      id: socket.id,
      reason,
      description: describe(description),
      queued: socket.writeBuffer.length,
      state: socket.readyState,
    });
  });
});

const find = (id) => {
  if (!sockets.has(id)) throw new Error(`no socket ${id}`);
  return sockets.get(id);
};

serveCommands({
  sync: () => null,
  send({ id, data, compress = true, repeat = 1, callback }) {
    for (let i = 0; i < repeat; i++) {
      const sent = callback === undefined ? undefined : () => report("sent", { id, callback, i });
      find(id).send(fromJson(data), { compress }, sent);
    }
  },
  close: ({ id, discard }) => void find(id).close(discard),
  state: ({ id }) => ({
    state: find(id).readyState,
    transport: find(id).transport.name,
    upgraded: find(id).upgraded,
    upgrading: find(id).upgrading,
    address: find(id).remoteAddress,
    queued: find(id).writeBuffer.length,
  }),
  count: () => ({ count: engine.clientsCount, ids: Object.keys(engine.clients) }),
  set({ options }) {
    Object.assign(engine.opts, options);
  },
  closeEngine: () => void engine.close(),
  closeHttp: () => void server.close(),
});

stopOnSigterm(() => engine.close());
if (alone) {
  server.on("listening", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
} else {
  listen(server, process.env.PORT ?? 0);
}
