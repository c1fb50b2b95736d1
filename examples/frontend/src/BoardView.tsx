import { useEffect } from "react";
import { type Board, cardsOf, LANES, type Lane } from "./board";
import { messageOf, refused as isRefused } from "./client";
import type { CardFragment, StartQuery } from "./gql/graphql";
import { language, texts } from "./texts";
import { useBoard } from "./useBoard";

type Labels = StartQuery["enumLabels"];

interface BoardProps {
  labels: Labels;
  search: string;
  refused: () => void;
}

export function BoardView({ labels, search, refused }: BoardProps) {
  const { board, error, more, retry } = useBoard(search);
  const out = isRefused(error);
  useEffect(() => {
    if (out) refused();
  }, [out, refused]);
  return (
    <>
      {error && (
        <p role="alert">
          {messageOf(error, texts.unreachable)}
          <button onClick={retry}>{texts.retry}</button>
        </p>
      )}
      <main>
        {LANES.map((lane) => (
          <ColumnView key={lane} lane={lane} board={board} labels={labels} more={more} />
        ))}
      </main>
    </>
  );
}

interface ColumnProps {
  lane: Lane;
  board: Board;
  labels: Labels;
  more: (lane: Lane) => void;
}

function ColumnView({ lane, board, labels, more }: ColumnProps) {
  const { busy, cursor } = board.columns[lane];
  const cards = cardsOf(board, lane);
  const title = lane === "none" ? texts.none : labelOf(labels, "Tier", lane);
  return (
    <section aria-labelledby={`lane-${lane}`} data-lane={lane} aria-busy={busy}>
      <h2 id={`lane-${lane}`}>
        {lane !== "none" && <span className="tier">{lane}</span>}
        {title}
        <output>{board.counts?.[lane]?.totalCount ?? ""}</output>
      </h2>
      <ul>
        {cards.map((card) => (
          <CardView
            key={`${card.id} ${board.changes.get(card.id)?.number ?? ""}`}
            card={card}
            labels={labels}
            fresh={board.changes.has(card.id)}
          />
        ))}
      </ul>
      {cards.length === 0 && !busy && <p className="empty">{texts.empty}</p>}
      {(busy || cursor !== null) && (
        <button className="quiet" disabled={busy} onClick={() => more(lane)}>
          {busy ? texts.loading : texts.more}
        </button>
      )}
    </section>
  );
}

interface CardProps {
  card: CardFragment;
  labels: Labels;
  fresh: boolean;
}

function CardView({ card, labels, fresh }: CardProps) {
  const { tierScore: score, purchaseTotal: bought } = card;
  return (
    <li className={fresh ? "card fresh" : "card"} data-id={card.id}>
      <h3>{card.name}</h3>
      {card.nameEn && card.nameEn !== card.name && <p className="also">{card.nameEn}</p>}
      <p className="tags">
        <span>{labelOf(labels, "IndustryClass", card.industryClass)}</span>
        <span>{labelOf(labels, "Lifecycle", card.lifecycle)}</span>
        {card.office && <span>{card.office.name}</span>}
      </p>
      <dl>
        {typeof score === "number" && <Fact name={texts.score} value={decimal(score)} />}
        {card.stewardName && <Fact name={texts.steward} value={card.stewardName} />}
        {bought && <Fact name={texts.purchases} value={money(bought.amount, bought.currency)} />}
      </dl>
    </li>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** What people call a value of an enum. */
function labelOf(labels: Labels, name: string, value: string): string {
  const values = labels.find((one) => one.name === name)?.values;
  return values?.find((one) => one.value === value)?.label ?? value;
}

function decimal(value: number): string {
  return new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(value);
}

function money(amount: string, currency: string): string {
  const style = { style: "currency", currency, notation: "compact" } as const;
  return new Intl.NumberFormat(language, style).format(Number(amount));
}
