// Loads the board's pages and follows what happens to them.
import type { CombinedError } from "@urql/core";
import { useCallback, useEffect, useReducer, useRef, useState } from "react";
import { useClient } from "urql";
import { type Board, isShown, LANES, type Lane, reduce, START } from "./board";
import { codesOf } from "./client";
import { Changes, Column, Counts } from "./documents";

// Milliseconds.
const PATIENCE = 2000; // to wait for the subscription before pages are loaded without it
const PAUSE = 200; // in which several changes are answered by one request

export interface Followed {
  board: Board;
  error: CombinedError | undefined;
  more: (lane: Lane) => void;
  retry: () => void;
}

export function useBoard(search: string): Followed {
  const client = useClient();
  const [board, dispatch] = useReducer(reduce, START);
  const [error, setError] = useState<CombinedError>();
  const [lost, setLost] = useState<CombinedError>(); // of the subscription: changes are not told
  const [started, start] = useReducer((former: number) => former + 1, 0);
  const [attempt, followAnew] = useReducer((former: number) => former + 1, 0);
  const round = useRef(0); // answers of an earlier round are dropped
  const now = useRef({ board, search });
  now.current = { board, search };

  const count = useCallback(async () => {
    const mine = round.current;
    const { data } = await client.query(Counts, { search: now.current.search || null });
    if (data && mine === round.current) dispatch({ kind: "counted", counts: data });
  }, [client]);

  const load = useCallback(
    async (lane: Lane, after: string | null) => {
      const mine = round.current;
      const where = { tier: lane === "none" ? { isNull: true } : { eq: lane } };
      dispatch({ kind: "loading", lane });
      const variables = { where, search: now.current.search || null, after };
      const { data, error } = await client.query(Column, variables);
      if (mine !== round.current) return;
      if (error) setError(error);
      if (!data?.customers) return dispatch({ kind: "failed", lane });
      const { pageInfo, edges } = data.customers;
      const cursor = pageInfo.hasNextPage ? (pageInfo.endCursor ?? null) : null;
      const cards = edges.map((edge) => edge.node);
      dispatch({ kind: "loaded", lane, cards, cursor, more: after !== null });
    },
    [client],
  );

  const reload = useCallback(() => {
    round.current += 1;
    setError(undefined);
    dispatch({ kind: "reload" });
    for (const lane of LANES) void load(lane, null);
    void count();
  }, [count, load]);

  useEffect(() => {
    if (started) reload();
  }, [started, search, reload]);

  useEffect(() => {
    let begun = false;
    let counting: number | undefined;
    let reloading: number | undefined;
    const waiting = window.setTimeout(start, PATIENCE);
    const reloadSoon = () => {
      window.clearTimeout(reloading);
      reloading = window.setTimeout(reload, PAUSE);
    };
    const following = client.subscription(Changes, {}).subscribe(({ data, error }) => {
      if (codesOf(error).includes("POSITION_EXPIRED")) return followAnew(); // away for a day
      setLost(data ? undefined : error);
      if (!begun) {
        begun = true; // from here on changes are told: what is loaded now misses none
        window.clearTimeout(waiting);
        start();
      }
      const { action, customer } = data?.customerChanged ?? {};
      if (action === "RELOAD") return reloadSoon();
      if (!customer) return;
      const { board, search } = now.current;
      // Whether others are found now, only the server can tell.
      if (search && !isShown(board, customer.id)) return reloadSoon();
      const card = action === "ARCHIVED" ? null : customer;
      dispatch({ kind: "changed", id: customer.id, card });
      window.clearTimeout(counting);
      counting = window.setTimeout(() => void count(), PAUSE);
    });
    return () => {
      for (const timer of [counting, reloading, waiting]) window.clearTimeout(timer);
      following.unsubscribe();
    };
  }, [client, attempt, count, reload]);

  const more = (lane: Lane) => void load(lane, board.columns[lane].cursor);
  const retry = () => {
    if (lost) followAnew();
    reload();
  };
  return { board, error: error ?? lost, more, retry };
}
