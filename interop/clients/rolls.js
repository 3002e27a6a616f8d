"use strict";
// Official clients receive numbered events while all workers are replaced again and again: none may be lost,
// come twice, or come in another order than the others see.
//
//   node rolls.js <clients> <rolls> <address> <command that reloads>...
//
// The clients live in PROCESSES processes. PUBLISHERS more clients send an event each PAUSE ms, by turns to all clients and to those of a room. Prints a line of JSON and ends with status 0 when all went well.

const assert = require("assert");
const { execFile, fork } = require("child_process");
const { KINDS, sleep, open, connected, until } = require("./official");

const ROOMS = 10;
const PROCESSES = Number(process.env.PROCESSES ?? 2);
const PUBLISHERS = Number(process.env.PUBLISHERS ?? 10);
const PAUSE = Number(process.env.PAUSE ?? 100);
/** What a publisher may have on its way. */
const MAX_UNANSWERED = 100;

/** What was sent: the room of each attempt (none for a broadcast), and which attempts were acknowledged. */
const sent = { rooms: [], acknowledged: new Set() };

async function main(count, times, url, command) {
  const share = Math.ceil(count / PROCESSES);
  const crowds = Array.from({ length: PROCESSES }, () => new Crowd(share, url));
  await Promise.all(crowds.map((crowd) => crowd.told("joined")));
  const publishers = await Promise.all(Array.from({ length: PUBLISHERS }, () => connected(url, "websocket")));
  // Each has an offset before the first reload, without which there is no recovery.
  const first = await publish(publishers[0], null);
  await Promise.all(crowds.map((crowd) => crowd.ask("await", first)));
  let rolling = true;
  const publishing = publishers.map(async (publisher, i) => {
    const sending = new Set();
    for (let n = i; rolling || sending.size > 0; n++) {
      if (rolling && sending.size < MAX_UNANSWERED) {
        const event = publish(publisher, n % 2 ? `room ${n % ROOMS}` : null).then(() => sending.delete(event));
        sending.add(event);
      }
      await sleep(PAUSE);
    }
  });
  const started = Date.now();
  for (let i = 0; i < times; i++) await reload(command);
  const seconds = (Date.now() - started) / 1000;
  rolling = false;
  await Promise.all(publishing);
  const last = await publish(publishers[0], null);
  await Promise.all(crowds.map((crowd) => crowd.ask("await", last)));
  await sleep(300); // for one that comes twice

  const results = await Promise.all(crowds.map((crowd) => crowd.ask("result")));
  const clients = results.flatMap((result) => result.clients);
  const sum = (name) => results.reduce((sum, result) => sum + result.stats[name], 0);
  const result = {
    clients: clients.length,
    rolls: times,
    seconds,
    events: sent.acknowledged.size,
    broadcasts: [...sent.acknowledged].filter((id) => sent.rooms[id] === null).length,
    attempts: sent.rooms.length,
    received: clients.reduce((sum, c) => sum + c.got.length, 0),
    different: judge(clients),
    disconnects: sum("disconnects"),
    recovered: sum("recovered"),
    fresh: sum("fresh"),
    longest: Math.max(...results.map((result) => result.stats.longest)),
    busiest: busiest(results),
  };
  console.log(JSON.stringify(result));
  assert.strictEqual(result.different, 0, "clients that lost events, got some twice or in another order");
  assert.strictEqual(result.fresh, 0, "clients that were not recovered");
}

/** A process with some of the clients. */
class Crowd {
  constructor(count, url) {
    this.process = fork(__filename, ["crowd", count, url]);
    this.process.on("exit", (status) => status && process.exit(1));
  }
  told(what) {
    return new Promise((resolve) => {
      const listen = (message) => {
        if (message.what !== what) return;
        this.process.off("message", listen);
        resolve(message.answer);
      };
      this.process.on("message", listen);
    });
  }
  ask(what, value) {
    this.process.send({ what, value });
    return this.told(what);
  }
}

