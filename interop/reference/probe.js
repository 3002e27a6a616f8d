"use strict";
// A Socket.IO server whose every event is reported and whose every action is commanded by a test.
// The commands are described in ../src/probe.rs, which is the other end of the channel.
const { Server } = require("socket.io");
const { listen, stopOnSigterm, toJson, fromJson, describe, report, serveCommands } = require("./support");
const options = require("./options");
const adapter = require("./adapter");

const config = options.read();
const server = config.given.standalone ? null : options.httpServer(config);
const io = server ? new Server(server, config.plain) : new Server(0, config.plain);
if (io.engine) options.hook(io.engine, config);

const sockets = new Map();
const parents = new Map();
const waiting = new Map();
const acks = new Map();
let tokens = 0;

function keep(map, value) {
  map.set(++tokens, value);
  return tokens;
}

function find(id) {
  if (!sockets.has(id)) throw new Error(`no socket ${id}`);
  return sockets.get(id);
}

const namespace = (name = "/") => parents.get(name) ?? io.of(name);

// --- what a namespace reports -------------------------------------------------------------------

const watched = new Set();

function watch(nsp) {
  if (watched.has(nsp)) return;
  watched.add(nsp);
  nsp.on("connection", (socket) => welcome(socket));
}

function welcome(socket) {
  sockets.set(socket.id, socket);
  const id = socket.id;
  const rules = rulesOf(socket.nsp);
  socket.onAny((name, ...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
    if (rules.handlers.has(name)) return;
    report("event", { id, nsp: socket.nsp.name, name, args, ack: ack && keep(acks, ack) });
  });
  if (rules.outgoing) socket.onAnyOutgoing((...args) => report("outgoing", { id, args }));
  for (const gate of rules.gates) socket.use(gateOf(gate));
  for (const [name, rule] of rules.handlers) socket.on(name, (...args) => handle(socket, name, rule, args));
  socket.on("error", (error) => report("error", { id, message: error?.message ?? error }));
  socket.on("disconnecting", (reason, description) => {
    report("disconnecting", { id, nsp: socket.nsp.name, reason, rooms: socket.rooms, connected: socket.connected });
    if (rules.farewell) socket.to([...socket.rooms]).emit(rules.farewell, id);
  });
  socket.on("disconnect", (reason, description) => {
    report("disconnect", {
      id,
      nsp: socket.nsp.name,
      reason,
      description: describe(description),
      rooms: socket.rooms,
      connected: socket.connected,
    });
  });
  if (config.reports.has("upgrade")) {
    socket.conn.on("upgrade", (transport) => report("upgrade", { id, transport: transport.name }));
  }
  if (config.reports.has("packetCreate")) {
    socket.conn.on("packetCreate", (packet) => report("packetCreate", { id, packet: { type: packet.type, data: packet.data } }));
  }
  for (const args of rules.greetings) socket.emit(...fromJson(args));
  report("connection", {
    id,
    nsp: socket.nsp.name,
    conn: socket.conn.id,
    recovered: socket.recovered,
    auth: socket.handshake.auth,
    rooms: socket.rooms,
    data: socket.data,
  });
}

// --- rules given before clients come ------------------------------------------------------------

const rules = new Map();

function rulesOf(nsp) {
  const parent = [...parents.values()].find((parent) => parent.children?.has(nsp));
  const key = parent ? parent.name : nsp.name;
  if (!rules.has(key)) {
    rules.set(key, { handlers: new Map(), gates: [], greetings: [], outgoing: false, farewell: null });
  }
  return rules.get(key);
}

/** A per-packet middleware: {"event", "refuse": text | "replace": args | "delay": ms}. */
function gateOf(gate) {
  return (event, next) => {
    if (event[0] !== gate.event) return next();
    if (gate.refuse) return next(new Error(gate.refuse));
    if (gate.replace) event.splice(1, event.length, ...fromJson(gate.replace));
    gate.delay ? setTimeout(next, gate.delay) : next();
  };
}

