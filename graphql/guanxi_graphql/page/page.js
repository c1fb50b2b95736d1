"use strict";

// The token lives in this tab only: sessionStorage, never in the address, a cookie or localStorage.
(() => {
  const KEY = "guanxi.token";
  const TEXTS = {
    en: {
      label: "API token",
      use: "Use",
      none: "Enter a token to see the schema: guanxi token create --tenant NAME",
      refused: "The server does not accept this token.",
      unreachable: "The server does not answer.",
    },
    zh: {
      label: "API 令牌",
      use: "使用",
      none: "请输入令牌以加载 schema：guanxi token create --tenant 名称",
      refused: "服务器不接受此令牌。",
      unreachable: "服务器没有响应。",
    },
  };
  const QUERY = `# Run this with Ctrl-Enter.
# The book on the left explains every field.

query Customers {
  customers(first: 10) {
    totalCount
    edges {
      node {
        id
        name
      }
    }
  }
}
`;

  const texts = navigator.language.startsWith("zh") ? TEXTS.zh : TEXTS.en;
  const element = React.createElement;
  const input = document.getElementById("token");
  const hint = document.getElementById("hint");
  const editor = document.getElementById("editor");

  document.querySelector("label[for=token]").textContent = texts.label;
  document.getElementById("use").textContent = texts.use;

  const say = (text, problem) => {
    hint.textContent = text;
    hint.className = problem ? "problem" : "";
  };

  const fetcherFor = (token) => async (request, options = {}) => {
    let response;
    try {
      response = await fetch(location.pathname, {
        method: "POST",
        credentials: "omit",
        headers: {
          accept: "application/json",
          "content-type": "application/json",
          ...options.headers,
          authorization: `Bearer ${token}`,
        },
        body: JSON.stringify(request),
      });
    } catch (error) {
      say(texts.unreachable, true);
      throw error;
    }
    say(response.status === 401 ? texts.refused : "", true);
    return response.json();
  };

  const App = ({ token }) => {
    const [query, setQuery] = React.useState(undefined);
    const fetcher = React.useMemo(() => fetcherFor(token), [token]);
    const explorer = GraphiQLPluginExplorer.useExplorerPlugin({ query, onEdit: setQuery });
    return element(GraphiQL, {
      fetcher,
      schema: token ? undefined : null, // without a token there is no schema to ask for
      query,
      onEditQuery: setQuery,
      defaultQuery: QUERY,
      plugins: [explorer],
      isHeadersEditorEnabled: true,
      shouldPersistHeaders: false,
    });
  };

  const show = () => {
    const token = sessionStorage.getItem(KEY) || "";
    input.value = token;
    say(token ? "" : texts.none);
    ReactDOM.unmountComponentAtNode(editor);
    ReactDOM.render(element(App, { token }), editor);
  };

  document.getElementById("bar").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, input.value.trim());
    show();
  });

  show();
})();
