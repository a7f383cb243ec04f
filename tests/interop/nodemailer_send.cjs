// node nodemailer_send.cjs OPTIONS: send a file by Nodemailer.
// OPTIONS is JSON: { transport, envelope, file } with transport.tls.ca as the name of a file.
"use strict";
const fs = require("node:fs");
const nodemailer = require("nodemailer");

const options = JSON.parse(process.argv[2]);
options.transport.tls.ca = fs.readFileSync(options.transport.tls.ca);
const transport = nodemailer.createTransport(options.transport);
transport
  .sendMail({ envelope: options.envelope, raw: fs.readFileSync(options.file) })
  .then((info) => console.log(info.response))
  .catch((error) => {
    console.error(error);
    process.exitCode = 1;
  })
  .finally(() => transport.close());
