// flagd's own evaluation of a definition file, over OFREP as flagd serves it: `server.mjs FILE` prints its port.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { FlagdCore } from "@openfeature/flagd-core";

const PATH = "/ofrep/v1/evaluate/flags/";
const file = process.argv[2];

// Read anew for each request: a changed file counts at once, as flagd's watcher makes it.
function evaluate(key, context) {
  const flagd = new FlagdCore();
  flagd.setConfigurations(readFileSync(file, "utf8"));
  const found = flagd.resolveAll(context).find((one) => one.flagKey === key);
  if (found === undefined) return [404, { key, errorCode: "FLAG_NOT_FOUND" }];
  return [200, { key, value: found.value, variant: found.variant, reason: found.reason }];
}

const server = createServer(async (request, response) => {
  const parts = await request.toArray();
  const { context } = JSON.parse(Buffer.concat(parts).toString());
  const key = decodeURIComponent(request.url.slice(PATH.length));
  const [status, answer] = request.url.startsWith(PATH) ? evaluate(key, context) : [404, {}];
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(answer));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
