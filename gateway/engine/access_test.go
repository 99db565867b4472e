package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/souk-shop/souk/internal/viewer"
)

func newAccess(t testing.TB) (*Engine, mesh) {
	accounts := newService(t, "access", "accounts")
	shops := []object{{"id": "s1", "name": "Souk", "revenue": 9, "ledger": object{"total": 7}}, {"id": "s2", "name": "Bazaar", "revenue": 8, "ledger": nil}}
	accounts.fields["Query.me"] = value(object{"id": "a1", "email": "ada@souk.test"})
	accounts.fields["Query.shops"] = value(shops)
	accounts.fields["Query.parties"] = value([]object{
		{"__typename": "Account", "id": "a1", "phone": "1"}, {"__typename": "Shop", "id": "s1", "phone": "2"},
	})
	accounts.fields["Query.audit"] = value("log")
	accounts.fields["Query.version"] = value("1")
	accounts.fields["Mutation.close"] = value(true)
	accounts.fields["Mutation.hello"] = value("hi")
	accounts.entities["Account"] = find("id", object{"id": "a1", "email": "ada@souk.test"})
	accounts.entities["Shop"] = find("id", shops...)
	carts := newService(t, "access", "carts")
	carts.entities["Account"] = func(rep object) object { return object{"id": rep["id"], "cart": "full"} }
	carts.entities["Shop"] = func(rep object) object { return object{"id": rep["id"], "visitors": 5, "open": true} }
	return newEngine(t, "access", accounts, carts)
}

func TestGuardedFields(t *testing.T) {
	e, m := newAccess(t)
	guest, customer := viewer.Viewer{}, viewer.Viewer{AccountID: "a1"}
	staff := viewer.Viewer{AccountID: "a2", Scopes: []string{"staff"}}
	auditor := viewer.Viewer{AccountID: "a3", Scopes: []string{"audit", "staff"}}
	root := viewer.Viewer{AccountID: "a4", Scopes: []string{"root"}}
	for _, c := range []struct {
		name, query, want string
		viewer            viewer.Viewer
		fetches           string // subgraphs asked, sorted
	}{
		{"guest reads me", `{ me { id } version }`,
			`{"errors":[{"message":"sign in to use this field","path":["me"],"extensions":{"code":"UNAUTHENTICATED"}}],"data":{"me":null,"version":"1"}}`, guest, "accounts"},
		{"guest reads nothing else", `{ me { id } }`,
			`{"errors":[{"message":"sign in to use this field","path":["me"],"extensions":{"code":"UNAUTHENTICATED"}}],"data":{"me":null}}`, guest, ""},
		{"customer reads me", `{ me { id cart } }`, `{"data":{"me":{"id":"a1","cart":"full"}}}`, customer, "accounts carts"},
		{"customer lacks a scope below", `{ me { id email } version }`,
			`{"errors":[{"message":"you may not use this field","path":["me","email"],"extensions":{"code":"FORBIDDEN"}}],"data":{"me":null,"version":"1"}}`, customer, "accounts"},
		{"staff has it", `{ me { email } }`, `{"data":{"me":{"email":"ada@souk.test"}}}`, staff, "accounts"},
		{"one scope of two", `{ audit }`,
			`{"errors":[{"message":"you may not use this field","path":["audit"],"extensions":{"code":"FORBIDDEN"}}],"data":{"audit":null}}`, staff, ""},
		{"both scopes", `{ audit }`, `{"data":{"audit":"log"}}`, auditor, "accounts"},
		{"the other alternative", `{ audit }`, `{"data":{"audit":"log"}}`, root, "accounts"},
		{"in a list", `{ shops { name revenue } }`,
			`{"errors":[{"message":"sign in to use this field","path":["shops",0,"revenue"],"extensions":{"code":"UNAUTHENTICATED"}},{"message":"sign in to use this field","path":["shops",1,"revenue"],"extensions":{"code":"UNAUTHENTICATED"}}],"data":{"shops":[{"name":"Souk","revenue":null},{"name":"Bazaar","revenue":null}]}}`, guest, "accounts"},
		{"of another subgraph", `{ shops { name visitors } }`,
			`{"errors":[{"message":"you may not use this field","path":["shops",0,"visitors"],"extensions":{"code":"FORBIDDEN"}},{"message":"you may not use this field","path":["shops",1,"visitors"],"extensions":{"code":"FORBIDDEN"}}],"data":{"shops":[{"name":"Souk","visitors":null},{"name":"Bazaar","visitors":null}]}}`, customer, "accounts"},
		{"beside an open one", `{ shops { visitors open } }`,
			`{"errors":[{"message":"you may not use this field","path":["shops",0,"visitors"],"extensions":{"code":"FORBIDDEN"}},{"message":"you may not use this field","path":["shops",1,"visitors"],"extensions":{"code":"FORBIDDEN"}}],"data":{"shops":[{"visitors":null,"open":true},{"visitors":null,"open":true}]}}`, customer, "accounts carts"},
		{"by the type's rule", `{ shops { name ledger { total } } }`,
			`{"errors":[{"message":"sign in to use this field","path":["shops",0,"ledger"],"extensions":{"code":"UNAUTHENTICATED"}},{"message":"sign in to use this field","path":["shops",1,"ledger"],"extensions":{"code":"UNAUTHENTICATED"}}],"data":{"shops":[{"name":"Souk","ledger":null},{"name":"Bazaar","ledger":null}]}}`, guest, "accounts"},
		{"through an interface, everybody's rules hold", `{ parties { id phone } }`,
			`{"errors":[{"message":"sign in to use this field","path":["parties",0,"phone"],"extensions":{"code":"UNAUTHENTICATED"}},{"message":"sign in to use this field","path":["parties",1,"phone"],"extensions":{"code":"UNAUTHENTICATED"}}],"data":{"parties":[{"id":"a1","phone":null},{"id":"s1","phone":null}]}}`, guest, "accounts"},
		{"on one object, its own", `{ parties { ... on Account { phone } ... on Shop { phone } } }`,
			`{"errors":[{"message":"sign in to use this field","path":["parties",0,"phone"],"extensions":{"code":"UNAUTHENTICATED"}}],"data":{"parties":[{"phone":null},{"phone":"2"}]}}`, guest, "accounts"},
		{"through an interface, signed in", `{ parties { phone } }`, `{"data":{"parties":[{"phone":"1"},{"phone":"2"}]}}`, customer, "accounts"},
		{"a mutation is not sent", `mutation { close }`,
			`{"errors":[{"message":"sign in to use this field","path":["close"],"extensions":{"code":"UNAUTHENTICATED"}}],"data":null}`, guest, ""},
		{"nor the guarded one of two", `mutation { hello shut: close }`,
			`{"errors":[{"message":"sign in to use this field","path":["shut"],"extensions":{"code":"UNAUTHENTICATED"}}],"data":null}`, guest, "accounts"},
		{"a mutation of somebody", `mutation { close }`, `{"data":{"close":true}}`, customer, "accounts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.reset()
			if got := answerOf(t, e, as(c.viewer), c.query, ""); got != c.want {
				t.Errorf("%s\n got %s\nwant %s", c.query, got, c.want)
			}
			var asked []string
			for _, f := range m.fetches() {
				asked = append(asked, f[:strings.Index(f, ":")])
				if strings.Contains(f, "close") && !c.viewer.SignedIn() {
					t.Errorf("a guest's mutation was sent: %s", f)
				}
			}
			if got := strings.Join(asked, " "); got != c.fetches {
				t.Errorf("asked %q, want %q", got, c.fetches)
			}
		})
	}
}

