"use strict";
// What the scripts with official clients have in common.

const assert = require("assert");
const { io } = require("socket.io-client");

const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };
const KINDS = Object.keys(TRANSPORTS);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const once = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));

function open(url, kind, options = {}) {
  return io(url, {
    transports: TRANSPORTS[kind],
    forceNew: true,
    reconnectionDelay: 100,
    reconnectionDelayMax: 1000,
    rejectUnauthorized: false, // certificates of the tests are signed by nobody
    ...options,
  });
}

async function connected(url, kind, options) {
  const socket = open(url, kind, options);
  if (!socket.connected) await once(socket, "connect");
  return socket;
}

async function until(what, condition) {
  const limit = Date.now() + 20_000;
  while (!(await condition())) {
    assert(Date.now() < limit, `waited in vain for ${what}`);
    await sleep(20);
  }
}

module.exports = { KINDS, sleep, once, open, connected, until };
