package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// callsOut lists, by package, what opens connections.
var callsOut = map[string][]string{
	"net":        {"Dial", "DialTimeout", "DialIP", "DialTCP", "DialUDP", "DialUnix", "Dialer", "Resolver", "DefaultResolver"},
	"crypto/tls": {"Dial", "DialWithDialer", "Dialer"},
	"net/http":   {"Get", "Head", "Post", "PostForm", "DefaultClient", "DefaultTransport"},
}

// mayCallOut are the packages that call addresses which no user of a server
// gave: those of its operator's command line and of tests.
var mayCallOut = []string{"internal/egress", "internal/bench", "internal/demo", "client", "cmd"}

// TestOnlyEgressCallsOut finds whoever makes connections by itself, past the
// checks of package egress. A client or a transport that is passed on is fine;
// one that is made is not.
func TestOnlyEgressCallsOut(t *testing.T) {
	t.Parallel()
	found := 0
	eachFile(t, func(path, pkg string, _ *ast.File) {
		if strings.HasSuffix(path, "_test.go") || layers[lookup(pkg)].layer == testsOnly {
			return
		}
		free := false
		for _, prefix := range mayCallOut {
			free = free || within(pkg, prefix)
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../..", path), nil, 0)
		if err != nil {
			t.Error(err)
			return
		}
		for _, call := range outgoing(file) {
			if found++; !free {
				t.Errorf("%s uses %s: addresses of users are called through internal/egress", path, call)
			}
		}
	})
	if found < 5 {
		t.Errorf("only %d outgoing calls were found: the test has lost its way", found)
	}
}

// outgoing returns what of callsOut a file uses, and the HTTP clients and
// transports that it makes.
func outgoing(file *ast.File) (calls []string) {
	packages := map[string]string{} // by their names in the file
	for _, spec := range file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		packages[name] = path
	}
	named := func(e ast.Expr) (string, string) {
		s, ok := e.(*ast.SelectorExpr)
		if !ok {
			return "", ""
		}
		x, ok := s.X.(*ast.Ident)
		if !ok {
			return "", ""
		}
		return packages[x.Name], s.Sel.Name
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			pkg, name := named(n)
			for _, forbidden := range callsOut[pkg] {
				if name == forbidden {
					calls = append(calls, pkg+"."+name)
				}
			}
		case *ast.CompositeLit:
			if pkg, name := named(n.Type); pkg == "net/http" && (name == "Client" || name == "Transport") {
				calls = append(calls, "an http."+name)
			}
		}
		return true
	})
	return calls
}
