import { type FormEvent, useEffect, useState } from "react";
import { Provider, useQuery } from "urql";
import { BoardView } from "./BoardView";
import { type Connection, connect, messageOf, refused } from "./client";
import { Start } from "./documents";
import { language, texts } from "./texts";

const KEY = "guanxi.token"; // of sessionStorage: the token goes with the tab

export function App() {
  const [token, setToken] = useState(() => sessionStorage.getItem(KEY));
  const [wrong, setWrong] = useState(false);

  function enter(given: string) {
    sessionStorage.setItem(KEY, given);
    setWrong(false);
    setToken(given);
  }

  function leave(refused: boolean) {
    sessionStorage.removeItem(KEY);
    setWrong(refused);
    setToken(null);
  }

  if (token === null) return <SignIn wrong={wrong} enter={enter} />;
  return <Session key={token} token={token} leave={leave} />;
}

function SignIn({ wrong, enter }: { wrong: boolean; enter: (token: string) => void }) {
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    enter(String(new FormData(event.currentTarget).get("token")).trim());
  }
  return (
    <form className="sign-in" onSubmit={submit}>
      <h1>{texts.title}</h1>
      <p>{texts.about}</p>
      <label htmlFor="token">{texts.token}</label>
      <input id="token" name="token" type="password" required autoFocus autoComplete="off" />
      <small>{texts.tokenHelp}</small>
      {wrong && <p role="alert">{texts.wrong}</p>}
      <button>{texts.open}</button>
    </form>
  );
}

interface SessionProps {
  token: string;
  leave: (refused: boolean) => void;
}

function Session({ token, leave }: SessionProps) {
  const [live, setLive] = useState(false);
  const [connection, setConnection] = useState<Connection>();
  useEffect(() => {
    const made = connect(token, language, setLive);
    setConnection(made);
    return made.close;
  }, [token]);
  if (!connection) return null;
  return (
    <Provider value={connection.client}>
      <Page live={live} leave={leave} />
    </Provider>
  );
}

function Page({ live, leave }: { live: boolean; leave: (refused: boolean) => void }) {
  const [{ data, error }, again] = useQuery({ query: Start });
  const [search, setSearch] = useState("");
  const out = refused(error);
  useEffect(() => {
    if (out) leave(true);
  }, [out, leave]);
  if (out) return null;
  return (
    <>
      <header>
        <h1>{texts.title}</h1>
        {data && <p className="who">{`${data.tenant.name} · ${data.viewer.name}`}</p>}
        <p className="live" data-on={live} role="status">
          {live ? texts.live : texts.waiting}
        </p>
        <SearchBox search={setSearch} />
        <button className="quiet" onClick={() => leave(false)}>
          {texts.leave}
        </button>
      </header>
      {error && (
        <p role="alert">
          {messageOf(error, texts.unreachable)}
          <button onClick={() => again()}>{texts.retry}</button>
        </p>
      )}
      {data && <BoardView labels={data.enumLabels} search={search} refused={() => leave(true)} />}
    </>
  );
}

function SearchBox({ search }: { search: (text: string) => void }) {
  const [text, setText] = useState("");
  useEffect(() => {
    const typing = setTimeout(() => search(text.trim()), 250);
    return () => clearTimeout(typing);
  }, [text, search]);
  return (
    <input
      type="search"
      aria-label={texts.search}
      placeholder={texts.searchHelp}
      maxLength={200}
      value={text}
      onChange={(event) => setText(event.target.value)}
    />
  );
}