/** Such a process: clients of all kinds, a tenth in each room. */
async function crowd(count, url) {
  const stats = { disconnects: 0, recovered: 0, fresh: 0, longest: 0 };
  /** How many came back in each tenth of a second. */
  const returns = {};
  const clients = [];
  for (let i = 0; i < count; i++) {
    const client = open(url, KINDS[i % KINDS.length]);
    client.got = [];
    client.room = `room ${i % ROOMS}`;
    client.on("n", (id) => client.got.push(id));
    client.on("disconnect", () => {
      client.lost = Date.now();
      stats.disconnects++;
    });
    client.on("connect", () => {
      if (!client.lost) return client.emit("join", client.room, () => (client.joined = true));
      stats.longest = Math.max(stats.longest, Date.now() - client.lost);
      client.recovered ? stats.recovered++ : stats.fresh++;
      const tenth = Math.floor(Date.now() / 100);
      returns[tenth] = (returns[tenth] ?? 0) + 1;
    });
    clients.push(client);
    if (i % 50 === 49) await until("clients to join", () => clients.every((c) => c.joined));
  }
  await until("clients to join", () => clients.every((c) => c.joined));
  process.send({ what: "joined" });
  process.on("message", async ({ what, value }) => {
    if (what === "await") await until("an event", () => clients.every((c) => c.connected && c.got.lastIndexOf(value) >= 0));
    const answer = what === "result" ? { stats, returns, clients: clients.map(({ room, got }) => ({ room, got })) } : null;
    process.send({ what, answer });
  });
  process.on("disconnect", () => process.exit(0));
  return new Promise(() => {});
}

/** The most that came back in a tenth of a second. */
function busiest(results) {
  const returns = {};
  for (const result of results) {
    for (const [tenth, count] of Object.entries(result.returns)) returns[tenth] = (returns[tenth] ?? 0) + count;
  }
  return Math.max(0, ...Object.values(returns));
}

/** Sends an event until it is acknowledged: again, under another number, if the connection went with it. */
async function publish(publisher, room) {
  for (;;) {
    const id = sent.rooms.push(room) - 1;
    try {
      const args = room ? ["to", room, "n", id] : ["all", "n", id];
      await publisher.timeout(3000).emitWithAck(...args);
      sent.acknowledged.add(id);
      return id;
    } catch {}
  }
}

function reload(command) {
  return new Promise((resolve, reject) =>
    execFile(command[0], command.slice(1), (error, out, err) => (error ? reject(new Error(`${error.message}${out}${err}`)) : resolve())),
  );
}

/** How many clients got anything else than all events that were for them, once, in the order that all see. */
function judge(clients) {
  // What came to anybody without being acknowledged was for everybody, too.
  const arrived = new Set(sent.acknowledged);
  for (const client of clients) client.got.forEach((id) => arrived.add(id));
  const broadcasts = (client) => client.got.filter((id) => sent.rooms[id] === null);
  const all = JSON.stringify(broadcasts(clients[0]));
  const first = {};
  let different = 0;
  for (const client of clients) {
    const got = new Set(client.got);
    const lost = [...arrived].filter((id) => [null, client.room].includes(sent.rooms[id]) && !got.has(id));
    const foreign = client.got.filter((id) => ![null, client.room].includes(sent.rooms[id]));
    const twice = client.got.length - got.size;
    first[client.room] ??= JSON.stringify(client.got);
    const ordered = JSON.stringify(client.got) === first[client.room] && JSON.stringify(broadcasts(client)) === all;
    if (ordered && twice === 0 && lost.length === 0 && foreign.length === 0) continue;
    if (different++ < 3) console.error("differs", { got: client.got.length, lost: lost.slice(0, 5), twice, foreign: foreign.length, ordered });
  }
  return different;
}

const [first, ...rest] = process.argv.slice(2);
const run = first === "crowd" ? crowd(Number(rest[0]), rest[1]) : main(Number(first), Number(rest[0]), rest[1], rest.slice(2));
run.then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
