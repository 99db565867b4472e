package fake

import (
	"context"
	"encoding/json"
	"html/template"
	"net/http"

	"github.com/souk-shop/souk/clients/psp"
)

// Pages is what buyers see who have to confirm a payment, and what a developer plays with:
//
//	GET  /payments                 the books, as JSON
//	GET  /payments/{key}           the buyer's page
//	POST /payments/{key}/confirm   the buyer agrees
//	POST /payments/{key}/refuse    the buyer does not
//	POST /payments/{key}/succeed   a card that did not answer succeeds after all
//	POST /payments/{key}/fail      … or fails
func (p *Provider) Pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /payments", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"payments": p.Books(), "kept": p.Kept()})
	})
	mux.HandleFunc("GET /payments/{key}", func(w http.ResponseWriter, r *http.Request) {
		p.show(w, r.PathValue("key"), http.StatusOK)
	})
	for verb, do := range map[string]func(string) error{"confirm": p.Confirm, "refuse": p.Refuse, "succeed": p.Succeed, "fail": p.Fail} {
		mux.HandleFunc("POST /payments/{key}/"+verb, func(w http.ResponseWriter, r *http.Request) {
			status := http.StatusOK
			if do(r.PathValue("key")) != nil {
				status = http.StatusConflict
			}
			p.show(w, r.PathValue("key"), status)
		})
	}
	return mux
}

func (p *Provider) show(w http.ResponseWriter, key string, status int) {
	r, err := p.Lookup(context.Background(), key)
	if err != nil {
		http.Error(w, "no such payment", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	page.Execute(w, map[string]any{"Key": r.Key, "Amount": r.Amount.String(), "Open": r.Outcome == psp.ActionRequired, "Outcome": r.Outcome})
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Confirm your payment</title>
<style>body{font:16px system-ui;max-width:24em;margin:4em auto;padding:0 1em}button{font:inherit;padding:.5em 1em;margin-right:.5em}</style>
<h1>{{.Amount}}</h1>
{{if .Open}}<p>Your bank wants to know that it is you. No money moves: this bank is made up.</p>
<form method="post"><button formaction="{{.Key}}/confirm">Confirm</button><button formaction="{{.Key}}/refuse">Refuse</button></form>
{{else}}<p>Nothing to confirm: {{or .Outcome "being decided"}}. You may close this page.</p>{{end}}
`))