/** Canned handlers, for clients that must not wait for the test: see `Handler` in ../src/probe.rs. */
function handle(socket, name, rule, args) {
  const ack = typeof args.at(-1) === "function" ? args.pop() : () => {};
  switch (rule.with) {
    case "ack-back":
      return ack(...args);
    case "emit-back":
      return socket.emit(`${name}-back`, ...args);
    case "emit-many":
      for (let i = 0; i < args[0]; i++) socket.emit(rule.out, i);
      return ack(args[0]);
    case "ask":
      return socket.emit(rule.out, ...args, (...answer) => socket.emit(`${name}-answer`, ...answer));
    case "join":
      socket.join(args[0]);
      return ack();
    case "leave":
      socket.leave(args[0]);
      return ack();
    case "to":
      socket.to(args[0]).emit(...args.slice(1));
      return ack();
    case "in":
      io.of(socket.nsp.name).to(args[0]).emit(...args.slice(1));
      return ack();
    case "volatile":
      return socket.volatile.emit(...args);
    case "disconnect":
      return socket.disconnect(rule.close);
    case "close-conn":
      return socket.conn.close();
    case "whoami":
      return ack(toJson({ id: socket.id, recovered: socket.recovered, rooms: socket.rooms, data: socket.data, handshake: socket.handshake }));
    case "set-data":
      Object.assign(socket.data, args[0]);
      return ack();
    case "count":
      rule.seen = (rule.seen ?? 0) + 1;
      if (args[0] !== rule.seen - 1) rule.inversions = (rule.inversions ?? 0) + 1;
      return ack(rule.seen, rule.inversions ?? 0);
    case "counted":
      return ack(rulesOf(socket.nsp).handlers.get(rule.of)?.seen ?? 0);
    case "throw":
      throw new Error("a bad handler");
    default:
      throw new Error(`unknown handler ${rule.with}`);
  }
}

/** A namespace middleware: steps run in order, see `Step` in ../src/probe.rs. */
function admission(steps) {
  return async (socket, next) => {
    for (const step of steps) {
      if (step.report) report("middleware", { nsp: socket.nsp.name, name: step.report, id: socket.id });
      if (step.join) await socket.join(step.join);
      if (step.emit) socket.emit(...fromJson(step.emit));
      if (step.data) Object.assign(socket.data, step.data);
      if (step.disconnect) socket.disconnect();
      if (step.needToken && socket.handshake.auth.token !== step.needToken) return next(new Error("bad token"));
      if (step.needQuery && !socket.handshake.query[step.needQuery]) return next(new Error("bad query"));
      if (step.refuse) return next(refusal(step.refuse));
      if (step.twice) next();
      if (step.hold) {
        const verdict = await new Promise((resolve) => {
          report("waiting", { nsp: socket.nsp.name, token: keep(waiting, resolve), connected: socket.connected });
        });
        if (verdict.refuse) return next(refusal(verdict.refuse));
      }
    }
    next();
  };
}

function refusal({ message, data, bare }) {
  if (bare !== undefined) return bare;
  const error = new Error(message);
  if (data !== undefined) error.data = data;
  return error;
}

/** A namespace by function: {"token": text} | {"name": text} | {"error": text}, with "delay". */
function matcher(rule) {
  return async (name, auth, next) => {
    report("matcher", { name, auth });
    if (rule.delay) await new Promise((resolve) => setTimeout(resolve, rule.delay));
    if (rule.error) return next(new Error(rule.error), false);
    if (rule.token) return next(null, auth.token === rule.token);
    next(null, name === rule.name);
  };
}

// --- emitting -----------------------------------------------------------------------------------

/** The object that `emit`, `fetch`, … act on: a socket or a namespace, with its modifiers. */
function operator({ socket, nsp, to, inside, except, flags = [], compress, timeout }) {
  let operator = socket ? find(socket) : namespace(nsp);
  for (const flag of flags) operator = operator[flag];
  if (compress !== undefined) operator = operator.compress(compress);
  if (timeout !== undefined) operator = operator.timeout(timeout);
  if (to) operator = operator.to(to);
  if (inside) operator = operator.in(inside);
  if (except) operator = operator.except(except);
  return operator;
}

function emit(command) {
  const args = fromJson(command.args ?? []);
  for (let i = 0; i < (command.repeat ?? 1); i++) {
    const all = command.repeat ? [...args, i] : args;
    if (command.ack === undefined) {
      operator(command).emit(...all);
      continue;
    }
    const answered = (...answer) => {
      const error = command.timeout !== undefined ? answer.shift() : null;
      report("acked", { ack: command.ack, error: error?.message ?? null, answer });
    };
    operator(command).emit(...all, answered);
  }
}

/** Runs `act` when the answer to a question is there, and reports it. */
const answered = (command) => (error, ...answer) => report("acked", { ack: command.ack, error: error?.message ?? null, answer });

/** Acts on one socket of any server: {"act": "emit" | "join" | "leave" | "disconnect", …}. */
async function remote({ id, nsp, act, args, rooms, close, ack, timeout }) {
  const [socket] = await namespace(nsp).in(id).fetchSockets();
  if (!socket) throw new Error(`no socket ${id} on any server`);
  switch (act) {
    case "emit":
      if (ack === undefined) return void socket.emit(...fromJson(args));
      return void socket.timeout(timeout).emit(...fromJson(args), answered({ ack }));
    case "join":
      return void socket.join(rooms);
    case "leave":
      return void socket.leave(rooms);
    case "disconnect":
      return void socket.disconnect(close);
  }
}

