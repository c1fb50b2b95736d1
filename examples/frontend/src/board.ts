// What the board shows: pages as they were loaded, and over them the changes told since.
import type { CardFragment, CountsQuery } from "./gql/graphql";

/** The columns by their keys; customers whom nobody classified stand in the last. */
export const LANES = ["S", "A", "B", "C", "none"] as const;
export type Lane = (typeof LANES)[number];

export interface Column {
  loaded: CardFragment[];
  cursor: string | null; // null: there is no more
  busy: boolean;
}

/** How a customer is now, null once archived; `number` tells one change from the next. */
export interface Change {
  card: CardFragment | null;
  number: number;
}

export interface Board {
  columns: Record<Lane, Column>;
  changes: ReadonlyMap<string, Change>;
  counts: CountsQuery | null;
}

export type Action =
  | { kind: "reload" }
  | { kind: "loading"; lane: Lane }
  | { kind: "loaded"; lane: Lane; cards: CardFragment[]; cursor: string | null; more: boolean }
  | { kind: "failed"; lane: Lane }
  | { kind: "changed"; id: string; card: CardFragment | null }
  | { kind: "counted"; counts: CountsQuery };

const EMPTY: Column = { loaded: [], cursor: null, busy: true };

export const START: Board = {
  columns: { S: EMPTY, A: EMPTY, B: EMPTY, C: EMPTY, none: EMPTY },
  changes: new Map(),
  counts: null,
};

export function reduce(board: Board, action: Action): Board {
  switch (action.kind) {
    case "reload": // the cards stay until others arrive
      return { ...board, changes: new Map() };
    case "changed": {
      const number = (board.changes.get(action.id)?.number ?? 0) + 1;
      const changes = new Map(board.changes).set(action.id, { card: action.card, number });
      return { ...board, changes };
    }
    case "counted":
      return { ...board, counts: action.counts };
  }
  const column = board.columns[action.lane];
  const after = (changed: Partial<Column>): Board => ({
    ...board,
    columns: { ...board.columns, [action.lane]: { ...column, ...changed } },
  });
  if (action.kind === "loading") return after({ busy: true });
  if (action.kind === "failed") return after({ busy: false });
  const loaded = action.more ? [...column.loaded, ...action.cards] : action.cards;
  return after({ loaded, cursor: action.cursor, busy: false });
}

/** The cards of one column, in the server's order. */
export function cardsOf(board: Board, lane: Lane): CardFragment[] {
  const { loaded, cursor } = board.columns[lane];
  const last = loaded.at(-1);
  const shown = new Map(loaded.map((card) => [card.id, card]));
  for (const [id, { card }] of board.changes) {
    shown.delete(id);
    // Behind the last card that is loaded it will come with its page.
    const within = card && (cursor === null || !last || compare(card, last) <= 0);
    if (within && (card.tier ?? "none") === lane) shown.set(id, card);
  }
  return [...shown.values()].sort(compare);
}

/** Whether a customer is among the cards. */
export function isShown(board: Board, id: string): boolean {
  return LANES.some((lane) => cardsOf(board, lane).some((card) => card.id === id));
}

/** By score, the highest first and unknown ones last; then by id. */
function compare(one: CardFragment, other: CardFragment): number {
  const score = (card: CardFragment) => card.tierScore ?? -Infinity;
  if (score(one) !== score(other)) return score(one) > score(other) ? -1 : 1;
  return one.id < other.id ? -1 : Number(one.id > other.id);
}
