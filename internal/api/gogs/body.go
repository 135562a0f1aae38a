package gogs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// maxBody bounds the body of a request: a file of the longest kind in base64.
const maxBody = 64 << 20

// problem is an error with a status of its own. Without a message its body is
// empty.
type problem struct {
	status  int
	message string
}

func (p *problem) Error() string { return p.message }

// Unwrap is what kind of error it is, for the log.
func (p *problem) Unwrap() error {
	switch p.status {
	case http.StatusNotFound:
		return cairn.NotFound
	case http.StatusForbidden:
		return cairn.Denied
	}
	return cairn.Invalid
}

// fieldProblem is what is wrong with one field of a body. A list of them is an
// answer of its own shape.
type fieldProblem struct {
	Fields         []string `json:"fieldNames,omitempty"`
	Classification string   `json:"classification"`
	Message        string   `json:"message"`
}

type fieldProblems struct {
	status int
	list   []fieldProblem
}

func (p *fieldProblems) Error() string { return fmt.Sprint(p.list) }

// Unwrap is what kind of error it is, for the log.
func (p *fieldProblems) Unwrap() error { return cairn.Invalid }

// checks collects what is wrong with the fields of a body.
type checks struct{ list []fieldProblem }

func (c *checks) add(field, class, message string) {
	c.list = append(c.list, fieldProblem{[]string{field}, class, message})
}

func (c *checks) required(field, value string) {
	if value == "" {
		c.add(field, "RequiredError", "Required")
	}
}

func (c *checks) longest(field, value string, longest int) {
	if utf8.RuneCountInString(value) > longest {
		c.add(field, "MaxSizeError", "MaxSize")
	}
}

// name checks a name of letters, digits and "-_.".
func (c *checks) name(field, value string, longest int) {
	if value == "" {
		c.required(field, value)
		return
	}
	plain := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
	}
	if strings.IndexFunc(value, plain) >= 0 {
		c.add(field, "AlphaDashDotError", "AlphaDashDot")
		return
	}
	c.longest(field, value, longest)
}

func (c *checks) err() error {
	if c.list == nil {
		return nil
	}
	return &fieldProblems{http.StatusUnprocessableEntity, c.list}
}

// bind reads the body, JSON or a form. An empty one has no fields.
func bind[T any](w http.ResponseWriter, r *request) (value T, err error) {
	text := r.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(text)
	unsupported := &fieldProblems{http.StatusUnsupportedMediaType, []fieldProblem{{Classification: "ContentTypeError", Message: "Unsupported Content-Type"}}}
	switch {
	case text == "":
		unsupported.list[0].Message = "Empty Content-Type"
		return value, unsupported
	case err != nil:
		return value, unsupported
	}
	body := http.MaxBytesReader(w, r.Body, maxBody)
	switch kind {
	case "application/json":
		dec := json.NewDecoder(body)
		if err = dec.Decode(&value); errors.Is(err, io.EOF) {
			return value, nil
		}
	case "application/x-www-form-urlencoded":
		r.Body = body
		if err = r.ParseForm(); err == nil {
			err = fromForm(r.PostForm, &value)
		}
	default:
		return value, unsupported
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) || cairn.KindOf(err) == cairn.TimedOut {
		return value, err
	}
	if err != nil {
		return value, &fieldProblems{http.StatusBadRequest, []fieldProblem{{Classification: "DeserializationError", Message: err.Error()}}}
	}
	return value, nil
}

// fromForm fills the fields of a struct from a form, by their names in JSON.
func fromForm(form map[string][]string, value any) error {
	v := reflect.ValueOf(value).Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		given, ok := form[name]
		if !ok || len(given) == 0 {
			continue
		}
		switch field := v.Field(i); field.Kind() {
		case reflect.String:
			field.SetString(given[0])
		case reflect.Bool:
			field.SetBool(given[0] == "on" || given[0] == "true" || given[0] == "1")
		case reflect.Int64:
			n, err := strconv.ParseInt(given[0], 10, 64)
			if err != nil {
				return err
			}
			field.SetInt(n)
		}
	}
	return nil
}

// documentation is in every error that is an object, as clients know it.
const documentation = "https://github.com/gogs/docs-api"

// Fail answers with an error and leaves its cause to the request's line in the
// log. What is not found is an empty answer.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	api.NoteError(r, err)
	var fields *fieldProblems
	if errors.As(err, &fields) {
		_ = api.Write(w, fields.status, fields.list)
		return
	}
	told := &problem{status: api.Status(err), message: api.Text(err)}
	own := errors.As(err, &told)
	switch told.status {
	case http.StatusNotFound:
		if !own {
			w.WriteHeader(told.status)
			return
		}
	case http.StatusBadRequest, http.StatusConflict, http.StatusPreconditionFailed:
		if !own {
			told.status = http.StatusUnprocessableEntity
		}
	}
	api.SetRetryAfter(w.Header(), told.status, err)
	if told.message == "" {
		w.WriteHeader(told.status)
		return
	}
	_ = api.Write(w, told.status, struct {
		Message string `json:"message"`
		URL     string `json:"url"`
	}{told.message, documentation})
}

// page reads page and limit: what to skip, and how many to give.
func (in *request) page(size, most int) (skip, limit, page int) {
	query := in.URL.Query()
	limit, _ = strconv.Atoi(query.Get("limit"))
	if limit <= 0 {
		limit = size
	}
	limit = min(limit, most)
	page, _ = strconv.Atoi(query.Get("page"))
	page = min(max(page, 1), 1<<20)
	return (page - 1) * limit, limit, page
}

// part is what to skip of a list, and how much to give of it: a page if the
// request asks for one, else all, up to most.
func (in *request) part(most int) (skip, limit int) {
	query := in.URL.Query()
	if !query.Has("page") && !query.Has("limit") {
		return 0, most
	}
	skip, limit, _ = in.page(maxPage, maxPage)
	return skip, limit
}

// cut gives the part of a list that the request asks for.
func cut[T any](in *request, list []T) []T {
	skip, limit := in.part(len(list))
	list = list[min(skip, len(list)):]
	return list[:min(limit, len(list))]
}

// maxPage is the longest page.
const maxPage = 50

// number reads a number of a path; one that is none is that of nothing.
func (in *request) number(name string) (cairn.Number, error) {
	n, err := strconv.ParseInt(in.PathValue(name), 10, 32)
	if err != nil || n < 1 {
		return 0, cairn.Errorf(cairn.NotFound, "%q is no number of anything", cairn.Clip(in.PathValue(name)))
	}
	return cairn.Number(n), nil
}

func identity(u cairn.User) service.Identity {
	name, email := u.Organization.FullName, u.Email
	if name == "" {
		name = shownName(u.Name, u.Organization)
	}
	if email == "" {
		email = string(u.Name) + "@users.noreply.localhost"
	}
	return service.Identity{Name: name, Email: email}
}
