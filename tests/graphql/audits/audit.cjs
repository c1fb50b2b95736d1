// Audits the server at the first argument as GraphQL over HTTP; prints one JSON list of results.
const { createRequire } = require("node:module");
const path = require("node:path");

const [folder, url, token] = process.argv.slice(2);
const { serverAudits } = createRequire(path.join(folder, "package.json"))("graphql-http");

const fetchFn = (address, options = {}) => {
  const headers = new Headers(options.headers);
  headers.set("authorization", `Bearer ${token}`);
  return fetch(address, { ...options, headers });
};

(async () => {
  const results = [];
  for (const audit of serverAudits({ url, fetchFn })) {
    const { id, name, status, reason } = await audit.fn();
    results.push({ id, name, status, reason });
  }
  console.log(JSON.stringify(results));
})();
