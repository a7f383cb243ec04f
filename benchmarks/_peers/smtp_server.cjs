// node smtp_server.cjs [CERTIFICATE]: Nodemailer's smtp-server on loopback, until a signal. It prints its port.
// With a certificate it offers STARTTLS and AUTH.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { SMTPServer } = require(path.join(__dirname, "../../tests/interop/node_modules/smtp-server"));

const pem = process.argv[2] && fs.readFileSync(process.argv[2]);

const server = new SMTPServer({
  name: "mx.example.org",
  disableReverseLookup: true,
  ...(pem ? { cert: pem, key: pem, authMethods: ["PLAIN"] } : { disabledCommands: ["AUTH", "STARTTLS"] }),
  onAuth({ username, password }, session, callback) {
    const right = username === "user" && password === "password";
    callback(right ? null : new Error("Wrong"), { user: username });
  },
  onData(stream, session, callback) {
    stream.on("end", () => callback(null, "Taken")).resume();
  },
});
server.on("error", () => {}); // of a connection: a client that has gone
server.server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, () => console.log(server.server.address().port));
