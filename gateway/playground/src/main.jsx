import "graphiql/setup-workers/vite";
import "graphiql/style.css";
import "./style.css";

import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { useMemo, useState } from "react";
import { createRoot } from "react-dom/client";

import { examplesPlugin } from "./examples.jsx";
import { createFetcher } from "./fetcher.js";
import { Plan } from "./plan.jsx";

// What the server says about this shop: where the graph is, which operations to offer, which accounts exist.
const config = JSON.parse(document.getElementById("souk").textContent);

// Where nobody has moved the borders yet, the answer gets more room than GraphiQL gives it.
for (const [border, flex] of [["docExplorerFlex", "0.22"], ["editorFlex", "0.7"]]) {
  localStorage.getItem(`graphiql:${border}`) ?? localStorage.setItem(`graphiql:${border}`, flex);
}

const welcome = `# Every example on the left runs as it is.
# Ctrl-Enter runs an operation, Ctrl-Space completes.
`;

function Playground() {
  const [plan, setPlan] = useState(null);
  const [token, setToken] = useState(null);
  const fetcher = useMemo(() => createFetcher(config.endpoint, { onPlan: setPlan, onToken: setToken }), []);
  const plugins = useMemo(() => [examplesPlugin(config), HISTORY_PLUGIN], []);
  const first = config.examples[0];
  return (
    <div className="souk">
      <main>
        <GraphiQL
          fetcher={fetcher}
          plugins={plugins}
          visiblePlugin={plugins[0]}
          defaultQuery={welcome + (first?.query ?? "")}
          initialVariables={first?.variables ? JSON.stringify(first.variables, null, 2) : undefined}
          defaultHeaders={'{\n  "Authorization": ""\n}'}
          defaultEditorToolsVisibility="headers"
          shouldPersistHeaders
        >
          <GraphiQL.Logo>
            <strong>souk</strong>
          </GraphiQL.Logo>
          <GraphiQL.Footer>
            <Plan plan={plan} token={token} onTokenUsed={() => setToken(null)} />
          </GraphiQL.Footer>
        </GraphiQL>
      </main>
    </div>
  );
}

createRoot(document.getElementById("app")).render(<Playground />);
