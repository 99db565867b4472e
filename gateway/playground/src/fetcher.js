import { createGraphiQLFetcher } from "@graphiql/toolkit";

// createFetcher returns GraphiQL's way to the graph: HTTP, @defer over multipart, subscriptions over the socket with the same
// headers. The query plan is taken out of each answer and handed to onPlan; a fresh access token is shown to onToken.
export function createFetcher(endpoint, { onPlan, onToken }) {
  const url = new URL(endpoint, window.location.href);
  const socket = new URL(url);
  socket.protocol = url.protocol.replace("http", "ws");
  socket.searchParams.set("plan", "1");
  const fetcher = createGraphiQLFetcher({
    url: url.href,
    subscriptionUrl: socket.href,
    headers: { "Souk-Plan": "1" },
  });

  const look = (result) => {
    if (Array.isArray(result)) return result.map(look);
    if (result?.data) {
      const token = findToken(result.data);
      if (token) onToken(token);
    }
    if (!result?.extensions?.plan) return result;
    const { plan, ...others } = result.extensions;
    onPlan(plan);
    const { extensions, ...answer } = result;
    return Object.keys(others).length ? { ...answer, extensions: others } : answer;
  };

  return async (params, options) => {
    const { Authorization, ...others } = options?.headers ?? {};
    if (params.operationName === "IntrospectionQuery") {
      return fetcher(params, { ...options, headers: others }); // everybody may see the schema, whatever became of their token
    }
    const result = await fetcher(params, { ...options, headers: Authorization ? { ...others, Authorization } : others });
    onPlan(null);
    return result?.[Symbol.asyncIterator] ? mapped(result, look) : look(result);
  };
}

// mapped passes a stop on at once, which a generator does not do while it waits for the next value.
function mapped(source, f) {
  return {
    [Symbol.asyncIterator]() {
      const iterator = source[Symbol.asyncIterator]();
      return {
        next: async () => {
          const step = await iterator.next();
          return step.done ? step : { done: false, value: f(step.value) };
        },
        return: (value) => iterator.return?.(value) ?? Promise.resolve({ done: true, value }),
        throw: (error) => iterator.throw?.(error) ?? Promise.reject(error),
      };
    },
  };
}

function findToken(value) {
  if (!value || typeof value !== "object") return null;
  if (typeof value.accessToken === "string") return value.accessToken;
  for (const child of Object.values(value)) {
    const token = findToken(child);
    if (token) return token;
  }
  return null;
}
