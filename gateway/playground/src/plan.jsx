import { useGraphiQL } from "@graphiql/react";
import { print, parse } from "graphql";
import { useState } from "react";

// Plan shows how the last answer was fetched: steps below a line wait for those above it, steps behind a bar run at once.
export function Plan({ plan, token, onTokenUsed }) {
  const [shown, setShown] = useState(true);
  const { fetches, hops } = count(plan);
  return (
    <div className={shown ? "souk-plan" : "souk-plan souk-folded"}>
      {token && <UseToken token={token} onUsed={onTokenUsed} />}
      <header>
        <button type="button" aria-expanded={shown} onClick={() => setShown(!shown)}>
          {shown ? "▾" : "▸"} Query plan
        </button>
        {plan && (
          <span>
            {fetches} {fetches === 1 ? "fetch" : "fetches"} in {hops} {hops === 1 ? "hop" : "hops"}
          </span>
        )}
      </header>
      {shown && (plan ? <Step step={plan} /> : <p>Run an operation to see which subgraphs answer it.</p>)}
    </div>
  );
}

function UseToken({ token, onUsed }) {
  const headers = useGraphiQL((state) => state.headerEditor);
  const use = () => {
    let current = {};
    try {
      current = JSON.parse(headers.getValue());
    } catch {} // whatever was there was no header
    headers.setValue(JSON.stringify({ ...current, Authorization: `Bearer ${token}` }, null, 2));
    onUsed();
  };
  return (
    <p className="souk-token">
      The answer holds an access token. <button type="button" onClick={use}>Use it for what follows</button>
    </p>
  );
}

function Step({ step }) {
  if (step.steps) {
    return (
      <div className={`souk-step souk-${step.kind}`}>
        {step.kind !== "sequence" && (
          <em>
            {step.kind === "parallel" ? "at once" : step.kind} {step.label}
          </em>
        )}
        {step.steps.map((child, i) => (
          <Step key={i} step={child} />
        ))}
      </div>
    );
  }
  return (
    <details className="souk-step souk-fetch">
      <summary>
        <b>{step.subgraph}</b> {step.path && <code>{step.path}</code>}
      </summary>
      {step.needs?.length > 0 && <p>needs {step.needs.join(", ")}</p>}
      {step.query && <pre>{pretty(step.query)}</pre>}
    </details>
  );
}

function pretty(query) {
  try {
    return print(parse(query));
  } catch {
    return query;
  }
}

function count(step) {
  if (!step) return { fetches: 0, hops: 0 };
  if (!step.steps) return step.query ? { fetches: 1, hops: 1 } : { fetches: 0, hops: 0 };
  const parts = step.steps.map(count);
  const hops = parts.map((part) => part.hops);
  return {
    fetches: parts.reduce((sum, part) => sum + part.fetches, 0),
    hops: step.kind === "parallel" ? Math.max(0, ...hops) : hops.reduce((sum, n) => sum + n, 0),
  };
}
