// node smtp_server_serve.cjs OPTIONS: Nodemailer's smtp-server on loopback, until its standard input ends.
// OPTIONS is JSON: { lmtp, certificate, key, user, password, token, refused, full } with certificate and key as
// names of files. It prints JSON lines: { port, tls_port }, then each message.
"use strict";
const fs = require("node:fs");
const { SMTPServer } = require("smtp-server");

const options = JSON.parse(process.argv[2]);

function say(value) {
  process.stdout.write(JSON.stringify(value) + "\n"); // of pipes, synchronous and whole
}

function refusal(code, text) {
  return Object.assign(new Error(text), { responseCode: code });
}

function onAuth(auth, session, callback) {
  const right =
    auth.username === options.user &&
    (auth.method === "XOAUTH2"
      ? auth.accessToken === options.token
      : auth.method === "CRAM-MD5"
        ? auth.validatePassword(options.password)
        : auth.password === options.password);
  if (right) return callback(null, { user: auth.username });
  if (auth.method === "XOAUTH2") return callback(null, { data: { status: "401", schemes: "bearer", scope: "mail" } });
  return callback(refusal(535, "5.7.8 Wrong"));
}

function onRcptTo(address, session, callback) {
  callback(address.address === options.refused ? refusal(550, "Unknown") : null);
}

function onData(stream, session, callback) {
  const chunks = [];
  stream.on("data", (chunk) => chunks.push(chunk));
  stream.on("end", () => {
    const { mailFrom, rcptTo } = session.envelope;
    const taken = rcptTo.filter((to) => !options.lmtp || to.address !== options.full);
    say({
      sender: mailFrom.address,
      params: mailFrom.args || {},
      recipients: taken.map((to) => [to.address, to.args || {}]),
      user: session.user || "",
      tls: session.secure,
      octets: Buffer.concat(chunks).toString("base64"),
    });
    const replies = rcptTo.map((to) => (taken.includes(to) ? "Taken" : refusal(552, "Full")));
    callback(null, options.lmtp ? replies : "Taken");
  });
}

function serve(secure) {
  const server = new SMTPServer({
    secure,
    lmtp: options.lmtp,
    name: "localhost",
    cert: fs.readFileSync(options.certificate),
    key: fs.readFileSync(options.key),
    authMethods: ["PLAIN", "LOGIN", "XOAUTH2", "CRAM-MD5"],
    authOptional: true,
    size: 33554432,
    hideDSN: false,
    hideREQUIRETLS: false,
    hideENHANCEDSTATUSCODES: false,
    useXClient: true,
    useXForward: true,
    disableReverseLookup: true,
    onAuth,
    onRcptTo,
    onData,
  });
  server.on("error", () => {}); // of a connection: a client that has gone
  return new Promise((resolve, reject) => {
    server.server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(server.server.address().port));
  });
}

Promise.all([serve(false), serve(true)]).then(([port, tls_port]) => say({ port, tls_port }));
process.stdin.on("end", () => process.exit(0)).resume();
