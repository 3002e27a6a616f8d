"use strict";
// Many official clients in one process, commanded by a test as a probe is (see ../src/probe.rs).
const { io } = require("socket.io-client");
const { Emitter } = require("@socket.io/redis-emitter");
const { connect: connectRedis } = require("../reference/adapter");
const { fromJson, report, serveCommands } = require("../reference/support");

/** name → {socket, answer, tallies: event's first argument → [[number, time]]} */
const clients = new Map();
let emitter;

function find(name) {
  if (!clients.has(name)) throw new Error(`no client ${name}`);
  return clients.get(name);
}

function open({ client: name, url, nsp = "/", options = {} }) {
  const socket = io(url + nsp, { transports: ["websocket"], forceNew: true, reconnection: false, ...options });
  const client = { socket, answer: [name], tallies: new Map() };
  clients.set(name, client);
  socket.onAny((...args) => hear(name, client, args));
  socket.on("disconnect", (reason) => report("left", { client: name, reason }));
  return connected(socket);
}

function hear(name, client, args) {
  const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
  if (args[0] === "tally") return tally(client, args);
  report("got", { client: name, args });
  if (ack && client.answer) ack(...client.answer);
}

/** Notes ("tally", sender, number) without a report: there are many. */
function tally({ tallies }, [, sender, number]) {
  if (!tallies.has(sender)) tallies.set(sender, []);
  tallies.get(sender).push([number, Date.now()]);
}

function connected(socket) {
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve({ id: socket.id, recovered: socket.recovered }));
    socket.once("connect_error", (error) => reject(new Error(`cannot connect: ${error.message}`)));
  });
}

/** Connects a client again, to another server. */
function again({ client: name, url }) {
  const { socket } = find(name);
  socket.io.uri = url;
  const done = connected(socket);
  socket.connect();
  return done;
}

/** The official emitter of the classic adapter: {"nsp", "to", "except", "flags", "compress", "act", …}. */
function emit({ nsp, to, except, flags = [], compress, act, args, rooms, close }) {
  let target = nsp ? emitter.of(nsp) : emitter;
  if (to) target = target.to(to);
  if (except) target = target.except(except);
  for (const flag of flags) target = target[flag];
  if (compress !== undefined) target = target.compress(compress);
  switch (act) {
    case "join":
      return void target.socketsJoin(rooms);
    case "leave":
      return void target.socketsLeave(rooms);
    case "disconnect":
      return void target.disconnectSockets(close);
    case "serverSideEmit":
      return void target.serverSideEmit(...fromJson(args));
    default:
      return void target.emit(...fromJson(args));
  }
}

serveCommands({
  sync: () => null,
  connect: open,
  again,
  /** What the client says to questions; null: nothing. */
  answer: ({ client, args }) => void (find(client).answer = args && fromJson(args)),
  /** Loses the connection without a goodbye. */
  drop: ({ client }) => void find(client).socket.io.engine.close(),
  close({ client }) {
    find(client).socket.close();
    clients.delete(client);
  },
  tallies: ({ client }) => Object.fromEntries(find(client).tallies),
  forget: () => clients.forEach(({ tallies }) => tallies.clear()),
  async emitter({ redis, options }) {
    emitter = new Emitter(await connectRedis(redis), options);
  },
  emit,
});
