// Package webhooks takes in what payment providers send to the shop. They carry no passport: their signature vouches for them.
package webhooks

import (
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/subgraphs/payments"
)

// Path is where providers send to.
const Path = "POST /webhooks/{provider}"

const largest = 64 << 10 // bytes of a body

// Handler answers 200 when an event counts, did so before or never will, 202 when it is kept until it can, and an error when the
// provider shall send it again, or is none.
func Handler(ps *payments.Payments, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largest))
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusRequestEntityTooLarge)
			return
		}
		provider := r.PathValue("provider")
		err = ps.Webhook(r.Context(), provider, r.Header.Get, body)
		refused, known := fault.ForUser(err)
		switch {
		case err == nil:
			w.WriteHeader(http.StatusOK)
		case errors.Is(err, psp.ErrSignature):
			http.Error(w, "the signature is missing, wrong or too old", http.StatusUnauthorized)
		case errors.Is(err, psp.ErrEvent):
			http.Error(w, "the event cannot be read", http.StatusBadRequest)
		case errors.Is(err, payments.ErrProvider):
			http.Error(w, "there is no such provider", http.StatusNotFound)
		case errors.Is(err, payments.ErrUnheardOf):
			w.WriteHeader(http.StatusAccepted)
		case known: // it will never count: sending it again is no use, but somebody should know
			log.WarnContext(r.Context(), "webhook: refused", "provider", provider, "error", refused)
			w.WriteHeader(http.StatusOK)
		default:
			log.ErrorContext(r.Context(), "webhook: failed", "provider", provider, "error", err)
			http.Error(w, "try again later", http.StatusServiceUnavailable)
		}
	})
}
