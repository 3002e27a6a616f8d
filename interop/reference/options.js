"use strict";
// The options of a probe, as JSON, turned into what the official packages take.
// Everything that is a function there is a small rule here, so that a twin in another language
// needs no interpreter:
//
//   allowRequest  {"refuse": text | number | true, "delay": ms, "when": query key}
//   generateId    {"prefix": text} | {"fail": text}
//   cors          {"origin": "*" | text | list | true | false | {"pattern": text}, …}
//   use           list of {"set": [name, value]} | {"end": status} | {"fail": text} | {"delay": ms}
//   initialHeaders, headers   {name: value}
//   pages         {path: text}: answers of the application, attached before the engine
//   foreignUpgrade {"path": text, "after": ms}: the application answers upgrades on another path
//   adapter       see adapter.js
const http = require("http");
const { report } = require("./support");

const FOR_US = [
  "engine", "standalone", "allowRequest", "generateId", "cors", "use", "initialHeaders", "headers",
  "pages", "foreignUpgrade", "report", "parser", "attachOptions", "adapter",
];

function read() {
  const given = JSON.parse(process.env.PROBE_OPTIONS ?? "{}");
  const plain = Object.fromEntries(Object.entries(given).filter(([key]) => !FOR_US.includes(key)));
  if (given.cors !== undefined) plain.cors = cors(given.cors);
  if (given.allowRequest) plain.allowRequest = allowRequest(given.allowRequest);
  if (given.parser === "msgpack") plain.parser = require("socket.io-msgpack-parser");
  if (plain.cookie?.expires) plain.cookie.expires = new Date(plain.cookie.expires);
  return { given, plain, reports: new Set(given.report ?? []) };
}

function cors(given) {
  if (given?.origin?.pattern) return { ...given, origin: new RegExp(given.origin.pattern) };
  return given;
}

function allowRequest(rule) {
  return (req, callback) => {
    report("allow_request", { url: req.url });
    const query = req._query ?? {};
    const applies = rule.refuse !== undefined && (!rule.when || query[rule.when] !== undefined);
    const decide = () => {
      if (!applies) return callback(null, true);
      callback(rule.refuse === true ? undefined : rule.refuse, false);
    };
    rule.delay ? setTimeout(decide, rule.delay) : decide();
  };
}

/** The application's own HTTP server, with its pages. */
function httpServer({ given }) {
  const pages = given.pages ?? {};
  const server = http.createServer((req, res) => {
    const path = req.url.split("?")[0];
    if (Object.hasOwn(pages, path)) return res.end(pages[path]);
    if (!path.startsWith(given.path ?? (given.engine ? "/engine.io" : "/socket.io"))) res.writeHead(404).end("not here");
  });
  const foreign = given.foreignUpgrade;
  if (foreign) {
    server.on("upgrade", (req, socket) => {
      if (req.url.startsWith(foreign.path)) {
        setTimeout(() => socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\nforeign"), foreign.after);
      }
    });
  }
  return server;
}

/** Hooks of the engine: middlewares, headers, ids, refusals. */
function hook(engine, { given, reports }) {
  for (const step of given.use ?? []) engine.use(middleware(step));
  if (given.generateId) {
    let next = 0;
    engine.generateId = async () => {
      if (given.generateId.fail) throw new Error(given.generateId.fail);
      return `${given.generateId.prefix}${next++}`;
    };
  }
  engine.on("initial_headers", (headers, req) => {
    Object.assign(headers, given.initialHeaders ?? {});
    if (reports.has("headers")) report("initial_headers", { url: req.url, method: req.method });
  });
  engine.on("headers", (headers, req) => {
    Object.assign(headers, given.headers ?? {});
    if (reports.has("headers")) report("headers", { url: req.url, method: req.method });
  });
  engine.on("connection_error", ({ req, code, message, context }) => {
    report("connection_error", { code, message, context, url: req?.url, method: req?.method });
  });
}

function middleware(step) {
  return (req, res, next) => {
    if (step.set) res.setHeader(...step.set);
    if (step.report) report("middleware", { url: req.url, method: req.method });
    if (step.fail) return next(new Error(step.fail));
    if (step.end) {
      res.writeHead(step.end);
      return res.end("ended");
    }
    step.delay ? setTimeout(next, step.delay) : next();
  };
}

module.exports = { read, httpServer, hook };