// A guarded field that comes along with an open one is refused by the subgraph too; the client hears of it once.
func TestTwoRefusalsAreOneError(t *testing.T) {
	accounts, carts := newService(t, "access", "accounts"), newService(t, "access", "carts")
	accounts.fields["Query.shops"] = value([]object{{"id": "s1"}, {"id": "s2"}})
	carts.entities["Shop"] = func(rep object) object {
		return object{"id": rep["id"], "visitors": coded{"you may not do this", "FORBIDDEN"}, "open": true}
	}
	e, _ := newEngine(t, "access", accounts, carts)
	const want = `{"errors":[{"message":"you may not use this field","path":["shops",0,"visitors"],"extensions":{"code":"FORBIDDEN"}},` +
		`{"message":"you may not use this field","path":["shops",1,"visitors"],"extensions":{"code":"FORBIDDEN"}}],` +
		`"data":{"shops":[{"visitors":null,"open":true},{"visitors":null,"open":true}]}}`
	if got := answerOf(t, e, as(viewer.Viewer{AccountID: "a1"}), `{ shops { visitors open } }`, ""); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestAGuestDoesNotSubscribeToWhatIsGuarded(t *testing.T) {
	e, m := newAccess(t)
	op := prepare(t, e, `subscription { inbox }`, "")
	err := e.Subscribe(context.Background(), op, func([]byte) error { return nil })
	var es Errors
	if !errors.As(err, &es) || es[0].Code() != CodeUnauthenticated || es[0].Path[0] != "inbox" {
		t.Errorf("got %v", err)
	}
	if len(m.fetches()) != 0 {
		t.Error("the subgraph was asked")
	}
}
