package typesense

import (
	"fmt"
	"net/http"
)

// apiError is a refusal as Typesense words it: a status and a message.
type apiError struct {
	Status  int
	Message string
}

func (e *apiError) Error() string { return e.Message }

func refuse(status int, format string, args ...any) *apiError {
	return &apiError{Status: status, Message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *apiError {
	return refuse(http.StatusBadRequest, format, args...)
}

func notFound(format string, args ...any) *apiError {
	return refuse(http.StatusNotFound, format, args...)
}
