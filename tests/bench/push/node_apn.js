// The peer of "push": npm @parse/node-apn, what a Node service would use.
// node node_apn.js OPTIONS-JSON; prints one line of JSON with the CPU time of
// the whole process after its first pushes.
"use strict";

const o = JSON.parse(process.argv[2]);
const apn = require(o.module);
const fs = require("fs");

const provider = new apn.Provider({
  token: { key: o.key, keyId: o.keyId, teamId: o.team },
  production: true,
  address: o.host,
  port: o.port,
  ca: fs.readFileSync(o.ca),
  rejectUnauthorized: true,
});
const payload = JSON.parse(o.body);
let sent = 0, good = 0, bad = [];

function uuid(n) {
  return "be000000-" + (process.pid & 0xffff).toString(16).padStart(4, "0") +
    "-4000-8000-" + n.toString(16).padStart(12, "0");
}

async function one(n) {
  const note = new apn.Notification();
  note.topic = o.topic + ".voip";
  note.pushType = "voip";
  note.priority = 10;
  note.id = uuid(n);
  note.collapseId = uuid(n);
  note.expiry = Math.floor(Date.now() / 1000) + 15;
  note.rawPayload = payload;
  const r = await provider.send(note, (n % 1000).toString(16).padStart(64, "0"));
  good += r.sent.length;
  if (r.failed.length && bad.length < 3) bad.push(r.failed[0]);
}

async function lane(count) {
  while (sent < count) await one(sent++);
}

async function all(count) {
  const lanes = [];
  for (let i = 0; i < o.outstanding; i++) lanes.push(lane(count));
  await Promise.all(lanes);
}

(async () => {
  await one(sent++);
  const warm = sent + o.warm;
  await all(warm);
  const first = sent, begin = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  await all(first + o.count);
  const used = process.cpuUsage(cpu);
  console.log(JSON.stringify({
    pushes: sent, good,
    seconds: Number(process.hrtime.bigint() - begin) / 1e9,
    cpu_us: (used.user + used.system) / (sent - first), bad,
  }));
  process.exit(good === sent ? 0 : 1);
})().catch((e) => { console.error(e); process.exit(1); });
