// Follows customers with the official clients; what is heard goes to stdout, a line of JSON each.
import { createInterface } from "node:readline";
import { createClient as createStream } from "graphql-sse";
import { createClient as createSocket } from "graphql-ws";
import WebSocket from "ws";

const [kind, url, token] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const say = (told) => console.log(JSON.stringify(told));

const query = `subscription ($after: String) {
  customerChanged(after: $after) { action customer { name } position }
}`;
const variables = { after: null };
const told = {
  next: ({ data, errors }) => {
    if (errors) return say({ errors });
    variables.after = data.customerChanged.position; // where a new connection goes on
    say(data.customerChanged);
  },
  error: (error) => say({ error: error.code ?? error[0]?.extensions.code ?? String(error) }),
  complete: () => say({ complete: true }),
};

const client =
  kind === "ws"
    ? createSocket({
        url: url.replace("http", "ws"),
        webSocketImpl: WebSocket,
        connectionParams: headers,
        retryAttempts: 5,
        shouldRetry: (event) => event.code !== 4403,
        retryWait: () => new Promise((done) => setTimeout(done, 50)),
        on: { closed: (event) => say({ closed: event.code }) },
      })
    : createStream({ url, headers, retryAttempts: 0 });

const ask = (text) =>
  new Promise((done, fail) => {
    let answer;
    const sink = { next: (given) => (answer = given), error: fail, complete: () => done(answer) };
    client.subscribe({ query: text }, sink);
  });

const end = client.subscribe({ query, variables }, told);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "drop") client.terminate();
  else if (line === "end") break;
  else say(await ask(line));
}
end();
await client.dispose();
process.exit(0);
