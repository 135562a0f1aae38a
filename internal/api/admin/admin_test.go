package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestUnknownRouteAnswersInShape(t *testing.T) {
	t.Parallel()
	for _, route := range [][2]string{{"GET", "/admin/v1/none"}, {"PATCH", "/admin/v1/organizations"}} {
		w := httptest.NewRecorder()
		New(nil, nil).ServeHTTP(w, httptest.NewRequest(route[0], route[1], nil))
		var body struct {
			Error  string `json:"error"`
			Status int    `json:"status"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != http.StatusNotFound || body.Status != w.Code || body.Error == "" {
			t.Errorf("%s %s: %d %s, %v", route[0], route[1], w.Code, w.Body, err)
		}
	}
}
