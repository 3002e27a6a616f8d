"use strict";
// Runs one scenario with one official client, over polling, over WebSocket and through the upgrade.
//
//   node run.js <major version> <scenario> <address>
//
// Prints `ok <transport>` for each and ends with status 0 when all went well.

const assert = require("assert");
const scenarios = require("./scenarios");

const [version, name, url] = process.argv.slice(2);
const CLIENTS = { 4: "socket.io-client", 3: "socket.io-client-v3", 2: "socket.io-client-v2" };
const loaded = require(CLIENTS[version]);
const io = loaded.io ?? loaded;

const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };
const PATIENCE = 20_000; // milliseconds for one transport

/** What a scenario works with. */
class Lab {
  constructor(transport) {
    this.version = Number(version);
    this.transport = transport;
    this.url = url;
    this.sockets = [];
  }

  /** Opens a socket without waiting for it. */
  open(nsp = "/", options = {}) {
    const socket = io(url + nsp, {
      transports: TRANSPORTS[this.transport],
      forceNew: true,
      reconnection: false,
      ...(process.env.PARSER === "msgpack" ? { parser: require("socket.io-msgpack-parser") } : {}),
      ...options,
    });
    this.sockets.push(socket);
    return socket;
  }

  /** Opens a socket and waits until it is connected; through the upgrade, until that is done. */
  async connect(nsp, options) {
    const socket = this.open(nsp, options);
    await Promise.race([
      this.once(socket, "connect"),
      this.once(socket, "connect_error").then(([error]) => assert.fail(`cannot connect: ${error.message}`)),
    ]);
    if (this.transport === "upgrade") await this.upgraded(socket);
    return socket;
  }

  async upgraded(socket) {
    while (socket.io.engine.transport.name !== "websocket") await this.sleep(5);
  }

  once(emitter, event) {
    return new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
  }

  /** Emits and waits for the acknowledgement. */
  ask(socket, event, ...args) {
    return new Promise((resolve) => socket.emit(event, ...args, (...answer) => resolve(answer)));
  }

  sleep(millis) {
    return new Promise((resolve) => setTimeout(resolve, millis));
  }

  close() {
    for (const socket of this.sockets) socket.close();
  }
}

async function main() {
  const scenario = scenarios[name];
  assert(scenario, `unknown scenario ${name}`);
  for (const transport of Object.keys(TRANSPORTS)) {
    const lab = new Lab(transport);
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`took more than ${PATIENCE} ms`)), PATIENCE);
    });
    try {
      await Promise.race([scenario(lab), late]);
    } catch (error) {
      error.message = `${name}, client ${version}, ${transport}: ${error.message}`;
      throw error;
    } finally {
      clearTimeout(timer);
    }
    lab.close();
    console.log(`ok ${transport}`);
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
