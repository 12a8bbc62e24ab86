// An older npm compiler (WebAssembly) behind standard JSON: `node solc.js WRAPPER SOLJSON < input > output`.
"use strict";

const fs = require("node:fs");

const [wrapper, soljson] = process.argv.slice(2);
const compiler = require(wrapper)(require(soljson));
const output = compiler.compile(fs.readFileSync(0, "utf8"));
fs.writeFileSync(1, JSON.stringify({ version: compiler.version(), output: JSON.parse(output) }));