/** Emits without pause: the event, a name and a running number. */
const loads = new Map();

function load({ nsp, args, every, ...command }) {
  let number = 0;
  loads.set(args[1], setInterval(() => emit({ nsp, ...command, args: [...args, number++] }), every));
}

function unload({ name }) {
  clearInterval(loads.get(name));
  loads.delete(name);
}

const roomsOf = (nsp) => Object.fromEntries([...nsp.adapter.rooms].map(([room, ids]) => [room, [...ids].sort()]));

serveCommands({
  sync: () => null,
  of({ nsp }) {
    watch(io.of(nsp));
  },
  make: ({ nsp }) => void io.of(nsp),
  parent({ pattern, flags, rule }) {
    const parent = io.of(pattern !== undefined ? new RegExp(pattern, flags) : matcher(rule));
    parents.set(parent.name, parent);
    watch(parent);
    return parent.name;
  },
  use: ({ nsp, steps }) => void namespace(nsp).use(admission(steps)),
  release({ token, refuse }) {
    waiting.get(token)({ refuse });
  },
  gate: ({ nsp, ...gate }) => void rulesOf(namespace(nsp)).gates.push(gate),
  greet: ({ nsp, args }) => void rulesOf(namespace(nsp)).greetings.push(args),
  handle: ({ nsp, event, ...rule }) => void rulesOf(namespace(nsp)).handlers.set(event, rule),
  outgoing({ nsp }) {
    rulesOf(namespace(nsp)).outgoing = true;
  },
  farewell({ nsp, event }) {
    rulesOf(namespace(nsp)).farewell = event;
  },
  watchRooms({ nsp }) {
    for (const name of ["create-room", "delete-room", "join-room", "leave-room"]) {
      namespace(nsp).adapter.on(name, (room, id) => report("room", { name, room, id }));
    }
  },
  on({ nsp, event, answer }) {
    namespace(nsp).on(event, (...args) => {
      const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
      report("server", { event, args });
      if (answer) ack?.(...fromJson(answer));
    });
  },
  emit,
  burst: ({ commands }) => commands.forEach(emit),
  serverSideEmit({ nsp, args, ack }) {
    namespace(nsp).serverSideEmit(...fromJson(args), ...(ack === undefined ? [] : [answered({ ack })]));
  },
  serverCount: ({ nsp }) => namespace(nsp).adapter.serverCount(),
  remote,
  load,
  unload,
  ack({ token, args }) {
    acks.get(token)(...fromJson(args ?? []));
  },
  join: (command) => void (command.socket ? find(command.socket).join(command.rooms) : operator(command).socketsJoin(command.rooms)),
  leave: (command) =>
    void (command.socket ? find(command.socket).leave(command.rooms) : operator(command).socketsLeave(command.rooms)),
  disconnect: (command) =>
    void (command.socket ? find(command.socket).disconnect(command.close) : operator(command).disconnectSockets(command.close)),
  fetch: async (command) =>
    (await operator(command).fetchSockets()).map(({ id, rooms, data, handshake }) => ({ id, rooms, data, handshake })),
  setData: ({ socket, data }) => void Object.assign(find(socket).data, fromJson(data)),
  state: ({ socket: id }) => {
    const socket = find(id);
    return {
      id: socket.id,
      connected: socket.connected,
      disconnected: socket.disconnected,
      recovered: socket.recovered,
      rooms: socket.rooms,
      data: socket.data,
      nsp: socket.nsp.name,
      handshake: socket.handshake,
      conn: {
        id: socket.conn.id,
        protocol: socket.conn.protocol,
        transport: socket.conn.transport.name,
        state: socket.conn.readyState,
        address: socket.conn.remoteAddress,
      },
      request: { url: socket.request.url, method: socket.request.method, headers: socket.request.headers },
    };
  },
  closeConn: ({ socket, discard }) => void find(socket).conn.close(discard),
  members: ({ nsp }) => ({ sockets: [...namespace(nsp).sockets.keys()].sort(), rooms: roomsOf(namespace(nsp)) }),
  namespaces: () => [...io._nsps.keys()].sort(),
  count: () => io.engine.clientsCount,
  // Not awaited: closing waits for idle connections of the test's own clients.
  close: () => void io.close(),
  exit() {
    setImmediate(() => process.exit(0));
  },
});

io.on("new_namespace", (nsp) => report("new_namespace", { name: nsp.name }));
watch(io.of("/"));
stopOnSigterm(() => io.close());
if (server) {
  const ready = config.given.adapter ? adapter.create(config.given.adapter).then((made) => void io.adapter(made)) : Promise.resolve();
  ready.then(() => listen(server, process.env.PORT ?? 0));
} else {
  io.httpServer.on("listening", () => console.log(`listening on http://127.0.0.1:${io.httpServer.address().port}`));
}
