// Queries go by HTTP, subscriptions by one WebSocket that comes back by itself.
import { type CombinedError, Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-ws";

const ENDED = 4403; // the token holds no longer

export interface Connection {
  client: Client;
  close: () => void;
}

/** Connect with a token; `live` is told whether changes arrive at the moment. */
export function connect(token: string, language: string, live: (on: boolean) => void): Connection {
  const headers = { Authorization: `Bearer ${token}`, "Accept-Language": language };
  const socket = createClient({
    url: `${location.origin.replace(/^http/, "ws")}/graphql`,
    connectionParams: headers,
    retryAttempts: Infinity,
    shouldRetry: (event) => (event as CloseEvent).code !== ENDED,
    on: { connected: () => live(true), closed: () => live(false) },
  });
  const subscriptions = subscriptionExchange({
    forwardSubscription: ({ query, variables }) => ({
      subscribe(sink) {
        const payload = { query: query!, variables: { ...variables } };
        const unsubscribe = socket.subscribe<{ customerChanged?: { position: string } }>(payload, {
          ...sink,
          next(result) {
            // A new connection goes on behind what was told last: nothing is missed.
            const position = result.data?.customerChanged?.position;
            if (position) payload.variables.after = position;
            sink.next(result as Parameters<typeof sink.next>[0]);
          },
        });
        return { unsubscribe };
      },
    }),
  });
  const client = new Client({
    url: "/graphql",
    fetchOptions: { headers },
    preferGetMethod: false,
    requestPolicy: "network-only",
    exchanges: [fetchExchange, subscriptions],
  });
  return { client, close: () => void socket.dispose() };
}

/** The stable codes of what went wrong. */
export function codesOf(error: CombinedError | undefined): unknown[] {
  return error?.graphQLErrors.map((one) => one.extensions.code) ?? [];
}

/** Whether the token is wrong, or holds no longer. */
export function refused(error: CombinedError | undefined): boolean {
  const closed = error?.networkError as unknown as CloseEvent | undefined;
  return closed?.code === ENDED || codesOf(error).includes("UNAUTHENTICATED");
}

/** What people are told of an error. */
export function messageOf(error: CombinedError, unreachable: string): string {
  const messages = new Set(error.graphQLErrors.map((one) => one.message));
  return messages.size ? [...messages].join(" ") : unreachable;
}
