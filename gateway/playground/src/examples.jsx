import { StarIcon, useGraphiQL, useGraphiQLActions } from "@graphiql/react";

// examplesPlugin lists the operations to try and the accounts to try them with.
export function examplesPlugin({ examples, notice }) {
  const byGroup = Map.groupBy(examples, (example) => example.group ?? "");
  return {
    title: "Examples",
    icon: StarIcon,
    content: () => {
      const { addTab } = useGraphiQLActions();
      const editors = useGraphiQL((state) => ({
        query: state.queryEditor,
        variables: state.variableEditor,
        headers: state.headerEditor,
      }));
      const open = ({ query, variables }) => {
        const headers = editors.headers.getValue();
        addTab();
        editors.headers.setValue(headers); // who is signed in here is signed in there
        editors.query.setValue(query.trim() + "\n");
        editors.variables.setValue(variables ? JSON.stringify(variables, null, 2) : "");
        editors.query.focus();
      };
      return (
        <div className="souk-examples">
          <h2>Examples</h2>
          {notice && <p className="souk-notice">{notice}</p>}
          {[...byGroup].map(([group, list]) => (
            <section key={group}>
              {group && <h3>{group}</h3>}
              <ol>
                {list.map((example) => (
                  <li key={example.name}>
                    <button type="button" onClick={() => open(example)}>
                      {example.name}
                    </button>
                  </li>
                ))}
              </ol>
            </section>
          ))}
        </div>
      );
    },
  };
}
