package codearts

import (
	"errors"
	"net/http"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
)

// The codes of errors, each with its one status.
const (
	codeInvalid   = "CH.010001"
	codeDenied    = "CH.080401"
	codeForbidden = "CH.080403"
	codeNotFound  = "CH.000404"
	codeUnknown   = "CH.000001"
	codeTimeout   = "CH.080504"
	codeNoUser    = "CH.010112"
	codePassword  = "CH.010008"
	codeParameter = "CH.080002"
	codeKey       = "40" // an SSH key that is not good
	// codeGateway is the gateway's, for what it does not let in.
	codeGateway = "APIG.0301"
)

// coded is an error with a code of its own.
type coded struct {
	code string
	err  error
}

func (e *coded) Error() string { return e.err.Error() }
func (e *coded) Unwrap() error { return e.err }

// withCode gives an error a code other than that of its kind.
func withCode(code, format string, args ...any) error {
	return &coded{code, cairn.Errorf(cairn.Invalid, format, args...)}
}

// codes are the codes and statuses of kinds. What the caller may not do and
// repositories that are not there are both 401, as this API has it.
var codes = map[cairn.Kind]struct {
	status int
	code   string
}{
	cairn.Invalid:      {http.StatusBadRequest, codeInvalid},
	cairn.Denied:       {http.StatusUnauthorized, codeDenied},
	cairn.NotFound:     {http.StatusNotFound, codeNotFound},
	cairn.Conflict:     {http.StatusBadRequest, codeInvalid},
	cairn.Stale:        {http.StatusBadRequest, codeInvalid},
	cairn.Unconfigured: {http.StatusForbidden, codeForbidden},
}

// errNoRepository answers whoever names a repository that is not there, is
// another organization's, or is not theirs to know of.
var errNoRepository = cairn.Errorf(cairn.Denied, "No Permission")

// methodError is the error of a path that has other methods.
type methodError struct{ allowed []string }

func (e methodError) Error() string {
	return "the method is not for this address; use " + strings.Join(e.allowed, " or ")
}

func noRoute(r *http.Request, allowed []string) error {
	if len(allowed) > 0 {
		return methodError{allowed}
	}
	return cairn.Errorf(cairn.NotFound, "no route for %s %s", cairn.Clip(r.Method), cairn.Clip(r.URL.Path))
}

// Fail answers with an error in the face's shape: flat for what a gateway says
// and for the paths that are always so, else in the envelope. It leaves the cause
// to the request's line in the log.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	path := strings.TrimPrefix(r.URL.Path, Prefix)
	flat := strings.HasPrefix(path, "/v3/") || strings.HasPrefix(path, "/v4/")
	api.NoteError(r, err)
	status, text := api.Status(err), api.Text(err)
	api.SetRetryAfter(w.Header(), status, err)
	if cairn.KindOf(err) == cairn.Unauthenticated {
		_ = api.Write(w, http.StatusUnauthorized, struct {
			Message string `json:"error_msg"`
			Code    string `json:"error_code"`
			Request string `json:"request_id"`
		}{"Incorrect IAM authentication information: " + text, codeGateway, api.RequestID(r)})
		return
	}
	code := codeUnknown
	var method methodError
	var own *coded
	known, ok := codes[cairn.KindOf(err)]
	switch {
	case errors.As(err, &method):
		w.Header().Set("Allow", strings.Join(method.allowed, ", "))
		status, code, text = http.StatusMethodNotAllowed, codeNotFound, method.Error()
	case errors.As(err, &own):
		status, code = http.StatusBadRequest, own.code
	case status == http.StatusGatewayTimeout:
		code = codeTimeout
	case status == http.StatusRequestEntityTooLarge, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		code = codeInvalid
	case ok && status < http.StatusInternalServerError:
		status, code = known.status, known.code
	}
	if flat {
		_ = api.Write(w, status, struct {
			Code    string `json:"error_code"`
			Message string `json:"error_msg"`
		}{code, text})
		return
	}
	_ = api.Write(w, status, envelope{Error: &problem{code, text}, Status: "failed"})
}
